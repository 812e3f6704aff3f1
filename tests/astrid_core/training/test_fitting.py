"""Teaching a network samples of known truth, and going on where one was interrupted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from astrid_core.detection.card import Architecture
from astrid_core.detection.unet import build_network, logits_of
from astrid_core.errors import DatasetQualityError
from astrid_core.training.config import TrainingConfig
from astrid_core.training.fitting import Fitted, Progress, fit
from astrid_core.training.scoring import PixelCounts, score_samples
from astrid_core.training.windows import SampleSampler, centred
from tests.astrid_core.training.synthetic import FWHM, make_samples

SMALL = Architecture(features=(4, 4, 8, 8, 8, 4), groups=2)
CPU = torch.device("cpu")
CONFIG = TrainingConfig(
    start_from="scratch", steps=12, batch_size=8, learning_rate=1e-2, validate_every=4,
    checkpoint_every=6, patience=3,
)  # fmt: skip
SAMPLES = make_samples(60)
TRAIN, VAL = SAMPLES.of_split("train"), SAMPLES.of_split("val")


def teach(path: Path, config: TrainingConfig = CONFIG, report=lambda _: None) -> Fitted:
    return fit(TRAIN, VAL, SMALL, None, config, CPU, checkpoint=path, report=report)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_windows_carry_their_discs_through_every_turn():
    batch = SampleSampler(TRAIN, 8, use_injections=True).draw(32, np.random.default_rng(1))
    assert batch.planes.shape == (32, 4, 64, 64)
    is_real = (batch.labels == 1).any(axis=(1, 2))
    assert 6 < is_real.sum() < 26  # half of them
    change = np.abs(batch.planes[:, 2])
    for planes, sources, real in zip(change, batch.sources, is_real, strict=True):
        assert 20 <= sources.sum() <= 36  # π FWHM² pixels
        if real:
            assert planes[sources].mean() > 1.3 * planes[~sources].mean()
        else:
            assert planes.argmax() in np.flatnonzero(sources)


def test_injections_help_and_are_left_out_where_not_wanted():
    injected = [
        replace(r, label_source="injection") if r.is_real and i % 2 else r
        for i, r in enumerate(TRAIN.records)
    ]
    samples = replace(TRAIN, records=injected)
    own = {r.sha256 for r in injected if r.label_source == "injection"}
    for wanted in (True, False):
        sampler = SampleSampler(samples, 0, use_injections=wanted)
        drawn = {sampler._draw_index(np.random.default_rng(i)) for i in range(200)}
        assert bool({injected[i].sha256 for i in drawn} & own) is wanted


def test_the_middle_of_a_sample_is_what_inference_cuts():
    batch = centred(VAL)
    np.testing.assert_array_equal(batch.planes[:, 2], VAL.images[:, 2, 8:72, 8:72])
    np.testing.assert_array_equal(batch.planes[:, 3], VAL.images[:, 4, 8:72, 8:72])
    assert (batch.sources.sum(axis=(1, 2)) <= np.pi * (FWHM + 0.6) ** 2).all()


def test_what_was_interrupted_ends_with_the_same_bits(tmp_path: Path):
    whole = teach(tmp_path / "whole.pt")

    def stop(progress: Progress) -> None:
        if progress.step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach(tmp_path / "cut.pt", report=stop)
    steps: list[int] = []
    resumed = teach(tmp_path / "cut.pt", report=lambda p: steps.append(p.step))
    assert steps == [7, 8, 9, 10, 11, 12]
    assert resumed.losses == whole.losses
    assert resumed.validations == whole.validations
    assert same(resumed.network, whole.network)
    assert torch.load(tmp_path / "cut.pt", weights_only=True)["best_step"] > 0


def test_a_checkpoint_of_another_training_is_not_gone_on_with(tmp_path: Path):
    teach(tmp_path / "one.pt")
    steps: list[int] = []
    other = CONFIG.model_copy(update={"seed": 1})
    teach(tmp_path / "one.pt", other, lambda p: steps.append(p.step))
    assert steps[0] == 1


def test_a_checkpoint_that_began_with_other_weights_is_not_gone_on_with(tmp_path: Path):
    teach(tmp_path / "one.pt")
    steps: list[int] = []
    start = build_network(SMALL).state_dict()
    fit(
        TRAIN, VAL, SMALL, start, CONFIG, CPU,
        checkpoint=tmp_path / "one.pt", report=lambda p: steps.append(p.step),
    )  # fmt: skip
    assert steps[0] == 1


def test_training_learns_and_stops_when_it_no_longer_does(tmp_path: Path):
    config = CONFIG.model_copy(update={"steps": 60, "validate_every": 10, "patience": 6})
    fitted = teach(tmp_path / "c.pt", config)
    assert fitted.validations[-1].loss < 0.7 * fitted.validations[0].loss
    assert max(one.average_precision for one in fitted.validations) > 0.9
    best = min(fitted.validations, key=lambda one: one.loss)
    assert fitted.best_step == best.step
    patient = config.model_copy(
        update={"learning_rate": 1e-9, "validate_every": 1, "patience": 2, "steps": 40}
    )
    stopped = teach(tmp_path / "d.pt", patient)
    assert stopped.stopped_early == (len(stopped.losses) < 40)


def test_a_split_without_both_classes_is_refused(tmp_path: Path):
    real = VAL.where(VAL.is_real)
    with pytest.raises(DatasetQualityError, match="val split holds"):
        fit(TRAIN, real, SMALL, None, CONFIG, CPU, checkpoint=tmp_path / "c", report=print)
    only = TRAIN.where(TRAIN.is_real)
    with pytest.raises(DatasetQualityError, match="train split holds"):
        fit(only, VAL, SMALL, None, CONFIG, CPU, checkpoint=tmp_path / "c", report=print)


def test_pixels_in_bins_have_the_precision_of_pixels():
    from sklearn.metrics import average_precision_score

    torch.manual_seed(0)
    network = build_network(SMALL).eval()
    counts = PixelCounts()
    scores = score_samples(lambda w, n: logits_of(network, CPU, w, n), VAL, counts)
    batch = centred(VAL)
    logits = logits_of(network, CPU, batch.planes, 8)
    known = batch.labels != 255
    expected = average_precision_score(batch.labels[known] == 1, logits[known])
    assert counts.average_precision() == pytest.approx(expected, abs=5e-3)
    inside = batch.sources & (batch.planes[:, 3] > 0)
    assert scores == pytest.approx(
        [a[b].mean() for a, b in zip(logits, inside, strict=True)], abs=1e-5
    )
