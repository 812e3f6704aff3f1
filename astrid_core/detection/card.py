"""Model cards: what a set of weights is, where it came from and how good it was held out.

A card travels with its weights (JSON beside the safetensors file, the ``models`` row,
MLflow) and holds everything scoring needs besides the weights themselves. No torch here:
the registry and the API read cards too.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from astrid_core.errors import ModelIntegrityError, ModelUnavailableError
from astrid_core.identity import sha256_file

RETRAIN = "Restore the file, or retrain with python -m astrid_core.detection.bootstrap."

CHANNELS = ("science", "reference", "difference", "validity")
"""Planes of the network's input, in order; see :func:`astrid_core.detection.planes.preprocess`."""


class Architecture(BaseModel):
    """Constructor of the network and its arguments.

    Attributes
    ----------
    constructor
        The class that the tensors are named for; see :class:`~astrid_core.detection.network.UNet`.
    features
        Feature maps of the five levels, finest first, and of the last layer but one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    constructor: Literal["monai.networks.nets.BasicUNet"] = "monai.networks.nets.BasicUNet"
    features: tuple[int, int, int, int, int, int] = (16, 16, 32, 64, 128, 16)
    groups: int = Field(default=4, ge=1, description="Groups of each GroupNorm.")


class Calibration(BaseModel):
    """Platt scaling: confidence = 1 / (1 + exp(−(slope · log-odds + intercept))).

    The slope is positive, so that calibration never changes an order.
    Platt 1999, *Probabilistic outputs for support vector machines*.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float = Field(default=1.0, gt=0.0)
    intercept: float = 0.0


class ModelCard(BaseModel):
    """Card of one set of weights.

    Attributes
    ----------
    sha256
        Of the safetensors file the card belongs to.
    window_pix
        Side of the square windows it was trained on.
    threshold
        Calibrated confidence from which a detection counts as real in ``figures``.
    component_threshold
        Raw pixel probability above which connected pixels are a component.
    calibration, component_calibration
        For candidates, and for components, whose prior differs.
    component_bogus_per_mpix
        How many bogus components 10⁶ pixels hold: with the density of real ones that a
        survey expects, the odds that ``component_calibration``, fitted at even odds, lacks.
    data, training, figures
        What it was trained on, how, and what it reached on held-out fields.
    limits
        What it was never shown, in sentences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    architecture: Architecture
    channels: tuple[str, ...] = CHANNELS
    window_pix: int = Field(default=64, ge=32, multiple_of=16)
    threshold: float = Field(gt=0.0, lt=1.0)
    component_threshold: float = Field(gt=0.0, lt=1.0)
    calibration: Calibration
    component_calibration: Calibration
    component_bogus_per_mpix: float = Field(gt=0.0)
    data: dict[str, Any]
    training: dict[str, Any]
    figures: dict[str, Any]
    limits: tuple[str, ...] = ()


def read_card(path: Path) -> ModelCard:
    """Card from its JSON file.

    Raises
    ------
    ModelUnavailableError
        If the file is missing or not a model card.
    """
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelUnavailableError(
            f"model card {path} cannot be used: {error}",
            remedy=RETRAIN,
        ) from error


def write_card(card: ModelCard, path: Path) -> None:
    """Write a card as JSON with sorted keys, so that a diff shows what changed."""
    text = json.dumps(card.model_dump(mode="json"), indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def verify_weights(weights: Path, sha256: str) -> None:
    """Check a weights file against the SHA-256 it must have.

    Raises
    ------
    ModelUnavailableError
        If there is no such file.
    ModelIntegrityError
        If its bytes differ.
    """
    try:
        found = sha256_file(weights)
    except OSError as error:
        raise ModelUnavailableError(
            f"weights {weights} cannot be read: {error}", remedy=RETRAIN
        ) from error
    if found != sha256:
        raise ModelIntegrityError(
            f"weights {weights} are not the registered ones: refusing to score with them",
            remedy=RETRAIN,
            expected=sha256,
            found=found,
        )
