"""Train the bootstrap model anew: ``python -m astrid_core.detection.bootstrap all``.

Two steps that may run on different machines: ``generate`` makes shards through the whole
pipeline (CPU, resumable, minutes); ``train`` reads shards, trains (minutes on a
GPU), calibrates on the validation skies, assesses on the held-out ones, and writes
weights and card. The weights enter the registry at the next ``astrid up``.
"""

import dataclasses
import logging
import platform
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from astrid_core.detection.assess import assess, calibrate_model, uncalibrated
from astrid_core.detection.bootstrap_data import FIRST_SEED, SKIES, generate
from astrid_core.detection.card import Architecture, ModelCard, write_card
from astrid_core.detection.config import DETECTION_VERSION, DetectionConfig, DeviceChoice
from astrid_core.detection.fit import FitConfig, train
from astrid_core.detection.registry import shipped
from astrid_core.detection.shards import Shard, read_shards
from astrid_core.detection.unet import RealBogusModel, choose_device, save_weights
from astrid_core.differencing.config import DIFFERENCE_VERSION
from astrid_core.extraction.extract import EXTRACTION_VERSION
from astrid_core.preprocessing.config import PREPROCESS_VERSION

_log = logging.getLogger("astrid.bootstrap")
app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)

NAME = "realbogus-bootstrap"
LIMITS = (
    "Trained on simulated skies alone: real detectors have artefacts it has never seen.",
    "Confidences hold where real and bogus candidates are about as many; the true odds of a "
    "survey differ.",
    "Never shown: FWHM below 2.2 px or above 6.5 px, frames in another unit than electrons, "
    "comets, resolved changes, trails shorter than a PSF.",
)

Shards = Annotated[Path, typer.Option(help="Folder of the shards.")]
Output = Annotated[Path, typer.Option(help="Folder that weights and card are written to.")]
Workers = Annotated[int, typer.Option(min=0, help="Worker processes; 0 works in this one.")]
Steps = Annotated[int, typer.Option(min=1, help="Training steps.")]
Device = Annotated[DeviceChoice, typer.Option(help="Where to train.")]

_SHARDS = Path(".shards")
_WEIGHTS = shipped()[0].parent
_STEPS = FitConfig().steps


@app.command("generate")
def generate_command(shards: Shards = _SHARDS, workers: Workers = 1) -> None:
    """Make the training shards that are missing."""
    for _, lines in generate(shards, workers):
        for line in lines:
            _log.info(line)


@app.command("train")
def train_command(
    shards: Shards = _SHARDS,
    output: Output = _WEIGHTS,
    steps: Steps = _STEPS,
    device: Device = "auto",
) -> None:
    """Train, calibrate, assess and write the weights and their card."""
    fit = FitConfig(steps=steps)
    target = choose_device(device)
    training = read_shards(shards, "train")
    _log.info("training on %d images, %s", len(training), target)
    network = train(training, Architecture(), fit, target, _report)

    output.mkdir(parents=True, exist_ok=True)
    weights = output / f"{NAME}.safetensors"
    sha256 = save_weights(network, weights)
    card = ModelCard(
        name=NAME,
        sha256=sha256,
        architecture=Architecture(),
        window_pix=fit.window_pix,
        data=_data(training),
        training=_training(fit, target),
        figures={},
        limits=LIMITS,
        **uncalibrated(),
    )
    model = RealBogusModel(network.to(target), card, sha256, target)
    config = DetectionConfig(device=device)
    calibrated = calibrate_model(model, read_shards(shards, "validation"), config)
    card = card.model_copy(update=calibrated)
    model = dataclasses.replace(model, card=card)
    figures = {"held_out": assess(model, read_shards(shards, "test"), config)}
    card = card.model_copy(update={"figures": figures})
    write_card(card, output / f"{NAME}.json")
    _log.info("held out: %s", figures["held_out"])


@app.command("all")
def all_command(
    shards: Shards = _SHARDS,
    output: Output = _WEIGHTS,
    steps: Steps = _STEPS,
    device: Device = "auto",
    workers: Workers = 1,
) -> None:
    """Make what shards are missing, then train."""
    generate_command(shards, workers)
    train_command(shards, output, steps, device)


def _report(step: int, loss: float) -> None:
    _log.info("step %d: loss %.4f", step, loss)


def _data(training: list[Shard]) -> dict[str, Any]:
    labels = np.concatenate([shard.candidates["label"] for shard in training])
    return {
        "source": "astrid_core.simulation, raw exposures through the whole pipeline",
        "first_seed": FIRST_SEED,
        "skies": dict(SKIES),
        "train_images": len(training),
        "train_real": int((labels == 1).sum()),
        "train_bogus": int((labels == 0).sum()),
        "pipeline": {
            "preprocess": PREPROCESS_VERSION,
            "difference": DIFFERENCE_VERSION,
            "extraction": EXTRACTION_VERSION,
            "detection": DETECTION_VERSION,
        },
    }


def _training(fit: FitConfig, device: torch.device) -> dict[str, Any]:
    return {
        **fit.model_dump(mode="json"),
        "loss": "BCE, masked mean over source discs + masked mean over quiet sky",
        "augmentation": "8 symmetries of the square, exchange of science and reference, jitter",
        "device": device.type,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    app()
