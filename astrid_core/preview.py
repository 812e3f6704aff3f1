"""Pictures people judge by: science, reference, difference and S_corr side by side."""

import io
from collections.abc import Sequence

import numpy as np
from astropy.visualization import ZScaleInterval
from numpy.typing import NDArray
from PIL import Image, ImageDraw

F32 = NDArray[np.float32]

_GAP_PIX = 4
_LABEL_PIX = 14
_POSITIVE_RGB = (255, 176, 0)
_NEGATIVE_RGB = (64, 200, 255)
_PAPER_RGB = (24, 26, 30)
_DIFFERENCE_SIGMA = 8.0
_LEAST = 1e-30
"""Range of an image that does not vary."""


def stretch(data: F32, low: float, high: float) -> NDArray[np.uint8]:
    """Grey levels by an asinh stretch between two data values; NaN is dark.

    The knee sits at a tenth of the range, where faint sources lift off the noise without
    bright ones burning out.
    """
    span = max(high - low, _LEAST)
    scaled: F32 = np.clip((np.nan_to_num(data, nan=low) - low) / span, 0.0, 1.0)
    grey = np.arcsinh(10.0 * scaled) / np.arcsinh(10.0)
    return np.rint(255.0 * grey).astype(np.uint8)


def diverging(data: F32, limit: float) -> NDArray[np.uint8]:
    """RGB levels of a signed image: blue below zero, paper white at it, red above."""
    signed = np.clip(np.nan_to_num(data) / limit, -1.0, 1.0)[..., None]
    white = np.array([246.0, 246.0, 244.0])
    warm, cold = np.array([178.0, 24.0, 43.0]), np.array([33.0, 102.0, 172.0])
    rgb = np.where(signed >= 0, white + signed * (warm - white), white - signed * (cold - white))
    return rgb.astype(np.uint8)


def common_limits(*images: F32) -> tuple[float, float]:
    """Data limits that suit several images of one sky: just below the noise to the bright stars."""
    pixels = np.concatenate([image[np.isfinite(image)] for image in images])
    if pixels.size == 0:
        return 0.0, 1.0
    low, middle, high = np.percentile(pixels, [2.0, 50.0, 99.7])
    return float(low), float(max(high, middle + (middle - low) * 4.0))


def zscale_limits(*images: F32) -> tuple[float, float, float]:
    """Data limits for one faint source in several images of one sky.

    Returns
    -------
    Black and white by IRAF's zscale over all images, and the brightest pixel of any.
    """
    pixels = np.concatenate([image[np.isfinite(image)] for image in images])
    if pixels.size == 0:
        return 0.0, 1.0, 1.0
    low, high = ZScaleInterval().get_limits(pixels)
    return float(low), float(high), float(pixels.max())


def difference_limit(difference: F32) -> float:
    """Data value at which a difference's colours are full: 8 times its noise."""
    if not np.isfinite(difference).any():
        return 1.0
    noise = 1.4826 * float(np.nanmedian(np.abs(difference)))
    return _DIFFERENCE_SIGMA * max(noise, _LEAST)


def difference_panels(
    science: F32,
    reference: F32,
    difference: F32,
    scorr: F32,
    marks: Sequence[tuple[float, float, bool]],
    panel_pix: int = 320,
) -> bytes:
    """PNG of science | reference | difference | S_corr with candidates ringed.

    Parameters
    ----------
    science, reference, difference, scorr
        (ny, nx) float32 on one pixel grid; NaN where there is no data.
    marks
        (x_pix, y_pix, is_negative) of each candidate, 0-based.
    panel_pix
        Side of a panel's longer edge in the picture. y grows upwards, as on the sky.
    """
    low, high = common_limits(science, reference)
    panels = {
        "science": _grey(stretch(science, low, high)),
        "reference": _grey(stretch(reference, low, high)),
        "difference": diverging(difference, difference_limit(difference)),
        "S_corr (-8 to 8)": diverging(scorr, 8.0),
    }
    ny, nx = science.shape
    scale = panel_pix / max(ny, nx)
    width, height = max(1, round(nx * scale)), max(1, round(ny * scale))
    sheet = Image.new("RGB", (4 * width + 3 * _GAP_PIX, height + _LABEL_PIX), _PAPER_RGB)
    draw = ImageDraw.Draw(sheet)
    for i, (name, rgb) in enumerate(panels.items()):
        left = i * (width + _GAP_PIX)
        picture = Image.fromarray(rgb[::-1]).resize((width, height), Image.Resampling.BOX)
        sheet.paste(picture, (left, _LABEL_PIX))
        draw.text((left + 2, 1), name, fill=(210, 210, 210))
        for x, y, is_negative in marks:
            cx, cy = left + (x + 0.5) * scale, _LABEL_PIX + (ny - y - 0.5) * scale
            colour = _NEGATIVE_RGB if is_negative else _POSITIVE_RGB
            draw.ellipse((cx - 6, cy - 6, cx + 6, cy + 6), outline=colour)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _grey(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(levels[..., None], 3, axis=2)
