"""Loading a dataset over the API, as somebody does who has nothing but address and key."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from astrid_core.curation.access import Role
from astrid_core.errors import ApiRefusedError, ApiUnavailableError, ConfigurationError
from astrid_core.training.client import load_training_data
from astrid_core.training.dataset import (
    InTurn,
    RandomShift,
    RandomSymmetry,
    collate,
)
from astrid_stack.ports import any_free_port
from tests.callers import Person
from tests.training import Frozen

SERVER_SIDE = ("dagster", "sqlalchemy", "fastapi", "boto3", "mlflow", "astropy", "dbschema")


@pytest.fixture
def variables(
    address: str, people: dict[Role, Person], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    set_ = {
        "ASTRID_API_URL": address,
        "ASTRID_API_KEY": people["viewer"].key,
        "ASTRID_CACHE_DIR": str(tmp_path / "cache"),
    }
    for name, value in set_.items():
        monkeypatch.setenv(name, value)
    return set_


def test_the_splits_are_the_dataset(
    variables: dict[str, str], frozen: Frozen, tmp_path: Path
) -> None:
    splits = load_training_data(frozen.id)
    assert not (tmp_path / "cache").exists()  # nothing is fetched before it is asked for
    for name, split in zip(("train", "val", "test"), splits, strict=True):
        expected = [record for record in frozen.records if record.split == name]
        assert len(split) == len(expected) > 0
        for item, record in zip((split[i] for i in range(len(split))), expected, strict=True):
            assert item["image"].dtype == torch.float32
            assert np.array_equal(item["image"].numpy(), frozen.images[record.position])
            assert np.array_equal(item["mask"].numpy(), frozen.masks[record.position])
            assert item["labels"] == dict(record.labels)
            assert item["metadata"] == dict(record.metadata)
    figure = splits[0].plot(0)
    assert len(figure.axes) == 4
    train = splits[0]
    train.export(tmp_path / "train.npz", "npz")
    arrays = np.load(tmp_path / "train.npz", allow_pickle=False)
    positions = [sample.record.position for sample in train.samples]
    assert np.array_equal(arrays["images"], frozen.images[positions])


def test_a_spoilt_file_is_fetched_again(
    variables: dict[str, str], frozen: Frozen, tmp_path: Path
) -> None:
    load_training_data(frozen.id)[0].fetch()
    [image_file] = [
        p for p in (tmp_path / "cache/training").glob("*.npy") if p.stat().st_size > 1e6
    ]
    right = image_file.read_bytes()
    image_file.write_bytes(right[:-4] + b"\0\0\0\1")
    train = load_training_data(frozen.id)[0]
    position = train.samples[0].record.position
    assert np.array_equal(train[0]["image"].numpy(), frozen.images[position])
    assert image_file.read_bytes() == right


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_give_what_one_process_gives(
    variables: dict[str, str], frozen: Frozen, method: str
) -> None:
    train = load_training_data(frozen.id)[0]
    train[0]  # a file is mapped already, and must not travel
    assert len(pickle.dumps(train)) < 10 * len(pickle.dumps(train.samples))
    loader = DataLoader(
        train,
        batch_size=4,
        num_workers=2,
        collate_fn=collate,
        multiprocessing_context=multiprocessing.get_context(method),
    )
    batches = list(loader)
    positions = [sample.record.position for sample in train.samples]
    images = torch.cat([batch["image"] for batch in batches]).numpy()
    assert np.array_equal(images, frozen.images[positions])
    labels = [one for batch in batches for one in batch["labels"]]
    assert labels == [dict(sample.record.labels) for sample in train.samples]


def test_it_loads_where_no_server_side_is_installed(
    variables: dict[str, str], frozen: Frozen
) -> None:
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {SERVER_SIDE!r}:
            raise ImportError(f"{{name}} is not installed here")
sys.meta_path.insert(0, Blocked())
from astrid_core.training.client import load_training_data
train, val, test = load_training_data("{frozen.id}")
print(len(train), len(val), len(test), tuple(train[0]["image"].shape))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | variables
    )
    assert done.returncode == 0, done.stderr
    sizes = [sum(r.split == name for r in frozen.records) for name in ("train", "val", "test")]
    assert done.stdout.split("(")[0].split() == list(map(str, sizes))


def test_refusals_name_the_address_and_what_to_do(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = variables["ASTRID_API_URL"]
    with pytest.raises(ApiRefusedError, match="no training dataset") as refused:
        load_training_data(uuid4())
    assert address in str(refused.value)
    with pytest.raises(ApiRefusedError, match="401") as unknown:
        load_training_data(uuid4(), api_key="nobody's")
    assert "ASTRID_API_KEY" in unknown.value.remedy
    assert "nobody's" not in str(unknown.value)
    with pytest.raises(ApiUnavailableError, match="did not answer"):
        load_training_data(uuid4(), url=f"http://127.0.0.1:{any_free_port()}")
    with pytest.raises(ConfigurationError, match="no id"):
        load_training_data("first")
    monkeypatch.delenv("ASTRID_API_KEY")
    with pytest.raises(ConfigurationError, match="ASTRID_API_KEY is not set"):
        load_training_data(uuid4())


def test_transforms_change_image_and_mask_alike() -> None:
    torch.manual_seed(3)
    grid = torch.arange(80 * 80).reshape(80, 80)
    change = InTurn((RandomSymmetry(), RandomShift(64, 8)))
    seen = set()
    for _ in range(40):
        image, mask = change(grid.float().expand(5, 80, 80), grid)
        assert image.shape == (5, 64, 64)
        assert torch.equal(image[2], mask.float())
        seen.add((int(mask[0, 0]), int(mask[0, 1])))
        assert (mask == 40 * 80 + 40).any()
    assert len(seen) > 30
    middle, _ = RandomShift(64, 0)(grid.float().expand(5, 80, 80), grid)
    assert int(middle[0, 32, 32]) == 40 * 80 + 40
    with pytest.raises(ValueError, match="does not fit"):
        RandomShift(70, 8)
