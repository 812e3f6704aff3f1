"""Training the real/bogus network from shards, reproducibly from a seed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from astrid_core.detection.augment import Windows, augmented, window
from astrid_core.detection.card import Architecture
from astrid_core.detection.learner import Learner
from astrid_core.detection.network import UNet
from astrid_core.detection.shards import IGNORED, MIN_REAL_SNR, Shard
from astrid_core.detection.unet import build_network

Rng = np.random.Generator


class FitConfig(BaseModel):
    """How the network is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 20260901
    steps: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    window_pix: int = Field(default=64, multiple_of=16)
    jitter_pix: int = Field(
        default=12, ge=0, description="Windows are centred up to this far from their source."
    )


class WindowSampler:
    """Draws augmented windows: a third on real changes, a third on bogus, a third anywhere."""

    def __init__(self, shards: Sequence[Shard], config: FitConfig) -> None:
        self._shards = shards
        self._config = config
        self._real = _places([_real_places(shard) for shard in shards])
        self._bogus = _places(
            [shard.candidates[shard.candidates["label"] == 0] for shard in shards]
        )

    def draw(self, n: int, rng: Rng) -> Windows:
        """``n`` windows, each with its own flip, rotation, offset and exchange of roles."""
        drawn = [self._draw_one(kind, rng) for kind in rng.integers(0, 3, n)]
        planes, labels, sources = (np.stack(part) for part in zip(*drawn, strict=True))
        return Windows(planes, labels, sources)

    def _draw_one(
        self, kind: int, rng: Rng
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
        places = (self._real, self._bogus, None)[kind]
        if places is not None and len(places):
            index, x, y = places[rng.integers(len(places))]
            jitter = self._config.jitter_pix
            x, y = (round(v) + int(rng.integers(-jitter, jitter + 1)) for v in (x, y))
        else:
            index = rng.integers(len(self._shards))
            ny, nx = self._shards[int(index)].labels.shape
            x, y = rng.integers(nx), rng.integers(ny)
        shard, size = self._shards[int(index)], self._config.window_pix
        x0, y0 = int(x) - size // 2, int(y) - size // 2
        planes = window(shard.planes, x0, y0, size, 0).astype(np.float32)
        labels = window(shard.labels, x0, y0, size, IGNORED)
        sources = window(shard.sources, x0, y0, size, False)
        return augmented(planes, labels, sources, rng)


def train(
    shards: Sequence[Shard],
    architecture: Architecture,
    config: FitConfig,
    device: torch.device,
    report: Callable[[int, float], None],
) -> UNet:
    """Train a network; the same shards, seed and machine give the same weights on a CPU.

    Parameters
    ----------
    report
        Called every hundred steps with the step and the mean loss since the last call.

    Returns
    -------
    The network in evaluation mode, on the CPU.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    sampler = WindowSampler(shards, config)
    learner = Learner(
        build_network(architecture),
        device,
        steps=config.steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    losses: list[float] = []
    for step in range(1, config.steps + 1):
        losses.append(learner.step(sampler.draw(config.batch_size, rng)))
        if step % 100 == 0 or step == config.steps:
            report(step, float(np.mean(losses)))
            losses.clear()
    return learner.network.eval().cpu()


def _real_places(shard: Shard) -> NDArray[Any]:
    return shard.truth[shard.truth["snr_true"] >= MIN_REAL_SNR]


def _places(by_shard: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """(n, 3) of shard index, x, y."""
    rows = [
        (index, place["x_pix"], place["y_pix"])
        for index, places in enumerate(by_shard)
        for place in places
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)
