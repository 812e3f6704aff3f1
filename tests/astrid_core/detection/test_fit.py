"""Shards and training, on skies so simple that a few steps must learn something."""

from pathlib import Path

import numpy as np
import pytest
import torch

from astrid_core.detection.augment import exchange_roles, window
from astrid_core.detection.card import Architecture
from astrid_core.detection.fit import FitConfig, WindowSampler, train
from astrid_core.detection.shards import (
    SHARD_CANDIDATE_DTYPE,
    TRUTH_DTYPE,
    Shard,
    label_pixels,
    match_candidates,
    read_shard,
    read_shards,
    write_shard,
)
from astrid_core.errors import AstridError

FWHM = 3.0
SMALL = Architecture(features=(4, 4, 8, 8, 8, 4), groups=2)


def truth_at(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.array(list(rows), dtype=TRUTH_DTYPE)


def make_shard(seed: int, size: int = 128) -> Shard:
    """Real changes are round, bogus ones single hot pixels."""
    rng = np.random.default_rng(seed)
    yy, xx = np.indices((size, size))
    centres = rng.uniform(10, size - 10, (12, 2))
    image = np.zeros((size, size))
    for x, y in centres[:6]:
        image += 20 * np.exp(-4 * np.log(2) * ((xx - x) ** 2 + (yy - y) ** 2) / FWHM**2)
    for x, y in centres[6:]:
        image[round(y), round(x)] += 60
    truth = truth_at(*((x, y, 10.0) for x, y in centres[:6]))
    candidates = match_candidates(centres[:, 0], centres[:, 1], np.full(12, 8.0), truth, FWHM)
    labels, sources = label_pixels(image.astype(np.float32), candidates, truth, FWHM)
    noisy = np.arcsinh(image + rng.normal(0, 1, image.shape))
    quiet = np.arcsinh(rng.normal(0, 1, image.shape))
    planes = np.stack([noisy, quiet, noisy, np.ones_like(noisy)]).astype(np.float16)
    scorr = image.astype(np.float16)
    return Shard(planes, scorr, labels, sources, candidates, truth, FWHM, f"sky-{seed}", "train")


def test_candidates_are_real_bogus_or_unclear():
    truth = truth_at((10, 10, 20.0), (50, 50, 2.0))
    x = np.array([10.8, 13.5, 50.2, 90.0])
    y = np.array([10.8, 10.0, 50.0, 90.0])
    matched = match_candidates(x, y, np.ones(4), truth, FWHM)
    assert matched["label"].tolist() == [1, 255, 255, 0]
    assert matched["snr_true"][0] == 20
    assert np.isnan(matched["snr_true"][1:]).all()
    assert match_candidates(x, y, np.ones(4), truth[:0], FWHM)["label"].tolist() == [0, 0, 0, 0]


def test_pixels_are_labelled_by_discs_and_significance():
    scorr = np.zeros((80, 80), np.float32)
    scorr[40, 5] = -3.5  # significant, of unknown origin
    truth = truth_at((20, 20, 10.0), (60, 60, 1.0))
    candidates = np.zeros(2, dtype=SHARD_CANDIDATE_DTYPE)
    candidates["x_pix"], candidates["y_pix"] = (40, 70), (20, 20)
    candidates["label"] = (0, 255)
    labels, sources = label_pixels(scorr, candidates, truth, FWHM)
    assert labels[20, 20] == labels[20, 23] == 1
    assert labels[20, 24] == 0
    assert sources[20, 23]
    assert not sources[20, 24]
    assert labels[20, 40] == 0
    assert sources[20, 40]
    assert labels[20, 70] == labels[60, 60] == labels[40, 5] == 255
    assert not sources[20, 70]
    assert (labels == 1).sum() == sum(
        dx * dx + dy * dy <= 9 for dx in range(-3, 4) for dy in range(-3, 4)
    )


def test_a_shard_survives_its_file_without_pickle(tmp_path: Path):
    shard = make_shard(1)
    write_shard(shard, tmp_path / "train-1.npz")
    (again,) = read_shards(tmp_path, "train")
    for name in ("planes", "labels", "sources", "candidates", "truth"):
        assert getattr(again, name).tobytes() == getattr(shard, name).tobytes()
    assert (again.fwhm_pix, again.sky, again.split) == (FWHM, "sky-1", "train")
    assert list(tmp_path.iterdir()) == [tmp_path / "train-1.npz"]


def test_what_is_no_shard_is_refused(tmp_path: Path):
    with pytest.raises(AstridError, match="generate"):
        read_shards(tmp_path, "test")
    (tmp_path / "train-1.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(AstridError, match="not a training shard"):
        read_shard(tmp_path / "train-1.npz")
    np.savez(tmp_path / "train-2.npz", planes=np.array([{}], dtype=object))
    with pytest.raises(AstridError, match="not a training shard"):
        read_shard(tmp_path / "train-2.npz")


def test_windows_have_their_labels_and_come_alike_from_a_seed():
    sampler = WindowSampler([make_shard(1), make_shard(2)], FitConfig())
    first = sampler.draw(24, np.random.default_rng(7))
    again = sampler.draw(24, np.random.default_rng(7))
    assert first.planes.shape == (24, 4, 64, 64)
    np.testing.assert_array_equal(first.planes, again.planes)
    assert (first.labels[first.planes[:, 3] == 0] == 255).all()
    # Under every symmetry and exchange of roles the signal stays where its label is.
    real = np.abs(first.planes[:, 2])[first.labels == 1]
    quiet = np.abs(first.planes[:, 2])[(first.labels == 0) & ~first.sources]
    assert real.mean() > 2 * quiet.mean()


def test_exchange_of_roles_is_its_own_inverse():
    planes = make_shard(1).planes
    exchanged = exchange_roles(planes)
    np.testing.assert_array_equal(exchanged[0], planes[1])
    np.testing.assert_array_equal(exchanged[2], -planes[2])
    np.testing.assert_array_equal(exchange_roles(exchanged), planes)


def test_window_beyond_the_image_is_filled():
    image = np.arange(12).reshape(3, 4)
    assert window(image, -1, 2, 3, 9).tolist() == [[9, 8, 9], [9, 9, 9], [9, 9, 9]]
    assert (window(image, 50, 50, 2, 9) == 9).all()


def test_training_learns_and_repeats_itself():
    shards = [make_shard(seed) for seed in range(4)]
    config = FitConfig(steps=40, batch_size=8)
    losses: list[float] = []
    device = torch.device("cpu")
    network = train(shards, SMALL, config, device, lambda _, loss: losses.append(loss))
    again = train(shards, SMALL, config, device, lambda _, loss: losses.append(loss))
    assert losses[0] == losses[1] < 1.2
    for one, other in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)

    held_out = make_shard(99)
    planes = torch.from_numpy(held_out.planes[None].astype(np.float32))
    with torch.inference_mode():
        logits = network(planes)[0, 0].numpy()
    real, bogus = (held_out.labels == 1), held_out.sources & (held_out.labels == 0)
    assert logits[real].mean() > logits[bogus].mean() + 0.5
