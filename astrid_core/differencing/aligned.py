"""Proper subtraction of two aligned frames, tile by tile.

The frames share a pixel grid, a flux scale and a background; what makes them so is in
``subtract``. What is done here is ZOGY with the PSFs and noise of each tile.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.masking import fill_unusable, unusable_pixels
from astrid_core.differencing.tiles import Tile, plan_tiles
from astrid_core.differencing.zogy import Real, Side, difference_psfs, zogy_tile
from astrid_core.frame import Frame
from astrid_core.parallel import threads_allowed
from astrid_core.preprocessing.shapes import stamp_ellipticity, stamp_fwhm
from astrid_core.psf import Psf, exponents

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

MIN_TILE_PIX = 128
"""Smaller tiles would be more margin than core."""
_FLAT_VARIANCE = 0.01
"""Relative scatter below which a variance map counts as constant."""


@dataclass(frozen=True)
class AlignedPair:
    """Two frames on one grid, on the science flux scale, with their noise.

    Attributes
    ----------
    science, reference
        Frames of the same shape. The reference's ``meta.source_gain`` is that of its
        pixels as scaled here.
    correlation_n, correlation_r
        Autocovariance of each one's noise in units of its variance; None where white.
    shift_sigma_pix
        (x, y) rms of the registration error.
    """

    science: Frame
    reference: Frame
    correlation_n: Real | None = None
    correlation_r: Real | None = None
    shift_sigma_pix: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class ProperDifference:
    """D, S_corr, variance (all (ny, nx) float32) and the PSF of D."""

    difference: F32
    scorr: F32
    variance: F32
    psf: Psf


def subtract_aligned(pair: AlignedPair, config: DifferenceConfig) -> ProperDifference:
    """ZOGY of two aligned frames in tiles, on the threads this process may use.

    Unusable pixels are filled before and left to the caller's mask after.
    """
    shape = pair.science.shape
    bad_n, bad_r = unusable_pixels(pair.science), unusable_pixels(pair.reference)
    fwhm = max(pair.science.psf.fwhm_pix, pair.reference.psf.fwhm_pix)
    science, reference = fill_unusable(pair.science.data, pair.reference.data, bad_n, bad_r, fwhm)
    sky_n = _SkyVariance.of(pair.science.variance, bad_n, fwhm)
    sky_r = _SkyVariance.of(pair.reference.variance, bad_r, fwhm)
    difference, scorr, variance = (np.empty(shape, dtype=np.float32) for _ in range(3))
    side = tile_side([pair.science.psf, pair.reference.psf], config)
    tiles = list(plan_tiles(shape, side, config.margin_pix))

    def subtract_tile(tile: Tile) -> list[tuple[float, float, Real]]:
        """Write a tile's core; (x, y, stamp) samples of the PSF of D."""
        n = _side(pair.science, sky_n, tile, pair.correlation_n)
        r = _side(pair.reference, sky_r, tile, pair.correlation_r)
        result = zogy_tile(
            tile.cut(science),
            tile.cut(reference),
            n,
            r,
            variance_n=sky_n.cut(tile, n.variance),
            variance_r=sky_r.cut(tile, r.variance),
            shift_sigma_pix=pair.shift_sigma_pix,
        )
        difference[tile.core] = tile.core_of(result.difference)
        scorr[tile.core] = tile.core_of(result.scorr)
        variance[tile.core] = tile.core_of(result.variance)
        places = _sample_positions(tile, pair.science.psf, len(tiles))
        stamps = difference_psfs(n, r, [pair.science.psf.at(x, y) for x, y in places])
        return [(x, y, stamp) for (x, y), stamp in zip(places, stamps, strict=True)]

    with ThreadPoolExecutor(min(threads_allowed(), len(tiles))) as threads:
        samples = [sample for each in threads.map(subtract_tile, tiles) for sample in each]
    return ProperDifference(difference, scorr, variance, _fit_psf(samples, pair.science.psf))


def tile_side(psfs: Sequence[Psf], config: DifferenceConfig) -> int:
    """Side of tiles small enough that no PSF changes much within one.

    ``config.tile_pix``, halved until from a tile's centre to its corner each PSF changes
    by at most ``config.psf_change`` (rms, relative to itself), but not below
    ``MIN_TILE_PIX``.
    """
    side = config.tile_pix
    while side >= 2 * MIN_TILE_PIX and any(_change(psf, side) > config.psf_change for psf in psfs):
        side //= 2
    return side


def _change(psf: Psf, side: int) -> float:
    """Largest relative change of a PSF from the centre of a tile to its corners."""
    if psf.order == 0:
        return 0.0
    changes = []
    for tile in plan_tiles(psf.shape, side, 0):
        x, y = tile.centre
        rows, columns = tile.core
        corner = psf.at(columns.stop - 1, rows.stop - 1)
        middle = psf.at(x, y)
        changes.append(float(np.linalg.norm(corner - middle) / np.linalg.norm(middle)))
    return max(changes)


# --- noise --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _SkyVariance:
    """Sky variance of a frame: its typical value, and maps of tiles where it varies.

    Attributes
    ----------
    raw
        (ny, nx) float32 as measured.
    bad
        True where it was not.
    width_pix
        Maps are averaged over this, the kernels' width.
    """

    raw: F32
    bad: Mask
    typical: float
    is_constant: bool
    width_pix: int

    @classmethod
    def of(cls, variance: F32, bad: Mask, fwhm_pix: float) -> "_SkyVariance":
        """Summarise a variance plane whose bad pixels count for nothing."""
        values = variance[~bad]
        typical = float(np.median(values)) if values.size else 1.0
        is_constant = values.size == 0 or float(values.std()) < _FLAT_VARIANCE * typical
        return cls(variance, bad, typical, is_constant, max(3, round(fwhm_pix)))

    def in_tile(self, tile: Tile) -> float:
        """Typical variance of a tile's core."""
        if self.is_constant:
            return self.typical
        values = self.raw[tile.core][~self.bad[tile.core]]
        return float(np.median(values)) if values.size else self.typical

    def cut(self, tile: Tile, fill: float) -> F32 | None:
        """Padded variance map of a tile, smooth; None where it is constant."""
        if self.is_constant:
            return None
        filled = tile.cut(self.raw, fill)
        filled[tile.cut(self.bad)] = self.typical
        return np.asarray(uniform_filter(filled, self.width_pix, mode="nearest"))


def _side(frame: Frame, sky: _SkyVariance, tile: Tile, correlation: Real | None) -> Side:
    x, y = tile.centre
    return Side(
        psf=frame.psf.at(x, y),
        variance=sky.in_tile(tile),
        gain=frame.meta.source_gain,
        correlation=correlation,
    )


# --- PSF of D -----------------------------------------------------------------------------


def _sample_positions(tile: Tile, psf: Psf, n_tiles: int) -> list[tuple[float, float]]:
    """Where to sample the PSF of D: tile centres, and a grid in them if tiles are few."""
    if psf.order == 0 or n_tiles >= 9:
        return [tile.centre]
    rows, columns = tile.core
    return [
        (float(x), float(y))
        for y in np.linspace(rows.start, rows.stop - 1, 3)
        for x in np.linspace(columns.start, columns.stop - 1, 3)
    ]


def _fit_psf(samples: list[tuple[float, float, Real]], science: Psf) -> Psf:
    """PSF of D over the frame: polynomial of the science PSF's order through samples."""
    ny, nx = science.shape
    powers = exponents(science.order)
    u = np.array([2.0 * x / max(nx - 1, 1) - 1.0 for x, _, _ in samples])
    v = np.array([2.0 * y / max(ny - 1, 1) - 1.0 for _, y, _ in samples])
    design = np.stack([u**i * v**j for i, j in powers], axis=1)
    stamps = np.stack([stamp.ravel() for _, _, stamp in samples])
    terms = np.linalg.lstsq(design, stamps, rcond=None)[0]
    side = samples[0][2].shape[0]
    psf = Psf(
        terms=terms.reshape(len(powers), side, side).astype(np.float32),
        order=science.order,
        shape=science.shape,
        fwhm_pix=0.0,
        ellipticity=0.0,
        n_stars=science.n_stars,
        is_fallback=science.is_fallback,
    )
    centre = psf.centre()
    fwhm = stamp_fwhm(centre)
    return Psf(
        terms=psf.terms,
        order=psf.order,
        shape=psf.shape,
        fwhm_pix=fwhm,
        ellipticity=stamp_ellipticity(centre, fwhm),
        n_stars=psf.n_stars,
        is_fallback=psf.is_fallback,
    )
