"""Satellite and aeroplane trails: straight lines across the frame.

A Hough transform of the binned, clipped image proposes lines; along the true one even a
faint trail adds up. What is proposed must then look like a trail when the image is cut
along it: brighter than all its surroundings, piece by piece, over much of the frame, and
evenly so. Chains of stars fail the first, a star's spike the last.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, uniform_filter1d

from astrid_core.preprocessing.config import MaskConfig

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BINNED_SIDE_PIX = 128
_ANGLES = 180
_CLIP_SIGMA = 2.0
_MAX_PROPOSED = 8
_SAME_ANGLE, _SAME_RHO = 4, 8
_PIECES = 32
_MIN_PIECE_PIX = 14
_MIN_LIT = 0.75
_MIN_PIECES_LIT = 6
_EVENNESS = 0.25
"""The fainter pieces of a trail have at least this much of the median piece's light."""
_MIN_LINE_PIX = 20


@dataclass(frozen=True)
class _Line:
    """Pixels with x·cos + y·sin = rho."""

    angle: float
    rho: float

    def points(self, along: NDArray[Any], across: NDArray[Any]) -> tuple[F64, F64]:
        """x, y at a distance along and across the line."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        distance = self.rho + across
        return distance * cos - along * sin, distance * sin + along * cos


@dataclass(frozen=True)
class _Strip:
    """The image cut along a line: pieces × distances across.

    Attributes
    ----------
    edges
        (n + 1,) ends of the pieces, distance along the line.
    profile
        (n, 2·reach + 1) median brightness at each distance, which stars do not move.
    reach
        Largest distance across, pixels.
    """

    edges: F64
    profile: F64
    reach: int


def find_trails(
    residual: NDArray[Any],
    noise: NDArray[Any],
    bad: Mask,
    fwhm_pix: float,
    config: MaskConfig,
) -> Mask:
    """(ny, nx) bool of trails.

    Parameters
    ----------
    residual, noise
        (ny, nx) background subtracted, and rms per pixel.
    bad
        (ny, nx) bool: pixels to leave out.
    fwhm_pix
        FWHM of the PSF: no trail is narrower.
    """
    found = np.zeros(bad.shape, dtype=bool)
    if not config.find_trails or min(bad.shape) < _PIECES * 2:
        return found
    scaled = np.where(bad, np.nan, residual / noise)
    for line in _strongest_lines(scaled, config.trail_sigma):
        trail = _trace(scaled, line, fwhm_pix, config)
        if trail is not None:
            found |= trail
    return found


def _strongest_lines(scaled: NDArray[Any], limit: float) -> list[_Line]:
    """Lines that most exceed their parallel neighbours, in the spread of all lines."""
    binned, factor = _binned(scaled)
    is_bad = ~np.isfinite(binned).ravel()
    values, bad = np.where(is_bad, 0.0, binned.ravel()), np.flatnonzero(is_bad)
    bundles, reach = _lines_through(binned.shape), _reach(binned.shape)
    scores = np.zeros((_ANGLES, 2 * reach + 2))
    for k, (index, n_all) in enumerate(zip(*bundles, strict=True)):
        n = n_all - np.bincount(index[bad], minlength=2 * reach + 2)
        total = np.bincount(index, weights=values, minlength=2 * reach + 2)
        mean = total / np.maximum(n, 1.0)
        sides = uniform_filter1d(mean, 9, mode="nearest")
        scores[k] = np.where(n >= _MIN_LINE_PIX, (mean - sides) * np.sqrt(n), 0.0)
    spread = 1.4826 * float(np.median(np.abs(scores[scores != 0]))) if scores.any() else 1.0
    lines = []
    for _ in range(_MAX_PROPOSED):
        k, peak = (int(number) for number in np.unravel_index(scores.argmax(), scores.shape))
        significance = float(scores[k, peak]) / max(spread, 1e-9)
        if significance < limit:
            break
        angle = k * np.pi / _ANGLES
        centre = 0.5 * (factor - 1) * (np.cos(angle) + np.sin(angle))
        lines.append(_Line(angle, float((peak - reach) * factor + centre)))
        _forget(scores, k, peak - reach, reach)
    return lines


def _reach(shape: tuple[int, ...]) -> int:
    """No pixel of the plane is farther from its first."""
    return math.ceil(math.hypot(*shape))


@lru_cache(maxsize=4)
def _lines_through(shape: tuple[int, ...]) -> tuple[NDArray[np.int16], F64]:
    """The lines through each pixel, at all angles, and how many pixels are on each line.

    The same for all planes of a shape, and most of what a transform costs.

    Returns
    -------
    lines, counts
        (angles, pixels) distance from the first pixel plus the reach, and (angles, lines).
    """
    y, x = np.indices(shape, dtype=np.float64).reshape(2, -1)
    angles = np.arange(_ANGLES)[:, None] * np.pi / _ANGLES
    lines = np.rint(x * np.cos(angles) + y * np.sin(angles)).astype(np.int16)
    lines += np.int16(_reach(shape))
    width = 2 * _reach(shape) + 2
    counts = np.stack([np.bincount(at, minlength=width) for at in lines]).astype(np.float64)
    lines.flags.writeable = counts.flags.writeable = False
    return lines, counts


def _forget(scores: F64, k: int, rho: int, reach: int) -> None:
    """Zero the neighbourhood of a line; angles 0 and π are one, with opposite rho."""
    for step in range(-_SAME_ANGLE, _SAME_ANGLE + 1):
        turned = k + step
        sign = 1 if 0 <= turned < _ANGLES else -1
        middle = sign * rho + reach
        scores[turned % _ANGLES, max(middle - _SAME_RHO, 0) : middle + _SAME_RHO + 1] = 0.0


def _binned(scaled: NDArray[Any]) -> tuple[F64, int]:
    """Block means in units of their noise, clipped so that stars count little."""
    factor = max(1, int(np.ceil(max(scaled.shape) / _BINNED_SIDE_PIX)))
    ny, nx = (side // factor for side in scaled.shape)
    blocks = scaled[: ny * factor, : nx * factor].reshape(ny, factor, nx, factor)
    n_good = np.isfinite(blocks).sum(axis=(1, 3))
    value = np.nansum(blocks, axis=(1, 3)) / np.sqrt(np.maximum(n_good, 1))
    value = np.where(n_good > 0.5 * factor**2, value, np.nan)
    value = value - np.nanmedian(value) if np.isfinite(value).any() else value
    return np.clip(value, -_CLIP_SIGMA, _CLIP_SIGMA), factor


def _trace(scaled: NDArray[Any], line: _Line, fwhm_pix: float, config: MaskConfig) -> Mask | None:
    """Pixels of the trail along a line; None if it does not look like one."""
    ny, nx = scaled.shape
    strip = _cut_strip(scaled, line, fwhm_pix)
    offsets, widths, heights, lit = _lit_pieces(strip, fwhm_pix)
    # By chance noise has a ridge too, but not one as high as the trail's.
    bright = heights >= _EVENNESS * np.median(heights[lit]) if lit.any() else lit
    first, last = _longest_run(lit & bright)
    lit &= bright
    used = np.flatnonzero(lit[first:last]) + first
    length = strip.edges[last] - strip.edges[first]
    if len(used) < _MIN_PIECES_LIT or length < config.trail_min_length * min(ny, nx):
        return None
    straight = np.polyfit(0.5 * (strip.edges[used] + strip.edges[used + 1]), offsets[used], 1)
    if lit[first:last].mean() < _MIN_LIT:
        return None
    y, x = np.mgrid[0:ny, 0:nx]
    cos, sin = np.cos(line.angle), np.sin(line.angle)
    along, across = y * cos - x * sin, x * cos + y * sin - line.rho
    half = min(float(np.median(widths[used])), strip.reach / 2) + 0.5 * fwhm_pix + 1.0
    margin = strip.edges[1] - strip.edges[0]
    inside = (along > strip.edges[first] - margin) & (along < strip.edges[last] + margin)
    return np.asarray(inside & (np.abs(across - np.polyval(straight, along)) <= half))


def _cut_strip(scaled: NDArray[Any], line: _Line, fwhm_pix: float) -> _Strip:
    """Medians of the image along the line, in pieces, at every distance across."""
    ny, nx = scaled.shape
    factor = max(1.0, max(ny, nx) / _BINNED_SIDE_PIX)
    reach = int(np.ceil(4 * fwhm_pix + 4 * factor))
    size = int(np.ceil(np.hypot(ny, nx)))
    x, y = line.points(np.arange(-size, size + 1), np.zeros(2 * size + 1))
    on_frame = (x > -1) & (x < nx) & (y > -1) & (y < ny)
    along = np.arange(-size, size + 1)[on_frame]
    length = max(len(along) // _PIECES, _MIN_PIECE_PIX)
    n = max(len(along) // length, 1)
    along = along[: n * length]
    grid_x, grid_y = line.points(along[:, None], np.arange(-reach, reach + 1)[None, :])
    ix, iy = np.rint(grid_x).astype(int), np.rint(grid_y).astype(int)
    inside = (ix >= 0) & (ix < nx) & (iy >= 0) & (iy < ny)
    values = np.where(inside, scaled[np.clip(iy, 0, ny - 1), np.clip(ix, 0, nx - 1)], np.nan)
    pieces = values.reshape(n, -1, 2 * reach + 1)
    enough = np.isfinite(pieces).sum(axis=1) >= 0.5 * pieces.shape[1]
    profile = np.nanmedian(np.where(enough[:, None, :], pieces, 0.0), axis=1)
    profile = np.where(enough, profile, np.nan)
    start = float(along[0]) if len(along) else 0.0
    return _Strip(start + length * np.arange(n + 1, dtype=np.float64), profile, reach)


def _lit_pieces(strip: _Strip, fwhm_pix: float) -> tuple[F64, F64, F64, Mask]:
    """Offset, half-width, height and presence of a ridge in each piece.

    A piece is lit where the middle of the strip is brighter than every place outside it.
    """
    n, size = strip.profile.shape
    offsets, widths, heights = np.zeros(n), np.zeros(n), np.zeros(n)
    lit = np.zeros(n, dtype=bool)
    width = max(3, round(fwhm_pix))
    middle = np.abs(np.arange(size) - strip.reach) <= max(strip.reach // 2, 4)
    for k, profile in enumerate(strip.profile):
        if np.isfinite(profile).sum() < 0.7 * size:
            continue
        level = np.nanmedian(profile)
        smooth = uniform_filter1d(np.where(np.isfinite(profile), profile, level) - level, width)
        peak = int(np.where(middle, smooth, -np.inf).argmax())
        outside = np.abs(np.arange(size) - peak) > 2 * width
        spread = 1.4826 * np.median(np.abs(smooth[outside]))
        lit[k] = smooth[peak] > max(smooth[outside].max(), 2.0 * spread)
        above = smooth > 0.15 * smooth[peak]
        left, right = peak, peak
        while left > 0 and above[left - 1]:
            left -= 1
        while right < size - 1 and above[right + 1]:
            right += 1
        offsets[k], heights[k] = peak - strip.reach, smooth[peak]
        widths[k] = 0.5 * (right - left + 1)
    return offsets, widths, heights, lit


def _longest_run(lit: Mask) -> tuple[int, int]:
    """Longest stretch of lit pieces, one or two dark ones bridged: [first, last)."""
    bridged = binary_closing(np.pad(lit, 2), structure=np.ones(3, dtype=bool))[2:-2]
    steps = np.flatnonzero(np.diff(np.concatenate([[0], bridged.astype(int), [0]])))
    starts, stops = steps[::2], steps[1::2]
    if len(starts) == 0:
        return 0, 0
    best = int((stops - starts).argmax())
    return int(starts[best]), int(stops[best])
