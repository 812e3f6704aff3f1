"""Rows of every stage, complete and consistent, for tests of what stores and reads them."""

import datetime as dt
import hashlib
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from astrid_core import identity
from dbschema.models import Base

Row = dict[str, Any]

SURVEY = "sim"
NIGHT = dt.date(2026, 9, 1)


def survey_row(name: str = SURVEY) -> Row:
    return {
        "id": identity.survey_id(name),
        "name": name,
        "adapter": "simulated",
        "config": {"name": name, "nested": {"b": [1, 2.5, None], "a": "α"}},
    }


def observation_row(
    number: int, survey: str = SURVEY, night: dt.date = NIGHT, **changes: object
) -> Row:
    archive_id = f"{night:%Y%m%d}-{number:03d}"
    row: Row = {
        "id": identity.observation_id(survey, archive_id),
        "survey_id": identity.survey_id(survey),
        "archive_id": archive_id,
        "night": night,
        "field": f"F{number % 3}",
        "frame_kind": "science",
        "ra": 10.5 + number,
        "dec": -20.25,
        "healpix": 4_000_000_000 + number,
        "footprint": [[10.0, -20.0], [11.0, -20.0], [11.0, -21.0], [10.0, -21.0]],
        "observation_time": dt.datetime(
            night.year, night.month, night.day, 4, number, tzinfo=dt.UTC
        ),
        "mjd_tai": 61284.25,
        "filter_band": "r",
        "exposure_s": 30.0,
        "gain_e_adu": 1.5,
        "read_noise_e": None,
        "saturation_adu": 60000.0,
        "unit": "adu",
        "zero_point_mag": None,
        "instrument": "cam",
        "detector": "1",
        "width_pix": 512,
        "height_pix": 512,
        "assumed": ["read_noise_e"],
        "raw_fits_path": f"raw_frames/{survey}/{night}/{archive_id}.fits",
        "raw_hdu": 0,
        "raw_sha256": digest(archive_id),
    }
    return row | changes


def preprocess_row(observation: Row, version: str = "1", **changes: object) -> Row:
    run = identity.run_id("preprocess", observation["id"], [], version, "c0ffee")
    row: Row = {
        "run_id": run,
        "observation_id": observation["id"],
        "calibration_ids": [],
        "status": "completed",
        "processed_fits_path": f"processed_frames/{run}.fits",
        "sha256": digest(run),
        "fwhm_pix": 2.5,
        "degraded_because": [],
        "code_version": version,
        "config_digest": "c0ffee",
        "wall_s": 1.5,
    }
    return _changed(row, changes, "processed_fits_path")


def reference_row(field: str, survey: str = SURVEY, version: str = "1", **changes: object) -> Row:
    run = identity.run_id("reference", identity.survey_id(survey), [field], version, "c0ffee")
    row: Row = {
        "run_id": run,
        "survey_id": identity.survey_id(survey),
        "set_name": "deep",
        "field": field,
        "filter_band": "r",
        "method": "coadd",
        "n_members": 2,
        "status": "completed",
        "reference_fits_path": f"reference_frames/{run}.fits",
        "sha256": digest(run),
        "code_version": version,
        "config_digest": "c0ffee",
    }
    return _changed(row, changes, "reference_fits_path")


def member_row(reference: Row, preprocess: Row, rank: int = 0, **changes: object) -> Row:
    row: Row = {
        "reference_id": reference["run_id"],
        "preprocess_run_id": preprocess["run_id"],
        "rank": rank,
        "weight": 0.5,
    }
    return row | changes


def difference_row(preprocess: Row, version: str = "1", **changes: object) -> Row:
    inputs = [preprocess["run_id"]]
    run = identity.run_id("difference", preprocess["observation_id"], inputs, version, "c0ffee")
    row: Row = {
        "run_id": run,
        "observation_id": preprocess["observation_id"],
        "preprocess_run_id": preprocess["run_id"],
        "reference_id": None,
        "reference_choice": [],
        "status": "completed",
        "difference_fits_path": f"difference_images/{run}.fits",
        "sha256": digest(run),
        "fwhm_pix": 3.0,
        "degraded_because": [],
        "code_version": version,
        "config_digest": "c0ffee",
    }
    return _changed(row, changes, "difference_fits_path")


def extraction_row(difference: Row, version: str = "1", **changes: object) -> Row:
    run = identity.run_id(
        "extraction", difference["observation_id"], [difference["run_id"]], version, "c0ffee"
    )
    row: Row = {
        "run_id": run,
        "difference_run_id": difference["run_id"],
        "status": "completed",
        "n_candidates": 2,
        "filter_counts": {"dipole": 1},
        "cutout_path": f"cutouts/{run}.fits",
        "sha256": digest(run),
        "code_version": version,
        "config_digest": "c0ffee",
    }
    return _changed(row, changes, "cutout_path")


def candidate_row(difference: Row, x_pix: float, y_pix: float, **changes: object) -> Row:
    is_negative = bool(changes.get("is_negative", False))
    row: Row = {
        "id": identity.candidate_id(difference["run_id"], is_negative, round(x_pix), round(y_pix)),
        "difference_run_id": difference["run_id"],
        "x_pix": x_pix,
        "y_pix": y_pix,
        "flux": 100.0,
        "flux_err": 10.0,
        "flux_unit": "instrumental",
        "snr": 10.0,
        "scorr_peak": 9.5,
        "fwhm_pix": 3.0,
        "elongation": 1.1,
        "flags": 0,
        "flag_names": [],
        "is_negative": is_negative,
        "cutout_path": "cutouts/x.fits",
        "cutout_index": 0,
        "cutout_sha256": digest((x_pix, y_pix)),
    }
    return row | changes


def model_row(version: str = "1") -> Row:
    return {
        "id": identity.derive_id("model", "test", version),
        "name": "test",
        "version": version,
        "architecture": {"kind": "BasicUNet"},
        "weights_path": f"models/{version}.safetensors",
        "sha256": digest(version),
        "card": {},
    }


def model_run_row(difference: Row, model: Row, version: str = "1", **changes: object) -> Row:
    inputs = [difference["run_id"], model["sha256"]]
    row: Row = {
        "run_id": identity.run_id("model", difference["observation_id"], inputs, version, "c0ffee"),
        "difference_run_id": difference["run_id"],
        "model_id": model["id"],
        "status": "completed",
        "device": "cpu",
        "n_detections": 1,
        "code_version": version,
        "config_digest": "c0ffee",
    }
    return row | changes


def detection_row(model_run: Row, candidate: Row, **changes: object) -> Row:
    row: Row = {
        "id": identity.detection_id(model_run["run_id"], candidate["id"]),
        "model_run_id": model_run["run_id"],
        "difference_run_id": model_run["difference_run_id"],
        "candidate_id": candidate["id"],
        "x_pix": candidate["x_pix"],
        "y_pix": candidate["y_pix"],
        "is_negative": candidate["is_negative"],
        "confidence_score": 0.75,
        "detection_type": "candidate",
        "cutout_path": candidate["cutout_path"],
        "cutout_index": candidate["cutout_index"],
        "cutout_sha256": candidate["cutout_sha256"],
    }
    return row | changes


def digest(value: object) -> str:
    """Some SHA-256."""
    return hashlib.sha256(str(value).encode()).hexdigest()


def ids(rows: list[Row], name: str = "run_id") -> list[UUID]:
    """A column of rows, sorted."""
    return sorted(row[name] for row in rows)


def add(connection: Connection, table: type[Base], *values: Row) -> None:
    """Insert rows of a table."""
    for row in values:
        connection.execute(insert(table).values(**row))


def _changed(row: Row, changes: dict[str, object], path: str) -> Row:
    """The row with changes; one that failed names no object."""
    if changes.get("status") in ("failed", "no_reference"):
        row = row | {path: None, "sha256": None, "error_type": "BadFitsError"}
    return row | changes
