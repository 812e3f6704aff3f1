"""Training the real/bogus network from shards, reproducibly from a seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.networks.nets import BasicUNet
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from astrid_core.detection.card import Architecture
from astrid_core.detection.loss import realbogus_loss
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


@dataclass(frozen=True)
class Windows:
    """A batch: planes (n, 4, w, w) float32, labels (n, w, w) uint8, sources (n, w, w) bool."""

    planes: NDArray[np.float32]
    labels: NDArray[np.uint8]
    sources: NDArray[np.bool_]


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
        if rng.random() < 0.5:
            planes = exchange_roles(planes)
        turn = _symmetry(int(rng.integers(8)))
        return turn(planes), turn(labels), turn(sources)


def train(
    shards: Sequence[Shard],
    architecture: Architecture,
    config: FitConfig,
    device: torch.device,
    report: Callable[[int, float], None],
) -> BasicUNet:
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
    network = build_network(architecture).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.learning_rate, total_steps=config.steps, pct_start=0.1
    )
    losses: list[float] = []
    for step in range(1, config.steps + 1):
        batch = sampler.draw(config.batch_size, rng)
        logits = network(torch.from_numpy(batch.planes).to(device))[:, 0]
        loss = realbogus_loss(
            logits,
            torch.from_numpy(batch.labels).to(device),
            torch.from_numpy(batch.sources).to(device),
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 0 or step == config.steps:
            report(step, float(np.mean(losses)))
            losses.clear()
    return network.eval().cpu()


def exchange_roles(planes: NDArray[Any]) -> NDArray[Any]:
    """Planes with science and reference exchanged: what brightened has now faded.

    D of the exchanged pair is −D, so a network taught on both treats either sign alike.
    """
    exchanged = planes[[1, 0, 2, 3]]
    exchanged[2] *= -1
    return exchanged


def window(image: NDArray[Any], x0: int, y0: int, size: int, fill: int | bool) -> NDArray[Any]:
    """Square of the last two axes from (x0, y0), filled beyond the image."""
    ny, nx = image.shape[-2:]
    out = np.full((*image.shape[:-2], size, size), fill, dtype=image.dtype)
    ya, yb, xa, xb = max(y0, 0), min(y0 + size, ny), max(x0, 0), min(x0 + size, nx)
    if ya < yb and xa < xb:
        out[..., ya - y0 : yb - y0, xa - x0 : xb - x0] = image[..., ya:yb, xa:xb]
    return out


def _symmetry(index: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """One of the eight symmetries of the square, on the last two axes."""

    def turn(image: NDArray[Any]) -> NDArray[Any]:
        turned = np.rot90(image, index % 4, axes=(-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if index >= 4 else turned)

    return turn


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
