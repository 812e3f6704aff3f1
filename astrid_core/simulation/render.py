"""Expected light of point sources and galaxies on a pixel grid, noise-free, in electrons."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.stamps import add_stamp

F64 = NDArray[np.float64]

GALAXY_DTYPE = np.dtype(
    [
        ("x_pix", "f8"),
        ("y_pix", "f8"),
        ("flux", "f8"),
        ("scale_pix", "f8"),
        ("axis_ratio", "f8"),
        ("angle_deg", "f8"),
        ("bulge", "f8"),
    ]
)
"""An exponential disc of scale length ``scale_pix`` with a rounder, four times more compact
exponential bulge that holds the share ``bulge`` of the flux."""

FAINTEST_E = 0.02
"""Surface brightness in electrons per pixel below which wings are not rendered."""

_MAX_HALF_WIDTH = 300
_STARS_AT_ONCE = 64


def add_point_sources(image: F64, psf: MoffatPsf, x_pix: F64, y_pix: F64, flux: F64) -> None:
    """Add point sources of either sign to ``image`` (ny, nx), in place.

    Each source is rendered at its exact sub-pixel position, as far out as its wings exceed
    ``FAINTEST_E``; sources beyond the edge still send their wings in.
    """
    x, y, flux = (np.atleast_1d(np.asarray(a, dtype=float)) for a in (x_pix, y_pix, flux))
    halves = np.array([_half_width(psf, value) for value in np.abs(flux)], dtype=int)
    for half in np.unique(halves):
        rows = np.flatnonzero((halves == half) & (flux != 0) & _reaches(image, x, y, half))
        at_once = max(1, _STARS_AT_ONCE * 900 // (2 * half + 1) ** 2)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            stamps = psf.stamps(x[some], y[some], int(half)) * flux[some, None, None]
            for stamp, cx, cy in zip(stamps, x[some], y[some], strict=True):
                add_stamp(image, stamp, round(cx), round(cy))


def add_galaxies(image: F64, psf: MoffatPsf, galaxies: NDArray[np.void]) -> None:
    """Add galaxies of ``GALAXY_DTYPE`` to ``image`` (ny, nx), in place.

    Disc and bulge have a closed Fourier transform, (1 + k²)^−3/2, so the convolution with
    the PSF is exact; the PSF is that at the galaxy's centre.
    """
    for galaxy in galaxies:
        half = 8 * int(np.ceil((psf.half_width() + 7.0 * galaxy["scale_pix"]) / 8))
        if _reaches(image, galaxy["x_pix"], galaxy["y_pix"], half):
            stamp = galaxy["flux"] * _galaxy_stamp(psf, galaxy, half)
            add_stamp(image, stamp, round(galaxy["x_pix"]), round(galaxy["y_pix"]))


def _galaxy_stamp(psf: MoffatPsf, galaxy: NDArray[np.void], half: int) -> F64:
    """(2·half + 1)² stamp of unit flux, sampled twice per pixel during the convolution."""
    x, y = float(galaxy["x_pix"]), float(galaxy["y_pix"])
    n = 4 * half + 4
    core = psf.points(x, y, (np.arange(n) - n // 2) / 2.0)
    ky = 2 * np.pi * fft.fftfreq(n, 0.5)[:, None]
    kx = 2 * np.pi * fft.rfftfreq(n, 0.5)[None, :]
    light = _galaxy_transform(galaxy, kx, ky)
    # The pixel integral is a sinc in Fourier space; the phase puts the sub-pixel centre.
    pixel = np.sinc(kx / (2 * np.pi)) * np.sinc(ky / (2 * np.pi))
    phase = np.exp(-1j * (kx * (x - round(x)) + ky * (y - round(y))))
    blurred = fft.irfft2(fft.rfft2(fft.ifftshift(core)) * light * pixel * phase, s=(n, n))
    centred = fft.fftshift(blurred)
    first = n // 2 - 2 * half
    return np.asarray(centred[first : first + 4 * half + 1 : 2, first : first + 4 * half + 1 : 2])


def _galaxy_transform(galaxy: NDArray[np.void], kx: F64, ky: F64) -> F64:
    """Fourier transform of the intrinsic light, unit flux."""
    angle = np.radians(galaxy["angle_deg"])
    k_major = kx * np.cos(angle) + ky * np.sin(angle)
    k_minor = -kx * np.sin(angle) + ky * np.cos(angle)
    scale, q = galaxy["scale_pix"], galaxy["axis_ratio"]
    bulge_scale, bulge_q = scale / 4, np.sqrt(q)
    disc = (1 + (scale * k_major) ** 2 + (scale * q * k_minor) ** 2) ** -1.5
    bulge = (1 + (bulge_scale * k_major) ** 2 + (bulge_scale * bulge_q * k_minor) ** 2) ** -1.5
    return np.asarray((1 - galaxy["bulge"]) * disc + galaxy["bulge"] * bulge)


def _half_width(psf: MoffatPsf, flux: float) -> int:
    """Half width of a source's stamp, rounded up to steps that let sources share a batch."""
    half = psf.half_width(FAINTEST_E / max(flux, FAINTEST_E))
    return min(4 * int(np.ceil(half / 4)), _MAX_HALF_WIDTH)


def _reaches(image: F64, x: F64, y: F64, half: int) -> NDArray[np.bool_]:
    ny, nx = image.shape
    return np.asarray((x > -half) & (x < nx + half) & (y > -half) & (y < ny + half))
