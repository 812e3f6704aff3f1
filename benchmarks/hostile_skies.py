"""Pixels that are no sky, made of one that is."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

SKIES: Mapping[str, Callable[[F32, np.random.Generator], NDArray[Any]]] = {
    "not a number, mostly": lambda sky, rng: np.where(rng.random(sky.shape) < 0.97, np.nan, sky),
    "not a number, some": lambda sky, rng: np.where(rng.random(sky.shape) < 0.2, np.nan, sky),
    "infinite": lambda sky, rng: np.where(rng.random(sky.shape) < 0.3, np.inf, sky),
    "infinite both ways": lambda sky, rng: np.where(rng.random(sky.shape) < 0.5, np.inf, -np.inf),
    "one pixel": lambda sky, _: np.where(np.arange(sky.size).reshape(sky.shape) == 777, 1e30, 5.0),
    "three values": lambda sky, rng: rng.integers(0, 3, sky.shape).astype(np.float32),
    "huge": lambda sky, _: sky * np.float32(1e34),
    "beyond float": lambda sky, _: sky * np.float32(1e37),
    "tiny": lambda sky, _: sky * np.float32(1e-38),
    "denormal": lambda sky, rng: rng.random(sky.shape) * 1e-44,
    "negative": lambda sky, _: -sky,
    "noise": lambda sky, rng: rng.normal(0, 1, sky.shape),
    "Cauchy": lambda sky, rng: rng.standard_cauchy(sky.shape) * 1e6,
    "checkerboard": lambda sky, _: np.indices(sky.shape).sum(0) % 2 * 1000 + np.arange(len(sky)),
    "ramp": lambda sky, _: np.arange(sky.size).reshape(sky.shape),
    "row": lambda sky, _: np.where(np.arange(len(sky))[:, None] == 64, sky, np.nan),
    "star everywhere": lambda sky, _: np.tile(np.eye(8) * 1e4, (16, 16)) + sky * 1e-3,
    "any bits": lambda sky, rng: rng.integers(0, 2**32, sky.shape, dtype=np.uint32).view("f4"),
    "saturated": lambda sky, _: np.minimum(sky * 1e4, 65535),
    "step": lambda sky, _: np.where(np.arange(len(sky)) > 64, sky, sky + 1e9),
}
