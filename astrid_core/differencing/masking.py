"""Unusable pixels before and after subtraction: filled, then grown.

A kernel spreads every pixel it touches. Unusable pixels are therefore filled with what
the other image suggests before subtraction, and the mask of the result is grown to where
the filling, or the wings of a saturated star, still matter.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    distance_transform_edt,
    find_objects,
    gaussian_filter,
    label,
)

from astrid_core.differencing.config import MaskGrowth
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]
Mask = NDArray[np.bool_]
I64 = NDArray[np.int64]

_MIN_WEIGHT = 0.02
"""Share of good pixels under the smoothing kernel below which nothing is interpolated."""
_RING_QUANTILE = 0.75
"""Above the median: along the sides of a bleed lies sky. Below the top: so do other stars."""
_DEFECTS = PixelFlag.BAD | PixelFlag.COSMIC | PixelFlag.TRAIL


def unusable_pixels(frame: Frame) -> Mask:
    """Pixels that must not enter a difference: flagged, not finite, or without variance."""
    flagged = (frame.mask & np.uint16(UNUSABLE)) != 0
    finite = np.isfinite(frame.data) & np.isfinite(frame.variance)
    return np.asarray(flagged | ~finite | ~(frame.variance > 0))


def flagged(frame: Frame) -> Frame:
    """The frame with pixels that are not finite, or lack a variance, flagged NODATA.

    They become 0 with the frame's typical variance. A frame without such pixels is
    returned as it is.
    """
    broken = ~(np.isfinite(frame.data) & np.isfinite(frame.variance) & (frame.variance > 0))
    if not broken.any():
        return frame
    whole = frame.variance[~broken]
    typical = np.float32(np.median(whole)) if whole.size else np.float32(1)
    return replace(
        frame,
        data=np.where(broken, np.float32(0), frame.data),
        variance=np.where(broken, typical, frame.variance),
        mask=np.where(broken, frame.mask | np.uint16(PixelFlag.NODATA), frame.mask),
    )


def with_changing(frame: Frame, x_pix: I64, y_pix: I64) -> Frame:
    """The frame with ``CHANGING`` set within half a FWHM of positions, 0-based pixels."""
    mask = frame.mask.copy()
    ny, nx = mask.shape
    radius = frame.psf.fwhm_pix / 2
    reach = int(radius)
    for x, y in zip(x_pix.tolist(), y_pix.tolist(), strict=True):
        rows = np.arange(max(0, y - reach), min(ny, y + reach + 1))
        columns = np.arange(max(0, x - reach), min(nx, x + reach + 1))
        near = (rows[:, None] - y) ** 2 + (columns - x) ** 2 <= radius**2
        mask[np.ix_(rows, columns)] |= np.where(near, np.uint16(PixelFlag.CHANGING), np.uint16(0))
    return replace(frame, mask=mask)


def fill_unusable(
    science: F32, reference: F32, bad_science: Mask, bad_reference: Mask, fwhm_pix: float
) -> tuple[F32, F32]:
    """Fill each image's unusable pixels from the other, so that their difference is smooth.

    Where one image is good the other takes its value, corrected by the difference of the
    two interpolated over the PSF's width from around. Where neither is, both take the
    reference's value (0 if that is not finite).

    Returns
    -------
    Science and reference, float32, finite everywhere.
    """
    if not (bad_science.any() or bad_reference.any()):
        return science, reference
    offset = _smooth_difference(
        science, reference, ~(bad_science | bad_reference), fwhm_pix / 2.355
    )
    base = reference.astype(np.float32)
    base[bad_reference] = science[bad_reference] - offset[bad_reference]
    both = bad_science & bad_reference
    base[both] = np.nan_to_num(reference[both], nan=0.0, posinf=0.0, neginf=0.0)
    filled = science.astype(np.float32)
    filled[bad_science] = base[bad_science] + offset[bad_science]
    return filled, base


def _smooth_difference(science: F32, reference: F32, good: Mask, sigma_pix: float) -> F32:
    """Difference of two images interpolated over what is not good; 0 far from what is."""
    difference = np.zeros(science.shape, dtype=np.float32)
    np.subtract(science, reference, out=difference, where=good)
    offset = gaussian_filter(difference, sigma_pix)
    weight = gaussian_filter(good, sigma_pix, output=np.float32)
    offset[weight < _MIN_WEIGHT] = 0.0
    np.maximum(weight, _MIN_WEIGHT, out=weight)
    offset /= weight
    return np.asarray(offset)


def grow_mask(mask: U16, brightness: F32, noise: float, fwhm_pix: float, growth: MaskGrowth) -> U16:
    """Mask of a difference image: the union of its inputs' masks, grown.

    Parameters
    ----------
    mask
        (ny, nx) uint16, union of the two masks.
    brightness
        (ny, nx) float32, the brighter of the two images at each pixel.
    noise
        Rms of a pixel of D on blank sky.
    fwhm_pix
        FWHM of D.

    Returns
    -------
    (ny, nx) uint16. Defects grow by ``defect_fwhm``, saturated stars by their brightness,
    and pixels near missing data or the border become ``EDGE``.
    """
    grown = _grow_bits(mask, int(_DEFECTS), growth.defect_fwhm * fwhm_pix)
    saturated = _grow_saturated(mask, brightness, noise, fwhm_pix, growth)
    grown[saturated] |= np.uint16(PixelFlag.SATURATED)
    near = _near_missing(mask, growth.edge_fwhm * fwhm_pix)
    grown[near] |= np.uint16(PixelFlag.EDGE)
    return grown


def _grow_bits(mask: U16, bits: int, radius_pix: float) -> U16:
    """Mask with some bits spread over a disc."""
    grown = mask.copy()
    chosen = mask & np.uint16(bits)
    if not chosen.any():
        return grown
    reach = int(radius_pix)
    ny, nx = mask.shape
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if 0 < dy * dy + dx * dx <= radius_pix**2:
                to = slice(max(dy, 0), ny + min(dy, 0)), slice(max(dx, 0), nx + min(dx, 0))
                of = slice(max(-dy, 0), ny + min(-dy, 0)), slice(max(-dx, 0), nx + min(-dx, 0))
                grown[to] |= chosen[of]
    return grown


def _near_missing(mask: U16, radius_pix: float) -> Mask:
    """Pixels within a radius of missing data or of the border of the image."""
    missing = np.uint16(PixelFlag.NODATA)
    band = max(1, round(radius_pix))
    near = (_grow_bits(mask, int(missing), band) & missing) != 0
    near[:band] = near[-band:] = True
    near[:, :band] = near[:, -band:] = True
    return near & ((mask & missing) == 0)


def _grow_saturated(
    mask: U16, brightness: F32, noise: float, fwhm_pix: float, growth: MaskGrowth
) -> Mask:
    """Saturated stars with the wings that cannot be subtracted, and what their filling spoils."""
    saturated = (mask & np.uint16(PixelFlag.SATURATED)) != 0
    grown = saturated.copy()
    labels, _ = label(saturated)
    limit = max(1, int(growth.saturation_max_fwhm * fwhm_pix))
    level = noise / growth.saturation_residual
    for index, box in enumerate(find_objects(labels), start=1):
        around = tuple(
            slice(max(0, cut.start - limit - 1), min(side, cut.stop + limit + 1))
            for cut, side in zip(box, mask.shape, strict=True)
        )
        distance = distance_transform_edt(labels[around] != index)
        ring = np.where(saturated[around], 0, np.ceil(distance).astype(int))
        reach = _wing_reach(brightness[around], ring, level, limit)
        grown[around] |= distance <= reach + growth.defect_fwhm * fwhm_pix
    return grown


def _wing_reach(brightness: F32, ring: NDArray[np.int64], level: float, limit: int) -> int:
    """Width of the band around a saturated area that is brighter than a level.

    The star's own light is asked, not the PSF: at this distance from a star this bright the
    stamps of fainter ones hold noise.

    Parameters
    ----------
    ring
        (ny, nx) whole distance to the area in pixels, 0 on saturated ones.
    """
    for reach in range(1, limit):
        light = brightness[ring == reach + 1]
        if not light.size or np.quantile(light, _RING_QUANTILE) < level:
            return reach
    return limit
