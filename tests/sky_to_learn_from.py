"""Judged detections on small made-up frames, for tests of training data.

The pixels are noise with a source at each detection: enough for what cuts, splits and audits
them. Nothing here is differenced; that is tested elsewhere.
"""

import datetime as dt
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from astropy.wcs import WCS
from sqlalchemy import Connection

from astrid_core.curation.access import KnownUser
from astrid_core.differencing.difference import DifferenceImage, DifferenceQuality, write_difference
from astrid_core.flags import PixelFlag
from astrid_core.frame import Frame, FrameMeta, write_frame
from astrid_core.psf import Psf
from astrid_core.sky import footprint, healpix_index
from astrid_core.storage import ObjectStore
from dbschema.models import (
    Candidate,
    Detection,
    DifferenceRun,
    Model,
    ModelRun,
    Observation,
    PreprocessRun,
    Survey,
)
from tests import rows
from tests.review import expert, judge

SIDE = 160
FWHM = 3.0
NIGHTS = (dt.date(2026, 9, 1), dt.date(2026, 9, 2), dt.date(2026, 9, 3))
PLACES = ((40.0, 45.5), (110.25, 50.0), (75.0, 120.0))
"""Of the sources on every frame: real, bogus, real."""


@dataclass
class Sky:
    """What was put there: detections by (field, night), in the order of ``PLACES``."""

    detections: dict[tuple[int, dt.date], list[UUID]] = field(default_factory=dict)
    frames: dict[tuple[int, dt.date], tuple[Frame, DifferenceImage]] = field(default_factory=dict)


def wcs_of(number: int, side: int = SIDE) -> WCS:
    """A field of its own, four degrees from the next."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [10.0 + 4.0 * number, -20.0]
    wcs.wcs.crpix = [side / 2, side / 2]
    wcs.wcs.cdelt = [-1 / 3600, 1 / 3600]
    return wcs


def psf(side: int = SIDE) -> Psf:
    """A round Gaussian."""
    grid = np.arange(-10, 11)
    r2 = grid[:, None] ** 2 + grid[None, :] ** 2
    stamp = np.exp(-r2 / (2 * (FWHM / 2.3548) ** 2))
    stamp = (stamp / stamp.sum()).astype(np.float32)
    return Psf(stamp[None], 0, (side, side), FWHM, 0.0, 50)


def make_pair(
    number: int,
    night: dt.date,
    seed: int,
    side: int = SIDE,
    places: Sequence[tuple[float, float]] = PLACES,
) -> tuple[Frame, DifferenceImage]:
    """A science frame and a difference with a source at each place; a corner is masked."""
    rng = np.random.default_rng(seed)
    meta = FrameMeta(
        observation_id=rows.observation_row(number, night=night)["id"],
        survey=rows.SURVEY,
        night=night,
        field=f"F{number}",
        filter_band="r",
        observation_time=dt.datetime(night.year, night.month, night.day, 4, tzinfo=dt.UTC),
        exposure_s=30.0,
    )
    grid, width = np.arange(side), 2 * (FWHM / 2.3548) ** 2
    change = np.zeros((side, side), dtype=np.float32)
    for x, y in places:
        along_y, along_x = np.exp(-((grid - y) ** 2) / width), np.exp(-((grid - x) ** 2) / width)
        change += 8 * np.outer(along_y, along_x).astype(np.float32)
    noise = [rng.normal(size=(side, side)).astype(np.float32) for _ in range(3)]
    mask = np.zeros((side, side), dtype=np.uint16)
    mask[:12, :12] = PixelFlag.BAD
    ones = np.ones((side, side), dtype=np.float32)
    science = Frame(noise[0] + change, ones, mask, psf(side), meta, wcs_of(number, side))
    difference = DifferenceImage(
        difference=noise[1] + change,
        scorr=noise[2] * 0.6 + change,
        variance=ones,
        mask=mask,
        psf=psf(side),
        reference=noise[0] * 0.5,
        meta=meta,
        wcs=wcs_of(number, side),
        quality=DifferenceQuality(1.0, 1.0, 30, 0.05, 1.0, 0.01, FWHM, 5.0),
    )
    return science, difference


def store_sky(
    connection: Connection,
    store: ObjectStore,
    n_fields: int = 8,
    nights: tuple[dt.date, ...] = NIGHTS,
    judged: bool = True,
    confidence: float = 0.8,
) -> Sky:
    """Frames of fields and nights with their detections, judged by an expert.

    Parameters
    ----------
    confidence
        Of the real ones; bogus ones have 1 minus it.
    """
    sky = Sky()
    by = expert(connection) if judged else None
    model = rows.model_row()
    for table, row in ((Survey, rows.survey_row()), (Model, model)):
        rows.add(connection, table, row)
    for number in range(n_fields):
        for turn, night in enumerate(nights):
            pair = make_pair(number, night, seed=1000 * number + turn)
            sky.frames[number, night] = pair
            stored = store_pair(connection, store, number, night, pair, model)
            sky.detections[number, night] = _detect(connection, stored, number, confidence, by)
    return sky


def store_pair(
    connection: Connection,
    store: ObjectStore,
    number: int,
    night: dt.date,
    pair: tuple[Frame, DifferenceImage],
    model: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Objects and rows of a pair; those of its difference and of the model's run on it."""
    science, difference = pair
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "science.fits"
        write_frame(science, path)
        key = f"processed_frames/{number}-{night}.fits"
        science_name = {"processed_fits_path": key, "sha256": store.put_file(key, path)}
        path = Path(folder) / "difference.fits"
        write_difference(difference, path)
        key = f"difference_images/{number}-{night}.fits"
        difference_name = {"difference_fits_path": key, "sha256": store.put_file(key, path)}
    ra, dec, corners = footprint(science.wcs, science.shape)
    observation = rows.observation_row(
        number,
        night=night,
        field=f"F{number}",
        ra=ra,
        dec=dec,
        footprint=corners,
        width_pix=science.shape[1],
        height_pix=science.shape[0],
    )
    processed = rows.preprocess_row(observation, **science_name)
    differenced = rows.difference_row(
        processed, fwhm_pix=FWHM, masked_fraction=0.01, flux_ratio=1.0, **difference_name
    )
    run = rows.model_run_row(differenced, model)
    for table, row in (
        (Observation, observation),
        (PreprocessRun, processed),
        (DifferenceRun, differenced),
        (ModelRun, run),
    ):
        rows.add(connection, table, row)
    return differenced, run


def _detect(
    connection: Connection,
    stored: tuple[dict[str, Any], dict[str, Any]],
    number: int,
    confidence: float,
    by: KnownUser | None,
) -> list[UUID]:
    differenced, run = stored
    found = []
    for index, (x, y) in enumerate(PLACES):
        is_real = index != 1
        sky = wcs_of(number).pixel_to_world(x, y)
        place = {"ra": float(sky.ra.deg), "dec": float(sky.dec.deg)}
        place["healpix"] = healpix_index(place["ra"], place["dec"])
        candidate = rows.candidate_row(differenced, x, y, **place)
        detection = rows.detection_row(
            run, candidate, confidence_score=confidence if is_real else 1 - confidence, **place
        )
        rows.add(connection, Candidate, candidate)
        rows.add(connection, Detection, detection)
        found.append(detection["id"])
        if by is not None:
            judge(connection, by, detection["id"], "real" if is_real else "bogus")
    return found
