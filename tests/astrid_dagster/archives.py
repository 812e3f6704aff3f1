"""What tests of nights from archives share: images to hold, runs to start, objects to look at."""

from pathlib import Path
from typing import Any

import dagster as dg

from astrid_core.simulation.survey import SimulatedSurvey
from astrid_core.surveys.config import SurveyConfig
from astrid_dagster.definitions import build_defs
from tests.archives import NIGHT
from tests.astrid_dagster.conftest import key
from tests.deployment import Deployment

SURVEY = "folder"
"""Name of a packaged survey, so that its partitions exist; it is another survey in the tests."""


def simulated_files() -> dict[str, bytes]:
    """Exposures of a simulated sky as files that an archive could have."""
    config = SurveyConfig.model_validate(
        {
            "name": "sky",
            "adapter": "simulated",
            "references": {"name": "none"},
            "simulated": {
                "n_fields": 1,
                "shape": [256, 256],
                "stars_per_field": 400,
                "transients_per_field": 4,
                "science_nights": [NIGHT.isoformat()],
            },
        }
    )
    return {file.name: file.path.read_bytes() for file in SimulatedSurvey(config).files(NIGHT)}


def materialize(
    *assets: dg.AssetsDefinition,
    night: str = NIGHT.isoformat(),
    raise_on_error: bool = True,
    run_config: dict[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize assets of the survey's night."""
    defs = build_defs()
    job = dg.define_asset_job("under_test", selection=dg.AssetSelection.assets(*assets))
    resolved = dg.Definitions(assets=defs.assets, jobs=[job], resources=defs.resources)
    return resolved.get_job_def("under_test").execute_in_process(
        partition_key=key(night, SURVEY), raise_on_error=raise_on_error, run_config=run_config
    )


def stored(deployment: Deployment, tmp_path: Path) -> dict[str, bytes]:
    """Every object of the store by its key: what is recorded, and nothing else."""
    found = {}
    for number, name in enumerate(deployment.store.iterate("raw_frames/")):
        copy = tmp_path / f"object-{number}"
        deployment.store.get_file(name, copy)
        found[name] = copy.read_bytes()
    return found
