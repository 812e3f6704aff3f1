"""Training data in one line, with nothing but an address and an API key.

``pip install 'astrid[client]'`` is enough: no Dagster, no database.
"""

import os
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from astrid_core.errors import ConfigurationError
from astrid_core.training.dataset import AstrIDTrainingDataset, Transform
from astrid_core.training.files import Api, DatasetFiles

URL_VARIABLE = "ASTRID_API_URL"
KEY_VARIABLE = "ASTRID_API_KEY"
CACHE_VARIABLE = "ASTRID_CACHE_DIR"


def load_training_data(
    dataset_id: UUID | str,
    url: str | None = None,
    api_key: str | None = None,
    cache_dir: Path | str | None = None,
    transform: Transform | None = None,
) -> tuple[AstrIDTrainingDataset, AstrIDTrainingDataset, AstrIDTrainingDataset]:
    """Train, validation and test samples of a dataset.

    Only the records are fetched here; pixels follow when they are first asked for.

    Parameters
    ----------
    url, api_key
        Of AstrID's API; ``ASTRID_API_URL`` and ``ASTRID_API_KEY`` if left out.
    cache_dir
        Where files are kept; ``ASTRID_CACHE_DIR`` or ``~/.cache/astrid`` if left out.
    transform
        Of the training samples; the others are given as they are
        (:meth:`AstrIDTrainingDataset.with_transform` changes that).

    Raises
    ------
    ConfigurationError
        If address or key is neither given nor set, or ``dataset_id`` is no id.
    ApiRefusedError
        If there is no such dataset, or the key does not do.
    ApiUnavailableError
        If the API does not answer.
    """
    dataset = _id(dataset_id)
    api = Api(_given(url, URL_VARIABLE), SecretStr(_given(api_key, KEY_VARIABLE)))
    manifest = api.manifest(dataset)
    files = DatasetFiles(api, dataset, _cache(cache_dir))

    def of(split: str, change: Transform | None) -> AstrIDTrainingDataset:
        samples = [sample for sample in manifest.samples if sample.record.split == split]
        return AstrIDTrainingDataset(manifest.head, samples, files, change)

    return of("train", transform), of("val", None), of("test", None)


def _given(value: str | None, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise ConfigurationError(
            f"{variable} is not set.",
            remedy=f"Set {variable} in the environment, or give it to load_training_data.",
        )
    return found


def _id(dataset_id: UUID | str) -> UUID:
    try:
        return UUID(str(dataset_id))
    except ValueError as error:
        raise ConfigurationError(
            f"{dataset_id!r} is no id of a dataset.",
            remedy="Take it from GET /training/datasets.",
        ) from error


def _cache(given: Path | str | None) -> Path:
    found = given or os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "astrid"
    return Path(found) / "training"
