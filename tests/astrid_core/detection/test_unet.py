from pathlib import Path

import numpy as np
import pytest
import torch

from astrid_core.detection.card import Architecture, Calibration, ModelCard, read_card, write_card
from astrid_core.detection.unet import build_network, choose_device, load_model, save_weights
from astrid_core.errors import ModelIntegrityError, ModelUnavailableError


def make_card(sha256: str, **changes: object) -> ModelCard:
    values: dict[str, object] = {
        "name": "untrained",
        "sha256": sha256,
        "architecture": Architecture(),
        "threshold": 0.5,
        "component_threshold": 0.9,
        "calibration": Calibration(),
        "component_calibration": Calibration(),
        "component_bogus_per_mpix": 1.0,
        "data": {},
        "training": {},
        "figures": {},
    }
    return ModelCard.model_validate(values | changes)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    return path, save_weights(build_network(Architecture()), path)


def test_network_has_half_a_million_parameters_and_fits_four_megabytes(weights):
    network = build_network(Architecture())
    assert 0.4e6 < sum(p.numel() for p in network.parameters()) < 0.6e6
    assert weights[0].stat().st_size <= 4e6
    assert network(torch.zeros(2, 4, 64, 64)).shape == (2, 1, 64, 64)


def test_weights_come_back_as_saved_and_score_alike_twice(weights):
    path, sha256 = weights
    windows = np.random.default_rng(0).normal(size=(5, 4, 64, 64)).astype(np.float32)
    first = load_model(path, make_card(sha256), sha256, "cpu").logits(windows, batch_size=2)
    second = load_model(path, make_card(sha256), sha256, "cpu").logits(windows, batch_size=2)
    assert first.shape == (5, 64, 64)
    np.testing.assert_array_equal(first, second)


def test_a_window_scores_the_same_whatever_shares_its_batch(weights):
    path, sha256 = weights
    model = load_model(path, make_card(sha256), sha256, "cpu")
    windows = np.random.default_rng(0).normal(size=(6, 4, 64, 64)).astype(np.float32)
    together = model.logits(windows, batch_size=6)
    alone = model.logits(windows[2:3], batch_size=6)
    np.testing.assert_allclose(together[2], alone[0], atol=1e-4)


def test_tampered_weights_are_refused(weights, tmp_path: Path):
    path, sha256 = weights
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    tampered = tmp_path / "w.safetensors"
    tampered.write_bytes(data)
    with pytest.raises(ModelIntegrityError) as caught:
        load_model(tampered, make_card(sha256), sha256, "cpu")
    assert caught.value.details["expected"] == sha256


def test_a_card_of_other_weights_is_refused(weights):
    path, sha256 = weights
    with pytest.raises(ModelIntegrityError, match="other weights"):
        load_model(path, make_card("0" * 64), sha256, "cpu")


def test_weights_of_another_architecture_are_refused(weights):
    path, sha256 = weights
    card = make_card(sha256, architecture=Architecture(features=(8, 8, 16, 32, 64, 8)))
    with pytest.raises(ModelIntegrityError, match="do not fit"):
        load_model(path, card, sha256, "cpu")


def test_a_pickle_is_never_read(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    torch.save({"a": torch.zeros(1)}, path)
    from astrid_core.identity import sha256_file

    sha256 = sha256_file(path)
    with pytest.raises(ModelIntegrityError):
        load_model(path, make_card(sha256), sha256, "cpu")


def test_missing_weights_and_cards_say_what_to_do(tmp_path: Path):
    with pytest.raises(ModelUnavailableError, match="retrain"):
        load_model(tmp_path / "none", make_card("0" * 64), "0" * 64, "cpu")
    with pytest.raises(ModelUnavailableError, match="retrain"):
        read_card(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"name": "x"}')
    with pytest.raises(ModelUnavailableError, match="cannot be used"):
        read_card(tmp_path / "bad.json")


def test_card_survives_its_file(tmp_path: Path):
    card = make_card("a" * 64, limits=("never saw a comet",))
    write_card(card, tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == card


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_asked_for_and_absent_is_loud():
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ModelUnavailableError, match="no CUDA device"):
        choose_device("cuda")
