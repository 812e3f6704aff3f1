"""Samples as one file for other tools: NumPy's npz, or Parquet as Hugging Face reads it.

Both hold the same, equal to the pixel, and are written shard by shard: memory holds one
shard's mapped pages at most. Nothing here needs a database, Dagster or torch.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from astrid_core.training.manifest import Manifest, PlacedSample, ShardFiles
from astrid_core.training.samples import IMAGE_PLANES, SIDE_PIX, map_images, map_masks

Format = Literal["npz", "parquet"]

Fetch = Callable[[str], AbstractContextManager[Path]]
"""Gives the file of a SHA-256, which need not stay when it is done with."""

_ROW_GROUP = 64
"""Samples of a Parquet row group: 8 MB of pixels."""


def export(manifest: Manifest, fetch: Fetch, path: Path, format: Format) -> None:
    """Write samples to a file.

    npz has the arrays ``images`` (n, 5, s, s) float32, ``masks`` (n, s, s) uint8,
    ``position``, ``split``, ``is_anomaly``, ``label_source``, ``group_key``, ``sha256``,
    ``sample_id``, and ``labels`` and ``metadata`` as ASCII JSON texts; no pickles. Parquet has
    a column for each of these, ``image`` and ``mask`` as nested lists.

    Parameters
    ----------
    fetch
        Gives the file of a SHA-256, for as long as it is open.
    """
    if format == "npz":
        _write_npz(manifest, fetch, path)
    else:
        _write_parquet(manifest, fetch, path)


# --- npz ----------------------------------------------------------------------------------


def _write_npz(manifest: Manifest, fetch: Fetch, path: Path) -> None:
    n = len(manifest.samples)
    image_shape = (n, len(IMAGE_PLANES), SIDE_PIX, SIDE_PIX)
    mask_shape = (n, SIDE_PIX, SIDE_PIX)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        with _member(archive, "images", image_shape, np.dtype("<f4")) as stream:
            for shard, indices in _runs(manifest):
                with fetch(shard.image_sha256) as file:
                    _copy(map_images(file, shard.n_samples), indices, stream)
        with _member(archive, "masks", mask_shape, np.dtype("u1")) as stream:
            for shard, indices in _runs(manifest):
                with fetch(shard.mask_sha256) as file:
                    _copy(map_masks(file, shard.n_samples), indices, stream)
        for name, values in _columns(manifest.samples).items():
            array = np.array(values)
            if name in ("labels", "metadata"):
                array = np.char.encode(array, "ascii") if values else np.array([], dtype="S1")
            buffer = io.BytesIO()
            npy.write_array(buffer, array, allow_pickle=False)
            archive.writestr(_entry(name), buffer.getvalue())


def _member(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> IO[bytes]:
    stream = archive.open(_entry(name), "w", force_zip64=True)
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(stream, header)
    return stream


def _entry(name: str) -> zipfile.ZipInfo:
    """A member whose bytes do not depend on the clock."""
    return zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))


def _copy(array: NDArray[Any], indices: Sequence[int], stream: IO[bytes]) -> None:
    for index in indices:
        stream.write(array[index].tobytes())


def _runs(manifest: Manifest) -> Iterator[tuple[ShardFiles, list[int]]]:
    """Each shard with the places in it, in the samples' order."""
    for number, run in groupby(manifest.samples, key=lambda sample: sample.shard):
        yield manifest.head.shards[number], [sample.index for sample in run]


# --- Parquet ------------------------------------------------------------------------------


def _write_parquet(manifest: Manifest, fetch: Fetch, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    remaining = iter(manifest.samples)
    schema = _schema()
    with pq.ParquetWriter(path, schema) as writer:
        for shard, indices in _runs(manifest):
            with fetch(shard.image_sha256) as images_file, fetch(shard.mask_sha256) as masks_file:
                images = map_images(images_file, shard.n_samples)
                masks = map_masks(masks_file, shard.n_samples)
                for start in range(0, len(indices), _ROW_GROUP):
                    chosen = indices[start : start + _ROW_GROUP]
                    columns = _columns([next(remaining) for _ in chosen])
                    arrays = {"image": _nested(images[chosen]), "mask": _nested(masks[chosen])}
                    table = pa.table(columns | arrays, schema=schema)
                    writer.write_table(table, row_group_size=_ROW_GROUP)


def _schema() -> Any:
    """Columns and their types."""
    import pyarrow as pa

    texts = dict.fromkeys(_columns(()), pa.string())
    kinds = texts | {"position": pa.int64(), "is_anomaly": pa.bool_()}
    kinds["image"] = pa.list_(pa.list_(pa.list_(pa.float32())))
    kinds["mask"] = pa.list_(pa.list_(pa.uint8()))
    return pa.schema(list(kinds.items()))


def _nested(array: NDArray[Any]) -> Any:
    """An array (n, …) as n nested lists."""
    import pyarrow as pa

    nested = pa.array(array.reshape(-1))
    for axis in range(array.ndim - 1, 0, -1):
        n_lists = int(np.prod(array.shape[:axis]))
        offsets = np.arange(n_lists + 1, dtype=np.int32) * array.shape[axis]
        nested = pa.ListArray.from_arrays(pa.array(offsets), nested)
    return nested


# --- what both have -----------------------------------------------------------------------


def _columns(samples: Sequence[PlacedSample]) -> dict[str, list[Any]]:
    records = [sample.record for sample in samples]
    return {
        "position": [one.position for one in records],
        "sample_id": [str(one.id) for one in records],
        "split": [one.split for one in records],
        "is_anomaly": [one.is_real for one in records],
        "label_source": [one.label_source for one in records],
        "group_key": [one.group_key for one in records],
        "sha256": [one.sha256 for one in records],
        "labels": [json.dumps(dict(one.labels), sort_keys=True) for one in records],
        "metadata": [json.dumps(dict(one.metadata), sort_keys=True) for one in records],
    }
