"""Depth by injection on a real engine, database and store."""

import dagster as dg

from astrid_dagster.assets.candidates import find_candidates
from astrid_dagster.assets.depth import CHECK, PROMISE_CHECK, measure_depth
from astrid_dagster.assets.differences import subtract
from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.processed import processed
from astrid_dagster.assets.references import build_references
from dbschema.models import (
    Candidate,
    DifferenceRun,
    ExtractionRun,
    SurveyDepth,
    SurveyDepthRun,
)
from tests.astrid_dagster.conftest import REFERENCE_NIGHTS, SCIENCE_NIGHTS, Deployment, key
from tests.astrid_dagster.test_pipeline import materialize

NIGHT = key(SCIENCE_NIGHTS[0])


def outcome(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def assert_quality_is_measured(
    deployment: Deployment, night_run: dg.ExecuteInProcessResult
) -> None:
    """Measures are stored, checked and drawn by the nightly assets themselves."""
    differences = deployment.rows(DifferenceRun)
    assert all(0.8 < run["scorr_sigma_blank"] < 1.25 for run in differences)
    density = [run["candidates_per_mpix"] for run in deployment.rows(ExtractionRun)]
    n_candidates = len(deployment.rows(Candidate))
    # Dithers leave a border of these small frames unsearched.
    assert 0.6 * sum(density) < n_candidates / 0.256**2 < sum(density)
    checks = outcome(night_run)
    for name in ("frame_quality", "candidate_density"):
        assert checks[f"{name}_in_range"].passed, checks[f"{name}_in_range"].description
    # So crowded a field (6000 stars per Mpix) may well be out of range on sources, and told.
    crowded = [run for run in differences if not 0.7 < run["scorr_sigma_sources"] < 1.6]
    check = checks["difference_quality_in_range"]
    assert check.metadata["n_out_of_range"].value == len(crowded)
    assert check.passed == (not crowded)
    assert check.severity == dg.AssetCheckSeverity.WARN
    (event,) = [
        event
        for event in night_run.asset_materializations_for_node("find_candidates")
        if event.asset_key.path[-1] == "candidates"
    ]
    page = event.metadata["night quality"].value
    assert page.startswith("![quality over the night](data:image/png;base64,")


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.asset_materializations_for_node("measure_depth")
    return {name: value.value for name, value in event.metadata.items()}


def test_a_night_s_depth_is_measured_once_and_touches_no_other_table(
    deployment: Deployment,
) -> None:
    for night in REFERENCE_NIGHTS[:2]:
        assert materialize([ingest, processed], key(night)).success
    assert materialize([build_references], "simulated").success
    night_run = materialize([ingest, processed, subtract, find_candidates], NIGHT)
    assert night_run.success
    assert_quality_is_measured(deployment, night_run)
    others = (DifferenceRun, ExtractionRun, Candidate)
    before = {table: deployment.rows(table) for table in others}

    result = materialize([measure_depth], NIGHT)
    assert result.success
    assert set(outcome(result)) == {CHECK, PROMISE_CHECK}
    assert all(check.severity == dg.AssetCheckSeverity.WARN for check in outcome(result).values())
    runs, (night,) = deployment.rows(SurveyDepthRun), deployment.rows(SurveyDepth)
    assert {run["difference_run_id"] for run in runs} == {
        run["run_id"] for run in before[DifferenceRun]
    }
    assert {run["reference_id"] for run in runs} == {
        run["reference_id"] for run in before[DifferenceRun]
    }
    assert night["run_ids"] == sorted(str(run["run_id"]) for run in runs)
    assert night["n_injected"] == sum(len(run["injections"]) for run in runs) > 20
    by_low = {one["low"]: one for one in night["environments"]["blank"]["by_snr"]}
    assert by_low[10.0]["n_recovered"] >= 0.8 * by_low[10.0]["n_injected"] > 0
    bright = [one for run in runs for one in run["injections"] if one["snr_true"] > 15]
    assert all((one["flux_found"] is None) == (not one["is_recovered"]) for one in bright)
    shown = metadata(result)
    assert shown["depth"].startswith("![completeness curves](data:image/png;base64,")
    assert shown["dagster/table_name"] == "survey_depth"
    table = [record.data for record in shown["completeness"].records]
    assert {row["environment"] for row in table} >= {"blank"}
    assert sum(row["injected"] for row in table) == night["n_injected"]
    assert {table: deployment.rows(table) for table in others} == before

    again = materialize([measure_depth], NIGHT)
    assert metadata(again)["n_already_completed"] == len(runs)
    forced = {"ops": {"measure_depth": {"config": {"force": True}}}}
    assert materialize([measure_depth], NIGHT, run_config=forced).success
    assert deployment.rows(SurveyDepthRun) == runs
    assert deployment.rows(SurveyDepth) == [night]

    empty = materialize([measure_depth], key("2025-09-20"))
    assert empty.success
    assert all(check.passed for check in outcome(empty).values())
    assert deployment.rows(SurveyDepth) == [night]
