"""One sample's pixels out of a shard, without the others."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from astrid_core.errors import ObjectCorruptError
from astrid_core.training.samples import F32, U8, pixels_sha256

_HEAD_BYTES = 1024
"""Header of an ``.npy`` file of a few dimensions, with room to spare."""

Read = Callable[[str, int, int], bytes]
"""Gives so many bytes of an object from a position on, fewer where it ends."""


@dataclass(frozen=True)
class SamplePlace:
    """Where a sample's pixels are stored, and their SHA-256.

    Attributes
    ----------
    image_key, mask_key
        Objects in the store.
    index
        Place in both.
    """

    image_key: str
    mask_key: str
    index: int
    sha256: str


def read_pixels(read: Read, place: SamplePlace) -> tuple[F32, U8]:
    """Image (5, s, s) float32 and mask (s, s) uint8 of a sample.

    Raises
    ------
    ObjectCorruptError
        If the objects hold no samples, or other pixels than were frozen.
    """
    image = _read_item(read, place.image_key, place.index)
    mask = _read_item(read, place.mask_key, place.index)
    if pixels_sha256(image, mask) != place.sha256:
        raise ObjectCorruptError(
            f"Sample {place.index} of {place.image_key} is not what was frozen: its pixels' "
            f"SHA-256 is not {place.sha256}.",
            remedy="Restore the object from a copy of the store; collect anew if there is none.",
        )
    return image, mask


def _read_item(read: Read, key: str, index: int) -> NDArray[Any]:
    head = io.BytesIO(read(key, 0, _HEAD_BYTES))
    try:
        if npy.read_magic(head) != (1, 0):
            raise ValueError("an .npy file of another version")
        shape, is_fortran, dtype = npy.read_array_header_1_0(head)
        if is_fortran or dtype.hasobject or not 0 <= index < shape[0]:
            raise ValueError(f"{dtype} {shape} has no sample {index}")
        n_bytes = int(np.prod(shape[1:])) * dtype.itemsize
        pixels = read(key, head.tell() + index * n_bytes, n_bytes)
        return np.frombuffer(pixels, dtype).reshape(shape[1:])
    except ValueError as error:
        raise ObjectCorruptError(
            f"{key} holds no training samples: {error}.",
            remedy="Restore the object from a copy of the store; collect anew if there is none.",
        ) from error
