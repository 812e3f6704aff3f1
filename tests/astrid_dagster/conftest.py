"""A whole deployment for the Dagster tests: database, store, registry, a tiny survey."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from tests.conftest import S3Store
from tests.deployment import Deployment, deploy

REFERENCE_NIGHTS = ("2025-09-01", "2025-09-02", "2025-09-03")
SCIENCE_NIGHTS = ("2025-09-10", "2025-09-11")

SURVEYS = {
    "partitions_start": "2025-08-01",
    "surveys": {
        "simulated": {  # the packaged name, so that its partitions exist
            "description": "Two small simulated fields",
            "adapter": "simulated",
            "longitude_deg": -70.8,
            "references": {"name": "tiny-1", "nights": ["2025-09-01..2025-09-03"]},
            "simulated": {
                "n_fields": 2,
                "shape": [256, 256],
                "stars_per_field": 400,
                "transients_per_field": 12,
                "science_nights": list(SCIENCE_NIGHTS),
            },
        },
    },
}


@pytest.fixture
def deployment(
    migrated_url: str, s3_empty: S3Store, empty_mlflow: Path, tmp_path: Path
) -> Iterator[Deployment]:
    """An empty database with our tables, an empty bucket and a registered champion."""
    with deploy_tiny(migrated_url, s3_empty, empty_mlflow, tmp_path) as deployed:
        yield deployed


@contextmanager
def deploy_tiny(
    database_url: str, bucket: S3Store, empty_mlflow: Path, folder: Path
) -> Iterator[Deployment]:
    """Deploy the tiny survey and work in its folder."""
    surveys_file = folder / "surveys.yaml"
    surveys_file.write_text(yaml.safe_dump(SURVEYS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # MLflow's artifact root is relative
        with deploy(database_url, bucket, folder, surveys_file, empty_mlflow) as deployed:
            yield deployed


def key(night: str, survey: str = "simulated") -> dg.MultiPartitionKey:
    """Partition key of a survey-night."""
    return dg.MultiPartitionKey({"survey": survey, "night": night})
