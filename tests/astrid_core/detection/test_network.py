"""The U-Net against MONAI's, whose tensors' names it has."""

import subprocess
import sys

import pytest
import torch
from monai.networks.nets import BasicUNet

from astrid_core.detection.card import CHANNELS, Architecture
from astrid_core.detection.unet import build_network


def theirs(architecture: Architecture) -> BasicUNet:
    return BasicUNet(
        spatial_dims=2,
        in_channels=len(CHANNELS),
        out_channels=1,
        features=architecture.features,
        norm=("group", {"num_groups": architecture.groups}),
    )


ARCHITECTURES = [Architecture(), Architecture(features=(8, 16, 24, 32, 48, 8), groups=8)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_seed_gives_both_the_same_weights(architecture: Architecture) -> None:
    made = []
    for build in (build_network, theirs):
        torch.manual_seed(7)
        made.append(build(architecture).state_dict())
    ours, other = made
    assert list(ours) == list(other)
    assert all(torch.equal(ours[name], other[name]) for name in ours)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(64, 64), (44, 61)])
def test_weights_of_one_are_weights_of_the_other(
    architecture: Architecture, shape: tuple[int, int]
) -> None:
    torch.manual_seed(11)
    network, other = theirs(architecture), build_network(architecture)
    other.load_state_dict(network.state_dict(), strict=True)
    planes = torch.randn(3, len(CHANNELS), *shape)
    with torch.inference_mode():
        assert torch.equal(other(planes), network(planes))


@pytest.mark.parametrize("features", [(8, 8, 16, 16, 32, 8)])
def test_gradients_are_theirs(features: tuple[int, int, int, int, int, int]) -> None:
    architecture = Architecture(features=features)
    torch.manual_seed(13)
    network, other = theirs(architecture), build_network(architecture)
    other.load_state_dict(network.state_dict(), strict=True)
    planes = torch.randn(2, len(CHANNELS), 32, 32)
    for one in (network, other):
        one(planes).square().mean().backward()
    for ours, given in zip(other.parameters(), network.parameters(), strict=True):
        assert ours.grad is not None
        assert torch.allclose(ours.grad, given.grad, rtol=1e-5, atol=1e-7)


def test_who_scores_imports_no_monai() -> None:
    asked = "import sys, astrid_core.detection.scoring; print('monai' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
