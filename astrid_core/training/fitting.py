"""Teaching a network a dataset: batches, looks at the val split, checkpoints.

A checkpoint holds tensors, numbers and text only, and is read back as such: nothing is
unpickled. On a CPU, a training that was resumed ends with the same bits as one that was not.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score

from astrid_core.detection.card import Architecture
from astrid_core.detection.learner import Learner
from astrid_core.detection.network import UNet
from astrid_core.detection.unet import build_network, logits_of
from astrid_core.errors import DatasetQualityError
from astrid_core.identity import config_digest
from astrid_core.training.config import TrainingConfig
from astrid_core.training.scoring import score_samples
from astrid_core.training.stored import SampleSet
from astrid_core.training.windows import SampleSampler, batches, centred

_VAL_BATCH = 64


@dataclass(frozen=True)
class Validation:
    """A look at the val split after some steps."""

    step: int
    loss: float
    average_precision: float


@dataclass(frozen=True)
class Progress:
    """Where training is.

    Attributes
    ----------
    loss
        Of the step's batch.
    validation
        The look that was had after this step, if one was.
    """

    step: int
    steps: int
    loss: float
    validation: Validation | None


@dataclass(frozen=True)
class Fitted:
    """A trained network and how it came about.

    Attributes
    ----------
    network
        With the weights of the lowest val loss, in evaluation mode, on the CPU.
    losses
        Of every step's batch, from the first.
    """

    network: UNet
    losses: tuple[float, ...]
    validations: tuple[Validation, ...]
    best_step: int
    stopped_early: bool


@dataclass
class _Course:
    """What a training has come to: everything a checkpoint keeps beside learner and dice."""

    losses: list[float] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    best_step: int = 0

    @property
    def step(self) -> int:
        return len(self.losses)

    def look(self, seen: Validation, weights: Mapping[str, torch.Tensor]) -> None:
        if not self.validations or seen.loss < min(one.loss for one in self.validations):
            self.best, self.best_step = dict(weights), seen.step
        self.validations.append(seen)

    def is_stale(self, patience: int) -> bool:
        """Whether so many looks were had since the best."""
        return sum(one.step > self.best_step for one in self.validations) >= patience


def fit(
    train: SampleSet,
    val: SampleSet,
    architecture: Architecture,
    start: Mapping[str, torch.Tensor] | None,
    config: TrainingConfig,
    device: torch.device,
    *,
    checkpoint: Path,
    report: Callable[[Progress], None],
) -> Fitted:
    """Train a network on samples; the same ones and seed give the same weights on a CPU.

    Parameters
    ----------
    start
        Weights to begin with; None begins at random.
    checkpoint
        File that the state is kept in; where it is of this training, that is gone on with.
    report
        Called after every step.

    Raises
    ------
    DatasetQualityError
        If a class is missing in either split.
    """
    _require_both(val)
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    sampler = SampleSampler(train, config.jitter_pix, use_injections=config.use_injections)
    network = build_network(architecture)
    if start is not None:
        network.load_state_dict(start, strict=True)
    learner = Learner(
        network,
        device,
        steps=config.steps,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        mixed_precision=config.mixed_precision,
    )
    identity = _identity(config, train, val, start)
    course = _resume(checkpoint, identity, learner, rng) or _Course()
    while course.step < config.steps and not course.is_stale(config.patience):
        course.losses.append(learner.step(sampler.draw(config.batch_size, rng)))
        seen = None
        if course.step % config.validate_every == 0 or course.step == config.steps:
            seen = _validate(learner, val, course.step)
            course.look(seen, learner.weights())
        if course.step % config.checkpoint_every == 0:
            _keep(checkpoint, identity, learner, rng, course)
        report(Progress(course.step, config.steps, course.losses[-1], seen))
    learner.network.load_state_dict(course.best, strict=True)
    return Fitted(
        network=learner.network.eval().cpu(),
        losses=tuple(course.losses),
        validations=tuple(course.validations),
        best_step=course.best_step,
        stopped_early=course.step < config.steps,
    )


def _require_both(val: SampleSet) -> None:
    n_real = sum(record.is_real for record in val.records)
    n_bogus = len(val.records) - n_real
    if not n_real or not n_bogus:
        raise DatasetQualityError(
            f"The val split holds {n_real} real and {n_bogus} bogus samples: nothing tells when "
            "to stop.",
            remedy="Have more detections judged, on more of the sky, and collect again.",
        )


def _validate(learner: Learner, val: SampleSet, step: int) -> Validation:
    """Loss and average precision of objects, on windows as inference cuts them."""
    losses = [(learner.loss(centred(part)), len(part)) for part in batches(val, _VAL_BATCH)]
    total = sum(n for _, n in losses)
    learner.network.eval()
    scores = score_samples(partial(logits_of, learner.network, learner.device), val)
    learner.network.train()
    real = [record.is_real for record in val.records]
    return Validation(
        step=step,
        loss=sum(loss * n for loss, n in losses) / total,
        average_precision=float(average_precision_score(real, scores)),
    )


# --- checkpoints --------------------------------------------------------------------------


def _identity(
    config: TrainingConfig,
    train: SampleSet,
    val: SampleSet,
    start: Mapping[str, torch.Tensor] | None,
) -> str:
    """Digest of all that decides the weights."""
    pixels = [record.sha256 for samples in (train, val) for record in samples.records]
    begun = hashlib.sha256()
    for name, tensor in sorted((start or {}).items()):
        begun.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    decided = {"config": config.model_dump(mode="json"), "pixels": pixels}
    return config_digest(decided | {"start": begun.hexdigest()})


def _keep(
    path: Path, identity: str, learner: Learner, rng: np.random.Generator, course: _Course
) -> None:
    """Write the state whole or not at all."""
    state = {
        "identity": identity,
        "learner": learner.state(),
        "numpy": dict(rng.bit_generator.state),
        "torch": torch.get_rng_state(),
        "losses": course.losses,
        "validations": [asdict(one) for one in course.validations],
        "best": course.best,
        "best_step": course.best_step,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as partial_:
        torch.save(state, partial_)
    os.replace(partial_.name, path)


def _resume(
    path: Path, identity: str, learner: Learner, rng: np.random.Generator
) -> _Course | None:
    """Where a checkpoint of the same training left off; None where there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    if state["identity"] != identity:
        return None
    learner.restore(state["learner"])
    rng.bit_generator.state = state["numpy"]
    torch.set_rng_state(state["torch"])
    return _Course(
        losses=list(state["losses"]),
        validations=[Validation(**one) for one in state["validations"]],
        best=state["best"],
        best_step=state["best_step"],
    )
