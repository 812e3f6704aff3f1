"""The U-Net itself: layers and their names. What weights are in it is ``unet``'s.

Tensors are named as MONAI's ``BasicUNet`` names them, and a test holds the two equal: weights of
one are weights of the other. It is not imported for them because importing any part of MONAI
imports all of it, which is seconds and hundreds of megabytes of every process that scores.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import pad

_SLOPE = 0.1
"""Of the leaky ReLU, below zero."""


class UNet(nn.Module):
    """A U-Net of five levels in two dimensions with GroupNorm: planes in, one plane out.

    GroupNorm and not BatchNorm, because a candidate's score must not depend on the
    candidates that happen to share its batch.

    Parameters
    ----------
    n_planes
        Planes of the input.
    features
        Feature maps of the five levels, finest first, and of the last layer but one.
    groups
        Of each GroupNorm; every number of features is a multiple of it.

    Notes
    -----
    Ronneberger et al. 2015, *U-Net: Convolutional Networks for Biomedical Image Segmentation*,
    in the form of Falk et al. 2019, Nature Methods 16, 67.
    """

    def __init__(self, n_planes: int, features: Sequence[int], groups: int) -> None:
        super().__init__()
        level_0, level_1, level_2, level_3, level_4, last = features
        self.conv_0 = _convolved_twice(n_planes, level_0, groups)
        self.down_1 = _down(level_0, level_1, groups)
        self.down_2 = _down(level_1, level_2, groups)
        self.down_3 = _down(level_2, level_3, groups)
        self.down_4 = _down(level_3, level_4, groups)
        self.upcat_4 = _Up(level_4, level_4 // 2, level_3, level_3, groups)
        self.upcat_3 = _Up(level_3, level_3 // 2, level_2, level_2, groups)
        self.upcat_2 = _Up(level_2, level_2 // 2, level_1, level_1, groups)
        self.upcat_1 = _Up(level_1, level_1, level_0, last, groups)
        self.final_conv = nn.Conv2d(last, 1, kernel_size=1)

    def move_to(self, device: torch.device) -> "UNet":
        """The network itself, on a device, channels last: a fifth faster on CPUs."""
        # torch's types know no memory format here; its documentation does.
        return self.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Log-odds (n, 1, ny, nx) of planes (n, n_planes, ny, nx)."""
        at_0 = self.conv_0(planes)
        at_1 = self.down_1(at_0)
        at_2 = self.down_2(at_1)
        at_3 = self.down_3(at_2)
        found = self.upcat_4(self.down_4(at_3), at_3)
        found = self.upcat_3(found, at_2)
        found = self.upcat_2(found, at_1)
        found = self.upcat_1(found, at_0)
        return torch.as_tensor(self.final_conv(found))


class _Up(nn.Module):
    """A coarse level, enlarged, beside the finer one it came from; convolved twice."""

    def __init__(self, n_in: int, n_enlarged: int, n_beside: int, n_out: int, groups: int) -> None:
        super().__init__()
        enlarge = nn.ConvTranspose2d(n_in, n_enlarged, kernel_size=2, stride=2)
        self.upsample = nn.Sequential(OrderedDict(deconv=enlarge))
        self.convs = _convolved_twice(n_beside + n_enlarged, n_out, groups)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        enlarged = self.upsample(coarse)
        # Of an odd side the coarse level lost the last row: it is repeated.
        lost_y, lost_x = (fine.shape[axis] - enlarged.shape[axis] for axis in (-2, -1))
        if lost_y or lost_x:
            enlarged = pad(enlarged, (0, lost_x, 0, lost_y), "replicate")
        return torch.as_tensor(self.convs(torch.cat([fine, enlarged], dim=1)))


def _down(n_in: int, n_out: int, groups: int) -> nn.Sequential:
    """The next coarser level."""
    convs = _convolved_twice(n_in, n_out, groups)
    return nn.Sequential(OrderedDict(max_pooling=nn.MaxPool2d(kernel_size=2), convs=convs))


def _convolved_twice(n_in: int, n_out: int, groups: int) -> nn.Sequential:
    first, second = _convolved(n_in, n_out, groups), _convolved(n_out, n_out, groups)
    return nn.Sequential(OrderedDict(conv_0=first, conv_1=second))


def _convolved(n_in: int, n_out: int, groups: int) -> nn.Sequential:
    """3 × 3 convolution, normalised, with a leaky ReLU."""
    after = OrderedDict(N=nn.GroupNorm(groups, n_out), A=nn.LeakyReLU(_SLOPE, inplace=True))
    convolution = nn.Conv2d(n_in, n_out, kernel_size=3, padding=1)
    return nn.Sequential(OrderedDict(conv=convolution, adn=nn.Sequential(after)))
