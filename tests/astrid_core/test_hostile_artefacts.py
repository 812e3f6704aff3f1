"""Weights, arrays, shards and manifests that are damaged or lie: refused, and nothing is run."""

import io
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.detection.card import read_card
from astrid_core.detection.registry import shipped
from astrid_core.detection.shards import read_shard
from astrid_core.detection.unet import load_model
from astrid_core.errors import (
    AstridError,
    ModelIntegrityError,
    ModelUnavailableError,
    ObjectCorruptError,
)
from astrid_core.identity import sha256_file
from astrid_core.training.manifest import read_manifest
from astrid_core.training.samples import map_images

WEIGHTS, CARD = shipped()
JUNK = st.binary(max_size=6) | st.sampled_from([b"9" * 12, b"{", b"[", b'"', b"-1", b"null"])


class Command:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def damaged(data: st.DataObject, content: bytes, most: int) -> bytes:
    """Content with a few stretches of its beginning replaced, or cut off."""
    result = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, min(most, len(result)) - 1))
        result[at : at + data.draw(st.integers(0, 8))] = data.draw(JUNK)
    if data.draw(st.booleans()):
        del result[data.draw(st.integers(0, len(result))) :]
    return bytes(result)


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


IMAGES = npy(np.zeros((2, 5, 80, 80), np.float32))
SHARD = npz(
    **{name: np.zeros(3) for name in ("planes", "scorr", "labels", "sources", "candidates")},
    truth=np.zeros(1),
    fwhm_pix=np.float64(3.0),
    sky="a",
    split="train",
)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("artefacts") / "a"
    for content, most, read in (
        (IMAGES, 130, lambda: map_images(path, 2)),
        (SHARD, len(SHARD), lambda: read_shard(path)),
        (CARD.read_bytes(), 4000, lambda: read_card(path)),
    ):
        path.write_bytes(damaged(data, content, most))
        try:
            read()
        except AstridError:
            continue


def test_no_array_runs_anything(tmp_path: Path) -> None:
    command = Command(tmp_path / "was-run")
    objects = np.array([command], dtype=object)
    path = tmp_path / "a"
    for content in (npy(objects), pickle.dumps(command)):
        path.write_bytes(content)
        with pytest.raises(ObjectCorruptError):
            map_images(path, 2)
    path.write_bytes(npz(split="train", planes=objects))
    with pytest.raises(AstridError):
        read_shard(path)
    assert not command.path.exists()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr':'<f4','fortran_order':False,'shape':(999999999999,999999999999)}",
        "{'descr':[('a','<f4',(99999999,))],'fortran_order':False,'shape':(9,)}",
        "{'descr':'<f4','fortran_order':False,'shape':(-1,)}",
        "(" * 100,
        "-" * 110 + "1",
    ],
)
def test_arrays_that_lie_about_themselves_are_refused(tmp_path: Path, header: str) -> None:
    text = header.encode().ljust(118) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
    (tmp_path / "a").write_bytes(content + bytes(64))
    with pytest.raises(ObjectCorruptError):
        map_images(tmp_path / "a", 2)


def lying_weights() -> dict[str, bytes]:
    content = WEIGHTS.read_bytes()
    n_bytes = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + n_bytes])
    name = next(key for key in header if key != "__metadata__")
    lies = {
        "shape": header[name] | {"shape": [2**40, 2**40]},
        "negative": header[name] | {"shape": [-1]},
        "type": header[name] | {"dtype": "F64"},
        "offsets": header[name] | {"data_offsets": [0, 2**62]},
        "backwards": header[name] | {"data_offsets": [8, 0]},
        "nothing": None,
    }
    made = {}
    for what, lie in lies.items():
        text = json.dumps(header | {name: lie}).encode()
        made[what] = len(text).to_bytes(8, "little") + text + content[8 + n_bytes :]
    for n_stated in (0, 10**9, 2**63, 2**64 - 1):
        made[f"header of {n_stated}"] = n_stated.to_bytes(8, "little") + content[8:]
    return made | {"cut off": content[:1000], "empty": b""}


@pytest.mark.parametrize("what", lying_weights())
def test_weights_that_lie_about_themselves_are_refused(tmp_path: Path, what: str) -> None:
    """Even where their SHA-256 is the registered one: whoever registers may be deceived."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(lying_weights()[what])
    sha256 = sha256_file(path)
    card = read_card(CARD).model_copy(update={"sha256": sha256})
    with pytest.raises(ModelIntegrityError):
        load_model(path, card, sha256, "cpu")


def test_what_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectCorruptError):
        read_manifest(["[" * 100_000])
    (tmp_path / "card.json").write_bytes(b"[" * 100_000)
    with pytest.raises(ModelUnavailableError):
        read_card(tmp_path / "card.json")
