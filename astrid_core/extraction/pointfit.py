"""The flux of a point source at a given position: one fit for detections and forced photometry."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.flags import UNUSABLE
from astrid_core.preprocessing.shapes import cut_stamps
from astrid_core.preprocessing.shift import shift_stamps
from astrid_core.psf import Psf

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Cut:
    """Stamps (n, m, m) around n pixels of an image.

    Attributes
    ----------
    pixels
        float64, 0 where unusable.
    valid
        True where usable.
    variance
        float64, per pixel.
    psf
        float64, the PSF at each pixel, on its middle.
    """

    pixels: F64
    valid: NDArray[np.bool_]
    variance: F64
    psf: F64


@dataclass(frozen=True)
class PointFit:
    """PSF fluxes of n sources at known positions.

    Attributes
    ----------
    flux, flux_err
        (n,) float64; the error with the source's own photons.
    masked_weight
        (n,) share of the PSF² weight on unusable pixels.
    profile
        (n, m, m) the PSF moved onto each position, sum 1.
    variance
        (n, m, m) per pixel, the source's own photons included.
    """

    flux: F64
    flux_err: F64
    masked_weight: F64
    profile: F64
    variance: F64


def cut_around(
    data: NDArray[np.float32],
    variance: NDArray[np.float32],
    mask: NDArray[np.uint16],
    psf: Psf,
    x_pix: NDArray[Any],
    y_pix: NDArray[Any],
) -> Cut:
    """Stamps of an image around (n,) integer pixels on it, as large as its PSF's."""
    half = psf.terms.shape[-1] // 2
    usable = (mask & np.uint16(UNUSABLE)) == 0
    clean = np.where(usable, data, np.float32(0))
    return Cut(
        pixels=cut_stamps(clean, x_pix, y_pix, half).astype(np.float64),
        valid=cut_stamps(usable, x_pix, y_pix, half),
        variance=cut_stamps(variance, x_pix, y_pix, half).astype(np.float64),
        psf=psf_stamps(psf, x_pix, y_pix),
    )


def psf_stamps(psf: Psf, x_pix: NDArray[Any], y_pix: NDArray[Any]) -> F64:
    """PSF (n, m, m) float64 at n positions."""
    size = psf.terms.shape[-1]
    if len(x_pix) == 0:
        return np.zeros((0, size, size))
    stamps = [psf.at(float(x), float(y)) for x, y in zip(x_pix, y_pix, strict=True)]
    return np.stack(stamps).astype(np.float64)


def fit_flux(cut: Cut, dx_pix: F64, dy_pix: F64, source_gain: float) -> PointFit:
    """Fit the PSF's flux at positions off the stamps' middles.

    Pixels weigh as the PSF does, which is the matched filter where noise is white (as D's
    is), and never as their own noise: weights that follow a source's photons would make
    bright fluxes depend on errors of the PSF's core.

    Parameters
    ----------
    dx_pix, dy_pix
        (n,) offsets from the stamps' middle pixels.
    source_gain
        Electrons per flux unit, for the source's own photon noise; 0 leaves it out.
    """
    profile = shift_stamps(cut.psf, dx_pix, dy_pix)
    weight = profile * cut.valid
    norm = np.maximum((weight * profile).sum(axis=(1, 2)), 1e-30)
    flux = (weight * cut.pixels).sum(axis=(1, 2)) / norm
    own = np.maximum(flux, 0.0)[:, None, None] * profile.clip(0.0)
    variance = cut.variance + (own / source_gain if source_gain > 0 else 0.0)
    return PointFit(
        flux=flux,
        flux_err=np.sqrt((weight**2 * variance).sum(axis=(1, 2))) / norm,
        masked_weight=1.0 - norm / np.maximum((profile**2).sum(axis=(1, 2)), 1e-30),
        profile=profile,
        variance=variance,
    )
