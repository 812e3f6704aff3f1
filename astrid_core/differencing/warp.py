"""The reference on the science grid: pixels, variance, mask, stars and noise.

Science is never warped. The reference's light is conserved (Jacobian), unusable pixels are
filled before the kernel can spread them and flagged where they still weigh, and what the
kernel does to the noise is said in one small stamp.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_core.differencing.kernels import LOBES, tabulated_kernel
from astrid_core.differencing.resample import (
    TILE,
    Geometry,
    evaluate,
    measure_geometry,
    resample,
)
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame
from astrid_core.psf import Psf

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U16 = NDArray[np.uint16]

_FILLED = UNUSABLE & ~PixelFlag.SATURATED
"""Replaced before warping. Saturated pixels stay: the star is larger than any filling."""
_MAX_LAG_PIX = 6
_HALF = (np.arange(TILE) - (TILE - 1) / 2) / (TILE / 2)


class ToReference(Protocol):
    """What a registration offers a warp."""

    def to_reference(self, x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
        """Science pixels → reference pixels."""

    def to_science(self, x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
        """Reference pixels → science pixels."""


@dataclass(frozen=True)
class WarpedReference:
    """A reference on the science grid, still on its own flux scale.

    Attributes
    ----------
    data
        (ny, nx) float32, reference flux units per science pixel; 0 where there is none.
    variance
        (ny, nx) float32: level of the *white* noise of the reference's pixels, carried to
        this grid. Interpolation smooths that noise without changing its power at low
        frequencies, where sources are; so this, and not the smaller variance of single
        warped pixels, is what matched filters and apertures see. The power spectrum of
        the warped noise is ``variance · FT(kernel_autocovariance)``.
    mask
        (ny, nx) uint16: bits of the pixels that weigh, NODATA outside the reference, EDGE
        where the kernel is incomplete.
    kernel_autocovariance
        (13, 13) float64, centred, sum 1: autocovariance that the warp gives white noise
        of unit ``variance``. Its centre times ``variance`` is the variance of a pixel.
    coverage
        Fraction of the grid that the reference covers.
    stars
        The reference's catalogue, positions on this grid, those off it left out.
    """

    data: F32
    variance: F32
    mask: U16
    kernel_autocovariance: F64
    coverage: float
    stars: NDArray[Any]

    @property
    def pixel_variance(self) -> F32:
        """Variance of single pixels, on average over the sub-pixel phases of the warp."""
        half = self.kernel_autocovariance.shape[0] // 2
        return self.variance * np.float32(self.kernel_autocovariance[half, half])

    def as_frame(self, reference: Frame, psf: Psf, wcs: WCS | None = None) -> Frame:
        """The warped reference as a frame.

        Parameters
        ----------
        reference
            What was warped: its meta stays.
        psf
            Measured on the warped pixels.
        wcs
            Of the science frame.
        """
        return replace(
            reference,
            data=self.data,
            variance=self.variance,
            mask=self.mask,
            stars=self.stars,
            psf=psf,
            wcs=wcs,
        )


def warp_frame(
    reference: Frame, registration: ToReference, shape: tuple[int, int]
) -> WarpedReference:
    """Resample a reference onto the grid of a science frame.

    Parameters
    ----------
    reference
        Any frame.
    registration
        From :func:`~astrid_core.differencing.registration.register`.
    shape
        (ny, nx) of the science frame.

    Returns
    -------
    WarpedReference, whose light is the reference's: a star has the same total flux.

    Notes
    -----
    Windowed sinc with five lobes (see ``resample``); worst residual below .009 of a star's
    peak at FWHM 2.5 px and .001 from 4 px. Extra memory is one copy of the reference where
    it has bad pixels, and a row of tiles.
    """
    geometry = measure_geometry(registration.to_reference, shape)
    data, variance = filled_planes(reference)
    warped = resample(data, geometry)
    warped_variance = _resample_variance(variance, geometry)
    _scale_tiles(warped, warped_variance, geometry.area)
    mask = _resample_mask(reference.mask, geometry)
    outside = (mask & np.uint16(PixelFlag.NODATA)) != 0
    warped[outside] = 0.0
    return WarpedReference(
        data=warped,
        variance=warped_variance,
        mask=mask,
        kernel_autocovariance=kernel_autocovariance(geometry),
        coverage=float(1.0 - outside.mean()),
        stars=_warp_stars(reference.stars, registration, shape),
    )


def filled_planes(frame: Frame) -> tuple[F32, F32]:
    """Data and variance with unusable pixels replaced by their good neighbours' mean.

    Neighbours within two pixels weigh by the inverse square of their distance; where all
    are bad, data become 0 and variance the frame's median. Saturated pixels keep their
    values. Without bad pixels the frame's own planes are returned.
    """
    bad = (frame.mask & np.uint16(_FILLED)) != 0
    bad |= ~(np.isfinite(frame.data) & np.isfinite(frame.variance))
    if not bad.any():
        return frame.data, frame.variance
    good_variance = frame.variance[~bad]
    typical = float(np.median(good_variance)) if good_variance.size else 1.0
    data, variance = frame.data.copy(), frame.variance.copy()
    y, x = np.nonzero(bad)
    sums = np.zeros((3, len(y)))
    ny, nx = frame.shape
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            if dx == dy == 0:
                continue
            y_near, x_near = np.clip(y + dy, 0, ny - 1), np.clip(x + dx, 0, nx - 1)
            weight = np.where(bad[y_near, x_near], 0.0, 1.0 / (dx * dx + dy * dy))
            sums[0] += weight
            used = weight > 0
            sums[1, used] += weight[used] * frame.data[y_near[used], x_near[used]]
            sums[2, used] += weight[used] * frame.variance[y_near[used], x_near[used]]
    some = sums[0] > 0
    total = np.where(some, sums[0], 1.0)
    data[y, x] = np.where(some, sums[1] / total, 0.0)
    variance[y, x] = np.where(some, sums[2] / total, typical)
    return data, variance


def kernel_autocovariance(geometry: Geometry) -> F64:
    """Mean autocovariance that a warp gives white noise; see :class:`WarpedReference`.

    For a phase p and a lag l in output pixels it is Σ_k L(p − k) L(p + M·l − k) per axis,
    M the warp's Jacobian, averaged over phases spread evenly over the output.
    """
    phases = _some_phases(geometry)
    matrix = np.median(geometry.jacobian, axis=(0, 1))
    stretch = geometry.stretch
    lags = np.arange(-_MAX_LAG_PIX, _MAX_LAG_PIX + 1)
    lag_y, lag_x = np.meshgrid(lags, lags, indexing="ij")
    move = np.tensordot(matrix, np.stack([lag_x, lag_y]), axes=1)
    reach = int(np.ceil(LOBES * stretch))
    taps = np.arange(-reach, reach + 2)
    stamp = np.ones((len(phases), *lag_x.shape))
    for axis in range(2):
        here = phases[:, axis, None, None, None]
        there = here + move[axis][..., None]
        both = tabulated_kernel(here - taps, stretch) * tabulated_kernel(there - taps, stretch)
        stamp *= both.sum(axis=-1)
    mean = stamp.mean(axis=0)
    return np.asarray(mean / mean.sum())


def _some_phases(geometry: Geometry, at_most: int = 144) -> F64:
    """(n, 2) sub-pixel phases (x, y) of up to ``at_most`` tiles' middle pixels."""
    half = _HALF[TILE // 2]  # the centre itself lies between pixels
    x = evaluate(geometry.x_terms, half, half).ravel()
    y = evaluate(geometry.y_terms, half, half).ravel()
    chosen = np.unique(np.linspace(0, len(x) - 1, at_most).astype(int))
    positions = np.column_stack([x[chosen], y[chosen]])
    return np.asarray(positions - np.floor(positions))


# --- planes -------------------------------------------------------------------------------


def _scale_tiles(data: F32, variance: F32, area: F64) -> None:
    """Turn surface brightness into flux per output pixel, in place.

    A pixel of the output holds ``area`` source pixels: their flux, and their noise power.
    """
    for j, i in np.ndindex(*area.shape):
        factor = np.float32(area[j, i])
        if abs(factor - 1) > 1e-7:
            tile = np.s_[j * TILE : (j + 1) * TILE, i * TILE : (i + 1) * TILE]
            data[tile] *= factor
            variance[tile] *= factor


def _resample_variance(plane: F32, geometry: Geometry) -> F32:
    """Variance on the new grid, interpolated linearly: it is smooth and must stay positive."""
    if float(np.ptp(plane)) == 0.0:
        return np.full(geometry.shape, plane.flat[0], dtype=np.float32)
    return resample(plane, geometry, fill=float(np.median(plane)), lobes=1)


def _resample_mask(mask: U16, geometry: Geometry) -> U16:
    """OR of the mask over the pixels that weigh at least .05, plus NODATA and EDGE.

    Half-way between pixels those are the nearest twelve: a 2 × 2 block of pixels each
    grown by its four neighbours. On a whole pixel it is the pixel itself. Only tiles that
    see a flag or an edge are looked at.
    """
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    reach = LOBES * geometry.stretch
    out = np.zeros(geometry.shape, dtype=np.uint16)
    concerned = _tiles_with_flags(mask, geometry, reach)
    for j in np.flatnonzero(concerned.any(axis=1)):
        columns = np.flatnonzero(concerned[j])
        x_terms = geometry.x_terms[j, columns][:, None, None]
        y_terms = geometry.y_terms[j, columns][:, None, None]
        x = evaluate(x_terms, _HALF[None, None, :], _HALF[None, :, None])
        y = evaluate(y_terms, _HALF[None, None, :], _HALF[None, :, None])
        tiles = _flags_at(mask, grown, x, y, reach)
        for tile, i in zip(tiles, columns, strict=True):
            target = out[j * TILE : (j + 1) * TILE, i * TILE : (i + 1) * TILE]
            target[...] = tile[: target.shape[0], : target.shape[1]]
    return out


def _tiles_with_flags(mask: U16, geometry: Geometry, reach: float) -> NDArray[np.bool_]:
    """(n_tiles_y, n_tiles_x) bool: tiles whose pixels see a flag or the edge of the source."""
    ny, nx = mask.shape
    blocks = np.zeros((-(-ny // TILE), -(-nx // TILE)), dtype=np.int64)
    y, x = np.nonzero(mask)
    blocks[y // TILE, x // TILE] = 1
    counts = np.pad(blocks.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    spans = []
    is_whole = np.ones(geometry.area.shape, dtype=bool)
    for terms, side in ((geometry.y_terms, ny), (geometry.x_terms, nx)):
        half = np.abs(terms[..., 1:]).sum(axis=-1)
        low, high = terms[..., 0] - half, terms[..., 0] + half
        is_whole &= (low > reach - 1) & (high < side - reach)
        last = -(-side // TILE)
        first_block = np.clip(np.floor((low - 2) / TILE), 0, last).astype(np.int64)
        end_block = np.clip(np.floor((high + 2) / TILE) + 1, 0, last).astype(np.int64)
        spans.append((first_block, np.maximum(end_block, first_block)))
    (y0, y1), (x0, x1) = spans
    flagged = counts[y1, x1] - counts[y0, x1] - counts[y1, x0] + counts[y0, x0]
    return np.asarray((flagged > 0) | ~is_whole)


def _flags_at(mask: U16, grown: U16, x: F64, y: F64, reach: float) -> U16:
    """Mask bits under the kernel at source positions, EDGE and NODATA included."""
    ny, nx = mask.shape
    near_x = np.clip(np.rint(x), 0, nx - 1).astype(np.int64)
    near_y = np.clip(np.rint(y), 0, ny - 1).astype(np.int64)
    left, low = np.clip(np.floor(x), 0, nx - 1), np.clip(np.floor(y), 0, ny - 1)
    left, low = left.astype(np.int64), low.astype(np.int64)
    right, high = np.minimum(left + 1, nx - 1), np.minimum(low + 1, ny - 1)
    block = grown[low, left] | grown[low, right] | grown[high, left] | grown[high, right]
    is_between = (np.abs(x - near_x) > 0.05) | (np.abs(y - near_y) > 0.05)
    bits = np.where(is_between, block, mask[near_y, near_x])
    inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    whole = (x > reach - 1) & (x < nx - reach) & (y > reach - 1) & (y < ny - reach)
    bits[~whole] |= np.uint16(PixelFlag.EDGE)
    bits[~inside] = np.uint16(PixelFlag.NODATA)
    return bits


def _warp_stars(
    stars: NDArray[Any], registration: ToReference, shape: tuple[int, int]
) -> NDArray[Any]:
    """Catalogue with positions on the science grid."""
    warped = stars.copy()
    if len(stars):
        x, y = registration.to_science(stars["x_pix"], stars["y_pix"])
        warped["x_pix"], warped["y_pix"] = x, y
    ny, nx = shape
    inside = (warped["x_pix"] > -0.5) & (warped["x_pix"] < nx - 0.5)
    inside &= (warped["y_pix"] > -0.5) & (warped["y_pix"] < ny - 0.5)
    return np.asarray(warped[inside])
