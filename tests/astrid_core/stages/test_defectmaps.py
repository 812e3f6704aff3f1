"""Defect maps of a night: which exposures are asked, and what makes a run another run."""

from dataclasses import replace

import numpy as np
import pytest

from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.preprocessing.defectmap import Standouts
from astrid_core.stages.calibration import CalibrationSet
from astrid_core.stages.defectmaps import (
    DefectMaps,
    build_defect_maps,
    distinct_pointings,
    plan_looks,
)
from astrid_core.stages.outcome import Outcome
from astrid_core.stages.preprocess import plan_preprocessing
from tests import rows

CONFIG = PreprocessConfig()
DEFECTS = CONFIG.defect_map
NONE = CalibrationSet({})
SCALE_DEG = 1.0 / 3600.0


def night(offsets_pix, **changes):
    """Exposures of one detector of 1"/px at these offsets in declination."""
    return [
        rows.observation_row(number)
        | {
            "ra": 10.0,
            "dec": offset * SCALE_DEG,
            "footprint": [
                [10.0 + dx * SCALE_DEG, (offset + dy) * SCALE_DEG]
                for dx, dy in ((256, -256), (-256, -256), (-256, 256), (256, 256))
            ],
        }
        | changes
        for number, offset in enumerate(offsets_pix)
    ]


def looked_at(observations, pixels, shape=(512, 512)):
    seen = Standouts(shape, np.asarray(pixels, dtype=np.int64), shape[0] * shape[1])
    return [
        Outcome({"observation_id": row["id"], "status": "completed", "standouts": seen})
        for row in observations
    ]


def maps_of(observations, pixels=(70, 9000)):
    looks = plan_looks("sim", observations, NONE, CONFIG)
    asked = [task.observation for task in looks]
    return build_defect_maps(observations, looked_at(asked, pixels), DEFECTS)


@pytest.mark.parametrize("step_pix", [0.0, 0.5, 2.0, 9.0])
def test_without_dithers_nothing_is_looked_at_and_the_night_says_so(step_pix):
    observations = night([step_pix * i for i in (0, 1, 2, 1, 0)])
    maps = maps_of(observations)
    assert plan_looks("sim", observations, NONE, CONFIG) == []
    assert maps.maps == {}
    (report,) = maps.reports
    assert (report.n_exposures, report.n_pointings, report.n_defects) == (5, 1, 0)
    assert "may be a star" in report.untold_because


def test_each_pointing_is_asked_once_and_counts_once():
    observations = night([0, 1, 30, 31, 60, 0, 500, 30])
    asked = distinct_pointings(observations, DEFECTS.min_dither_pix)
    assert asked == [observations[i] for i in (0, 2, 4, 6)]
    (report,) = maps_of(observations).reports
    assert (report.n_pointings, report.n_defects, report.untold_because) == (4, 2, None)


def test_no_more_exposures_are_looked_at_than_asked_for():
    observations = night([100 * i for i in range(60)])
    looks = plan_looks("sim", observations, NONE, CONFIG)
    assert len(looks) == DEFECTS.max_pointings
    assert looks[0].observation == observations[0]
    assert looks[-1].observation == observations[-1]


def test_exposures_without_wcs_tell_nothing():
    observations = night([0, 100, 200], ra=None, footprint=None)
    assert plan_looks("sim", observations, NONE, CONFIG) == []


def test_detectors_are_told_apart():
    one, other = night([0, 100, 200]), night([0] * 6, detector="2")[3:]
    maps = maps_of([*one, *other])
    assert maps.for_observation(one[0]).pixels.tolist() == [70, 9000]
    assert maps.for_observation(other[0]) is None
    assert [report.detector for report in maps.reports] == ["1", "2"]


def test_an_exposure_that_cannot_be_read_costs_the_night_nothing():
    observations = night([0, 100, 200, 300])
    failed = Outcome({"observation_id": observations[0]["id"], "status": "failed"})
    outcomes = [failed, *looked_at(observations[1:], [70])]
    assert build_defect_maps(observations, outcomes, DEFECTS).reports[0].n_defects == 1
    lost = build_defect_maps(observations, [failed, *outcomes[2:]], DEFECTS)
    assert lost.maps == {}


def test_a_pattern_is_no_defect_map():
    # Every exposure of a tiny detector shows the same pixels: more of it than may be bad.
    observations = night([0, 100, 200, 300], height_pix=16, width_pix=512)
    small = (16, 512)
    found = build_defect_maps(observations, looked_at(observations, range(100), small), DEFECTS)
    assert found.maps == {}
    assert "a pattern" in found.reports[0].untold_because


def test_it_can_be_switched_off():
    off = CONFIG.model_copy(update={"defect_map": DEFECTS.model_copy(update={"enabled": False})})
    observations = night([0, 100, 200])
    assert plan_looks("sim", observations, NONE, off) == []
    assert build_defect_maps(observations, [], off.defect_map).reports[0].untold_because == (
        "switched off"
    )


def test_a_runs_id_changes_exactly_when_its_defect_map_does():
    observations = night([0, 100, 200])

    def ids(maps):
        tasks = plan_preprocessing("sim", observations, NONE, maps, CONFIG)
        return [task.run_id for task in tasks]

    maps = maps_of(observations)
    assert ids(maps) == ids(maps_of(observations))
    assert ids(maps) != ids(maps_of(observations, (70, 9001)))
    # A night that tells of no defect, or is asked again with more evidence of the same.
    assert ids(maps_of(observations, ())) == ids(DefectMaps({}))
    same = {key: replace(one) for key, one in maps.maps.items()}
    assert ids(DefectMaps(same)) == ids(maps)
