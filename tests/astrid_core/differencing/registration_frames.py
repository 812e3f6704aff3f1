"""Frames for registration tests: star fields painted with known truth, and real files."""

import datetime as dt
import warnings
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import sep
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.special import erf

from astrid_core.errors import TooFewStarsError
from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame, FrameMeta
from astrid_core.preprocessing.catalogue import find_stars
from astrid_core.preprocessing.config import CatalogueConfig, PsfConfig
from astrid_core.preprocessing.noise import pixel_noise
from astrid_core.preprocessing.psf import measure_psf
from astrid_core.psf import Psf

NAMESPACE = UUID(int=7)
F64 = NDArray[np.float64]
Stars = tuple[F64, F64, F64]


def paint(shape: tuple[int, int], x: F64, y: F64, flux: F64, fwhm_pix: float) -> F64:
    """Round Gaussian stars integrated over pixels, noiseless."""
    image = np.zeros(shape)
    sigma = fwhm_pix / 2.354820045 * np.sqrt(2)
    half = int(np.ceil(4 * fwhm_pix))
    for px, py, f in zip(x, y, flux, strict=True):
        columns = np.arange(max(0, round(px) - half), min(shape[1], round(px) + half + 1))
        rows = np.arange(max(0, round(py) - half), min(shape[0], round(py) + half + 1))
        if len(columns) == 0 or len(rows) == 0:
            continue
        along_x = erf((columns + 0.5 - px) / sigma) - erf((columns - 0.5 - px) / sigma)
        along_y = erf((rows + 0.5 - py) / sigma) - erf((rows - 0.5 - py) / sigma)
        image[np.ix_(rows, columns)] += f * np.outer(along_y, along_x) / 4
    return image


def random_stars(seed: int, n: int, side: float, faintest: float = 2000.0) -> Stars:
    """x, y, flux of a field from −100 to ``side`` with a power law of fluxes."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-100.0, side, (2, n))
    return x, y, faintest * rng.random(n) ** -0.8


def exposure(
    stars: Stars,
    seed: int,
    shape: tuple[int, int] = (256, 256),
    fwhm_pix: float = 3.0,
    sky_e: float = 200.0,
    transmission: float = 1.0,
) -> Frame:
    """A frame of these stars in electrons, with its own noise, measured stars and PSF."""
    rng = np.random.default_rng(seed)
    x, y, flux = stars
    expected = paint(shape, x, y, flux * transmission, fwhm_pix) + sky_e
    data = (rng.poisson(expected) - sky_e).astype(np.float32)
    meta = FrameMeta(
        observation_id=uuid5(NAMESPACE, f"exposure-{seed}"),
        survey="test",
        night=dt.date(2020, 1, 1),
        field="painted",
        filter_band="r",
        observation_time=None,
        exposure_s=60.0,
    )
    frame = Frame(
        data=data,
        variance=np.full(shape, sky_e, dtype=np.float32),
        mask=np.zeros(shape, dtype=np.uint16),
        psf=gaussian_psf(fwhm_pix, shape),
        meta=meta,
    )
    return measured(frame)


def measured(frame: Frame) -> Frame:
    """The frame with its catalogue and PSF measured on its pixels."""
    gain = frame.meta.source_gain
    planes = frame.data, frame.variance, frame.mask
    stars = find_stars(*planes, CatalogueConfig(), gain)
    try:
        psf = measure_psf(*planes, stars, PsfConfig(), gain)
    except TooFewStarsError:
        fwhm = float(np.median(stars["fwhm_pix"])) if len(stars) else 3.0
        psf = gaussian_psf(fwhm, frame.shape)
    return replace(frame, stars=stars, psf=psf)


def gaussian_psf(fwhm_pix: float, shape: tuple[int, int]) -> Psf:
    half = int(np.ceil(2.5 * fwhm_pix))
    r2 = np.arange(-half, half + 1) ** 2
    stamp = np.exp(-4 * np.log(2) * (r2[:, None] + r2) / fwhm_pix**2)
    terms = (stamp / stamp.sum())[None].astype(np.float32)
    return Psf(terms, 0, shape, fwhm_pix, 0.0, 0, is_fallback=True)


def real_frame(
    path: Path,
    hdu: int = 0,
    gain: float | None = None,
    saturation: float | None = None,
    mesh: int = 64,
    with_wcs: bool = True,
) -> Frame:
    """A frame from a real file: mesh background, noise of neighbours, stars and PSF.

    Photon noise comes from ``gain``; without it sources are taken as noiseless.
    """
    with warnings.catch_warnings(), fits.open(path) as hdus:
        warnings.simplefilter("ignore")
        header = hdus[hdu].header
        data = np.ascontiguousarray(hdus[hdu].data, dtype=np.float32)
        wcs = WCS(header) if with_wcs else None
    bad = ~np.isfinite(data) | (data == 0)
    mask = np.where(bad, PixelFlag.NODATA, 0).astype(np.uint16)
    if saturation is not None:
        mask[data >= saturation] |= np.uint16(PixelFlag.SATURATED)
    scale = float(np.std(data[~bad]))
    clean = np.where(bad, np.median(data[~bad]), data) / scale
    background = sep.Background(clean.astype(np.float32), mask=bad, bw=mesh, bh=mesh)
    sky = background.back() * scale
    residual = np.where(bad, 0.0, data - sky).astype(np.float32)
    usable = (mask & np.uint16(UNUSABLE)) == 0
    noise = pixel_noise(residual, usable & (residual < 3 * background.globalrms * scale))
    meta = FrameMeta(
        observation_id=uuid5(NAMESPACE, path.name),
        survey="test",
        night=dt.date(2020, 1, 1),
        field=path.parent.name,
        filter_band="r",
        observation_time=None,
        exposure_s=None,
        unit="adu",
        source_gain=gain or 0.0,
    )
    frame = Frame(
        data=residual,
        variance=np.full(data.shape, noise**2, dtype=np.float32),
        mask=mask,
        psf=gaussian_psf(3.0, data.shape),
        meta=meta,
        wcs=wcs if wcs is not None and wcs.has_celestial else None,
    )
    return measured(frame)
