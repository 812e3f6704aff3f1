"""The training loss: binary cross-entropy over the pixels whose truth is known.

Cross-entropy alone, because it is a proper scoring rule: Dice and its kin drive
probabilities to 0 and 1 and spoil the calibration a reviewer's queue is sorted by.
"""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from astrid_core.detection.shards import IGNORED, REAL


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of ``values`` where ``mask`` holds; 0, still differentiable, where it never does."""
    weight = mask.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def realbogus_loss(
    logits: torch.Tensor, labels: torch.Tensor, sources: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy over the discs of sources plus that over the quiet sky.

    The two are averaged apart, since sources cover about a hundredth of the pixels and a
    common mean would teach the network the sky.

    Parameters
    ----------
    logits
        (n, w, w) float32 log-odds.
    labels
        (n, w, w) uint8: 1 real, 0 bogus or quiet sky, 255 ignored.
    sources
        (n, w, w) bool, true in the discs of real and bogus sources.
    """
    target = (labels == REAL).to(logits.dtype)
    per_pixel = binary_cross_entropy_with_logits(logits, target, reduction="none")
    known = labels != IGNORED
    return masked_mean(per_pixel, known & sources) + masked_mean(per_pixel, known & ~sources)
