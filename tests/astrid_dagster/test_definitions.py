"""The asset graph as a whole: what depends on what, and what each asset promises."""

import dagster as dg
import pytest

from astrid_dagster import tags
from astrid_dagster.assets.detections import score_with_unet
from astrid_dagster.assets.observations import ingest
from astrid_dagster.assets.training import training_runs
from astrid_dagster.definitions import defs
from astrid_stack.nights import INGEST_ASSETS, NIGHT_ASSETS

GRAPH = {
    "raw_frames": set(),
    "observations": set(),
    "processed_frames": {"raw_frames", "observations"},
    "preprocess_runs": {"raw_frames", "observations"},
    "reference_frames": {"processed_frames", "preprocess_runs"},
    "reference_runs": {"processed_frames", "preprocess_runs"},
    "difference_images": {
        "processed_frames",
        "preprocess_runs",
        "reference_frames",
        "reference_runs",
    },
    "difference_runs": {
        "processed_frames",
        "preprocess_runs",
        "reference_frames",
        "reference_runs",
    },
    "cutouts": {"processed_frames", "preprocess_runs", "difference_images", "difference_runs"},
    "candidates": {"processed_frames", "preprocess_runs", "difference_images", "difference_runs"},
    "detections": {"candidates", "difference_images", "difference_runs", "preprocess_runs"},
    "objects": {"detections"},
    "forced_photometry": {"objects", "reference_frames", "difference_images", "difference_runs"},
    "survey_depth": {"processed_frames", "difference_runs", "reference_frames"},
    "crossmatches": {"objects"},
    "validation_events": {"detections"},
    "labels": {"validation_events"},
    "training_samples": {"detections", "labels"},
    "training_datasets": {"detections", "labels"},
    "dataset_tracking": {"training_datasets"},
    "training_data_health": {"detections", "labels"},
    "training_runs": {"training_datasets"},
    "promotion": {"training_runs"},
}
UNPARTITIONED = {"validation_events", "labels", "training_data_health"}
BY_TRAINING = {"training_runs", "promotion"}
BY_DATASET = {"training_samples", "training_datasets", "dataset_tracking"}


@pytest.fixture(scope="module")
def graph():
    return defs.resolve_asset_graph()


def test_a_code_server_can_load_everything() -> None:
    defs.get_repository_def().load_all_definitions()


def test_the_graph_is_the_design_s(graph) -> None:
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH


def test_every_asset_says_what_it_is(graph) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key
        assert node.owners == [tags.OWNER], key
        assert node.kinds, key
        assert node.code_version, key


def test_references_are_by_survey_labels_whole_and_the_rest_by_survey_and_night(graph) -> None:
    for key in graph.get_all_asset_keys():
        partitions = graph.get(key).partitions_def
        if key.to_user_string() in UNPARTITIONED:
            assert partitions is None
        elif key.to_user_string() in ("reference_frames", "reference_runs"):
            assert isinstance(partitions, dg.StaticPartitionsDefinition)
        elif key.to_user_string() in BY_DATASET:
            assert isinstance(partitions, dg.DynamicPartitionsDefinition)
            assert partitions.name == "training_dataset"
        elif key.to_user_string() in BY_TRAINING:
            assert isinstance(partitions, dg.DynamicPartitionsDefinition)
            assert partitions.name == "training_run"
        else:
            assert isinstance(partitions, dg.MultiPartitionsDefinition)
            assert {d.name for d in partitions.partitions_defs} == {"survey", "night"}


def test_checks_of_failures_block_and_checks_of_quality_warn(graph) -> None:
    checks = {
        (check.asset_key.to_user_string(), check.name): graph.get_check_spec(check).blocking
        for check in graph.asset_check_keys
    }
    assert checks == {
        ("observations", "every_file_ingested"): True,
        ("preprocess_runs", "every_frame_processed"): True,
        ("preprocess_runs", "frame_quality_in_range"): False,
        ("reference_runs", "every_reference_built"): True,
        ("difference_runs", "every_frame_differenced"): True,
        ("difference_runs", "difference_quality_in_range"): False,
        ("candidates", "every_difference_searched"): True,
        ("candidates", "candidate_density_in_range"): False,
        ("objects", "every_detection_placed"): False,
        ("forced_photometry", "every_image_measured"): True,
        ("survey_depth", "every_frame_injected"): True,
        ("survey_depth", "completeness_as_promised"): False,
        ("crossmatches", "every_catalogue_answered"): False,
        ("labels", "queue_depth"): False,
        ("training_data_health", "quality_of_late_labels"): False,
        ("training_datasets", "anomaly_ratio_in_range"): False,
        ("training_datasets", "images_good_enough"): False,
        ("training_datasets", "labels_consistent"): False,
        ("training_datasets", "nothing_leaks"): False,
    }


def test_only_judging_and_training_ask_for_a_gpu() -> None:
    on_gpu = [score_with_unet, training_runs.op]
    for op in on_gpu:
        limits = op.tags["dagster-k8s/config"]
        assert "nvidia.com/gpu" in str(limits)
        assert op.tags["gpu"] == "true"
        assert op.tags["dagster-celery/queue"] == tags.GPU_QUEUE
        assert op.pool == tags.GPU_POOL
    others = [
        op
        for assets in defs.assets
        if isinstance(assets, dg.AssetsDefinition)
        for op in assets.node_def.iterate_op_defs()
        if op.name not in {one.name for one in on_gpu}
    ]
    assert others
    assert not any(op.pool or tags.GPU_TAGS.keys() & op.tags.keys() for op in others)


def test_jobs_schedule_and_sensors_are_there() -> None:
    jobs = {
        "nightly",
        "ingest_only",
        "reference_nights",
        "references",
        "depth",
        "crossmatches",
        "labels",
        "collect_training_data",
        "log_training_data",
        "training_data_health",
        "train_model",
        "redetect",
    }
    assert {job.name for job in defs.jobs} == jobs
    assert [schedule.name for schedule in defs.schedules] == ["every_noon", "every_morning"]
    assert [sensor.name for sensor in defs.sensors] == [
        "refresh_labels",
        "log_late_datasets",
        "collect_again",
        "train_on_new_datasets",
        "redetect_after_promotion",
        "close_failed_trainings",
        "close_canceled_trainings",
        "report_failed_runs",
    ]


def test_the_nightly_job_leaves_references_depth_and_other_people_s_servers_alone() -> None:
    job = defs.resolve_job_def("nightly")
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    left_alone = (
        BY_DATASET
        | BY_TRAINING
        | {
            "reference_frames",
            "reference_runs",
            "survey_depth",
            "crossmatches",
        }
        | UNPARTITIONED
    )
    assert keys == GRAPH.keys() - left_alone
    # What the demo and the API ask Dagster for, by name.
    assert keys == set(NIGHT_ASSETS)
    assert set(INGEST_ASSETS) == {key.to_user_string() for key in ingest.keys}


def test_verdicts_are_people_s_and_labels_grow_old_when_nobody_judges(graph) -> None:
    events, labels = (graph.get(dg.AssetKey(name)) for name in ("validation_events", "labels"))
    assert events.is_external
    assert labels.is_executable
    assert labels.freshness_policy is not None
    job = defs.resolve_job_def("labels")
    assert {key.name for key in job.asset_layer.asset_graph.asset_check_keys} == {"queue_depth"}
