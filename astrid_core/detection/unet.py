"""The real/bogus network and its weights.

What belongs here: building the U-Net a model card describes, reading and writing its
weights, choosing the device. What does not: its layers (``network``), input planes
(``planes``), windows (``windows``), what a score means (``scoring``), which weights are in
force (``registry``).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from astrid_core.detection.card import CHANNELS, RETRAIN, Architecture, ModelCard, verify_weights
from astrid_core.detection.config import DeviceChoice
from astrid_core.detection.network import UNet
from astrid_core.errors import ModelIntegrityError, ModelUnavailableError
from astrid_core.identity import sha256_file

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class RealBogusModel:
    """Weights in memory, ready to score.

    Attributes
    ----------
    network
        In evaluation mode on ``device``; one input window → one plane of log-odds.
    """

    network: torch.nn.Module
    card: ModelCard
    sha256: str
    device: torch.device

    def logits(self, windows: F32, batch_size: int) -> F32:
        """Log-odds of "real" per pixel.

        Parameters
        ----------
        windows
            (n, 4, w, w) float32 from :func:`~astrid_core.detection.planes.preprocess`.

        Returns
        -------
        (n, w, w) float32.
        """
        return logits_of(self.network, self.device, windows, batch_size)


def logits_of(network: torch.nn.Module, device: torch.device, windows: F32, batch_size: int) -> F32:
    """Log-odds (n, w, w) of windows (n, 4, w, w), a batch at a time."""
    out = np.empty((len(windows), *windows.shape[2:]), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(windows), batch_size):
            batch = torch.from_numpy(windows[start : start + batch_size]).to(device)
            out[start : start + batch_size] = network(batch)[:, 0].cpu().numpy()
    return out


def build_network(architecture: Architecture) -> UNet:
    """Untrained network of an architecture."""
    return UNet(len(CHANNELS), architecture.features, architecture.groups)


def choose_device(wanted: DeviceChoice) -> torch.device:
    """Device for a setting.

    Raises
    ------
    ModelUnavailableError
        If CUDA was asked for and there is none.
    """
    present = torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise ModelUnavailableError(
            "detection is configured for device 'cuda' but PyTorch sees no CUDA device",
            remedy="Run on a node with a GPU and a CUDA build of torch, or set device to "
            "'auto' or 'cpu'.",
            torch_version=torch.__version__,
        )
    return torch.device("cuda" if wanted != "cpu" and present else "cpu")


def load_model(
    weights: Path,
    card: ModelCard,
    sha256: str,
    device: DeviceChoice = "auto",
) -> RealBogusModel:
    """Load weights after proving that they are the ones meant.

    Parameters
    ----------
    sha256
        Of the ``models`` row (or registered version); card and file must agree with it.

    Raises
    ------
    ModelIntegrityError
        If the file or the card is another's, or the tensors do not fit the architecture.
    ModelUnavailableError
        If the file cannot be read, or the device is absent.
    """
    target = choose_device(device)
    verify_weights(weights, sha256)
    if card.sha256 != sha256:
        raise ModelIntegrityError(
            f"model card {card.name} belongs to other weights",
            remedy=RETRAIN,
            expected=sha256,
            found=card.sha256,
        )
    network = build_network(card.architecture)
    try:
        network.load_state_dict(load_file(weights), strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise ModelIntegrityError(
            f"weights {weights.name} do not fit the architecture of card {card.name}: {error}",
            remedy=RETRAIN,
        ) from error
    network.eval().requires_grad_(False).move_to(target)
    return RealBogusModel(network=network, card=card, sha256=sha256, device=target)


def copied_weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a network's tensors, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def save_weights(network: torch.nn.Module, path: Path) -> str:
    """Write a network's tensors as safetensors; returns the file's SHA-256."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    save_file(tensors, path)
    path.chmod(0o644)  # safetensors writes for its owner alone; weights are shipped
    return sha256_file(path)
