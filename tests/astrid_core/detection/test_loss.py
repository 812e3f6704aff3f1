import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from astrid_core.detection.loss import masked_mean, realbogus_loss
from astrid_core.detection.shards import IGNORED


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 16, 16, generator=generator, requires_grad=True)
    labels = torch.zeros(2, 16, 16, dtype=torch.uint8)
    sources = torch.zeros(2, 16, 16, dtype=torch.bool)
    labels[0, 2:6, 2:6] = 1
    sources[0, 2:6, 2:6] = True
    sources[1, 8:12, 8:12] = True  # a bogus source: label 0
    labels[:, 14:, :] = IGNORED
    return logits, labels, sources


def test_masked_mean_of_a_union_is_the_weighted_sum_of_its_parts():
    values = torch.arange(24.0).reshape(4, 6)
    first = values < 7
    second = values >= 15
    together = masked_mean(values, first | second)
    parts = masked_mean(values, first) * first.sum() + masked_mean(values, second) * second.sum()
    assert together == pytest.approx(float(parts / (first.sum() + second.sum())))


def test_masked_mean_of_nothing_is_zero_and_differentiable():
    values = torch.ones(3, requires_grad=True)
    mean = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0
    assert (values.grad == 0).all()


def test_loss_equals_the_sum_of_its_parts():
    logits, labels, sources = example()
    part = lambda mask, target: binary_cross_entropy_with_logits(  # noqa: E731
        logits[mask], torch.full_like(logits[mask], target), reduction="sum"
    )
    real = labels == 1
    bogus = sources & (labels == 0)
    quiet = ~sources & (labels == 0)
    discs = (part(real, 1.0) + part(bogus, 0.0)) / (real.sum() + bogus.sum())
    sky = part(quiet, 0.0) / quiet.sum()
    assert realbogus_loss(logits, labels, sources).item() == pytest.approx((discs + sky).item())


def test_nothing_is_learned_from_ignored_pixels():
    logits, labels, sources = example()
    realbogus_loss(logits, labels, sources).backward()
    assert logits.grad is not None
    assert (logits.grad[labels == IGNORED] == 0).all()
    assert (logits.grad[labels != IGNORED] != 0).all()
