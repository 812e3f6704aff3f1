"""Simulated raw frames with known truth, for the tests of this room."""

import datetime as dt
from uuid import UUID

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from astrid_core.frame import FrameMeta
from astrid_core.preprocessing.raw import RawFrame
from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.render import add_point_sources

SHAPE = (256, 256)


def star_field(
    seed: int,
    n_stars: int = 60,
    fwhm_pix: float = 3.2,
    beta: float = 3.5,
    shape: tuple[int, int] = SHAPE,
    flux: tuple[float, float] = (1e3, 1e5),
) -> NDArray[np.float64]:
    """(ny, nx) expected electrons of stars alone."""
    rng = np.random.default_rng(seed)
    light = np.zeros(shape)
    x, y = rng.uniform(0, shape[1] - 1, n_stars), rng.uniform(0, shape[0] - 1, n_stars)
    total = np.exp(rng.uniform(*np.log(flux), n_stars))
    psf = MoffatPsf(shape=shape, fwhm_pix=fwhm_pix, beta=beta, ellipticity=0.05)
    add_point_sources(light, psf, x, y, total)
    return light


def meta(**changes: object) -> FrameMeta:
    values: dict[str, object] = {
        "observation_id": UUID(int=1),
        "survey": "test",
        "night": dt.date(2026, 1, 1),
        "field": "F1",
        "filter_band": "r",
        "observation_time": None,
        "exposure_s": 60.0,
        "instrument": "camera",
        "detector": "1",
        "unit": "adu",
    }
    return FrameMeta(**(values | changes))  # type: ignore[arg-type]


def raw_frame(
    data: NDArray[np.floating],
    kind: str = "science",
    gain: float | None = 2.0,
    read_noise: float | None = 5.0,
    saturation: float | None = None,
    header: dict[str, object] | None = None,
    **changes: object,
) -> RawFrame:
    return RawFrame(
        data=np.asarray(data, dtype=np.float32),
        meta=meta(**changes),
        kind=kind,
        gain_e_adu=gain,
        read_noise_e=read_noise,
        saturation_adu=saturation,
        wcs=None,
        header=fits.Header(header or {}),
    )


def exposure(
    seed: int,
    scene: NDArray[np.float64],
    sky_e: float = 500.0,
    gain: float = 2.0,
    read_noise: float = 5.0,
    flat: NDArray[np.floating] | float = 1.0,
    bias_adu: float = 0.0,
) -> NDArray[np.float64]:
    """(ny, nx) counts of an exposure: photons through the flat, read noise, gain, bias."""
    rng = np.random.default_rng(1000 + seed)
    electrons = rng.poisson((scene + sky_e) * flat) + rng.normal(0, read_noise, scene.shape)
    return electrons / gain + bias_adu
