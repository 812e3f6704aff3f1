"""A whole deployment for the Dagster tests: database, store, registry, a tiny survey."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
import yaml

from astrid_core.detection.registry import ensure_bootstrap, upsert_model
from astrid_core.settings import Settings, get_settings
from astrid_core.storage import ObjectStore
from dbschema.migrate import upgrade
from dbschema.session import make_engine

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


@dataclass(frozen=True)
class Deployment:
    """Where the tests' AstrID keeps things."""

    settings: Settings
    store: ObjectStore
    surveys_file: Path

    @property
    def engine(self):
        return make_engine(self.settings.database_url.get_secret_value())


@pytest.fixture
def deployment(
    database_url: str, s3_empty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """An empty database with our tables, an empty bucket and a registered champion."""
    surveys_file = tmp_path / "surveys.yaml"
    surveys_file.write_text(yaml.safe_dump(SURVEYS))
    environment = {
        "DATABASE_URL": database_url,
        "S3_ENDPOINT": s3_empty.endpoint,
        "S3_BUCKET": s3_empty.bucket,
        "S3_ACCESS_KEY_ID": s3_empty.access_key_id,
        "S3_SECRET_ACCESS_KEY": s3_empty.secret_access_key,
        "MLFLOW_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "CACHE_DIR": str(tmp_path / "cache"),
        "SURVEYS_FILE": str(surveys_file),
        "WORKERS": "2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"ASTRID_{name}", value)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    upgrade(database_url)
    settings = get_settings()
    store = ObjectStore.from_settings(settings)
    upsert_model(make_engine(database_url), ensure_bootstrap(settings.mlflow_uri, store))
    yield Deployment(settings, store, surveys_file)
    get_settings.cache_clear()


def key(night: str, survey: str = "simulated") -> dg.MultiPartitionKey:
    """Partition key of a survey-night."""
    return dg.MultiPartitionKey({"survey": survey, "night": night})
