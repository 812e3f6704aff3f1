"""Forced photometry: the flux of D at given positions, whether or not anything was found there.

It is what makes a light curve honest: epochs without a detection count as measurements,
with an error, instead of being missing because they were faint.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.filters import touches
from astrid_core.extraction.pointfit import Cut, PointFit, cut_around, fit_flux
from astrid_core.flags import ForcedFlag, PixelFlag
from astrid_core.frame import Frame

F64 = NDArray[np.float64]

FORCED_VERSION = "2"
"""Code version of this stage: part of every forced run's id."""


@dataclass(frozen=True)
class ForcedFlux:
    """Forced measurement of one position on one difference image.

    Attributes
    ----------
    index
        Which of the positions asked for.
    x_pix, y_pix
        The position, 0-based pixels of the difference image.
    flux, flux_err
        PSF flux on D, science flux units, signed; error with the source's own photons.
        None where masked.
    reference_flux, reference_flux_err
        PSF flux on the reference at that position, on the science frame's flux scale. None
        where the reference is unusable.
    flags
        :class:`~astrid_core.flags.ForcedFlag` bits.
    """

    index: int
    x_pix: float
    y_pix: float
    flux: float | None
    flux_err: float | None
    reference_flux: float | None
    reference_flux_err: float | None
    flags: int


def force_photometry(
    difference: DifferenceImage,
    reference: Frame,
    x_pix: F64,
    y_pix: F64,
    max_masked_weight: float,
) -> list[ForcedFlux]:
    """Measure D, and the reference that was subtracted, at given positions.

    Positions are believed, not refined: a fit that may wander finds noise peaks, and its
    fluxes are biased high where nothing is.

    Parameters
    ----------
    reference
        The frame that was subtracted, as it was before it was warped.
    x_pix, y_pix
        (n,) positions, 0-based pixels of the difference image. NaN is off the frame.
    max_masked_weight
        Share of the PSF² weight on unusable pixels above which there is no flux.

    Returns
    -------
    One measurement for each position on the frame; positions off it have none.
    """
    ny, nx = difference.shape
    x, y = np.asarray(x_pix, dtype=np.float64), np.asarray(y_pix, dtype=np.float64)
    on_frame = (x >= -0.5) & (x < nx - 0.5) & (y >= -0.5) & (y < ny - 0.5)
    index = np.flatnonzero(on_frame)
    x, y = x[index], y[index]
    fit = _on_difference(difference, x, y)
    is_masked = fit.masked_weight > max_masked_weight
    on_reference = _on_reference(difference, reference, x, y, max_masked_weight)
    flags = np.where(is_masked, int(ForcedFlag.MASKED), 0)
    flags |= np.where(~is_masked & (fit.masked_weight > 0), int(ForcedFlag.NEAR_MASKED), 0)
    at = difference.mask[_nearest(y, ny), _nearest(x, nx)]
    flags |= np.where(at & np.uint16(PixelFlag.EDGE), int(ForcedFlag.EDGE), 0)
    flags |= np.where(np.isnan(on_reference[0]), int(ForcedFlag.REFERENCE_MASKED), 0)
    flags |= np.where(_is_contaminated(difference, x, y), int(ForcedFlag.TEMPLATE_CONTAMINATED), 0)
    if difference.degraded_because:
        flags |= int(ForcedFlag.DEGRADED_FRAME)
    flux, flux_err = (np.where(is_masked, np.nan, value) for value in (fit.flux, fit.flux_err))
    return [
        ForcedFlux(
            index=int(index[row]),
            x_pix=float(x[row]),
            y_pix=float(y[row]),
            flux=_known(flux[row]),
            flux_err=_known(flux_err[row]),
            reference_flux=_known(on_reference[0][row]),
            reference_flux_err=_known(on_reference[1][row]),
            flags=int(flags[row]),
        )
        for row in range(len(index))
    ]


def _is_contaminated(difference: DifferenceImage, x: F64, y: F64) -> NDArray[np.bool_]:
    """Positions within a FWHM of where the reference is known to change."""
    ny, nx = difference.shape
    reach = difference.psf.fwhm_pix
    return np.array(
        [
            touches(difference.mask, int(column), int(row), reach, int(PixelFlag.CHANGING))
            for column, row in zip(_nearest(x, nx), _nearest(y, ny), strict=True)
        ],
        dtype=bool,
    )


def _on_difference(difference: DifferenceImage, x: F64, y: F64) -> PointFit:
    ny, nx = difference.shape
    column, row = _nearest(x, nx), _nearest(y, ny)
    planes = difference.difference, difference.variance, difference.mask
    cut = cut_around(*planes, difference.psf, column, row)
    return fit_flux(cut, x - column, y - row, difference.meta.source_gain)


def _on_reference(
    difference: DifferenceImage, reference: Frame, x: F64, y: F64, max_masked_weight: float
) -> tuple[F64, F64]:
    """Flux of the reference and its error, on the science frame's scale; NaN where unusable."""
    flux, flux_err = np.full(len(x), np.nan), np.full(len(x), np.nan)
    if difference.to_reference is None or len(x) == 0:
        return flux, flux_err
    x, y = difference.to_reference(x, y)
    ny, nx = reference.shape
    there = np.flatnonzero((x >= -0.5) & (x < nx - 0.5) & (y >= -0.5) & (y < ny - 0.5))
    x, y = x[there], y[there]
    column, row = _nearest(x, nx), _nearest(y, ny)
    fit = fit_flux(_reference_cut(reference, column, row), x - column, y - row, 0.0)
    usable = fit.masked_weight <= max_masked_weight
    ratio = difference.quality.flux_ratio
    flux[there[usable]] = ratio * fit.flux[usable]
    flux_err[there[usable]] = ratio * fit.flux_err[usable]
    return flux, flux_err


def _reference_cut(reference: Frame, column: NDArray[np.intp], row: NDArray[np.intp]) -> Cut:
    """Stamps of a reference whose noise is that of all the light there, neighbours' too."""
    variance = reference.variance
    if reference.meta.source_gain > 0:
        light = np.nan_to_num(np.maximum(reference.data, np.float32(0)))
        variance = (variance + light / np.float32(reference.meta.source_gain)).astype(np.float32)
    return cut_around(reference.data, variance, reference.mask, reference.psf, column, row)


def _nearest(position: F64, side: int) -> NDArray[np.intp]:
    """Nearest pixel, on the frame."""
    return np.clip(np.rint(position), 0, side - 1).astype(np.intp)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
