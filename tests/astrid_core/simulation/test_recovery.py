"""Matching detections to planted changes."""

import numpy as np

from astrid_core.simulation.recovery import NOTHING, SNR_BINS, match_changes, recover

DTYPE = [("x_pix", "f8"), ("y_pix", "f8"), ("snr_true", "f8"), ("is_negative", "?")]
TRUTH = np.array(
    [(10.0, 10.0, 6.0, False), (50.0, 50.0, 20.0, True), (80.0, 80.0, 3.5, False)], dtype=DTYPE
)


def test_a_change_is_recovered_by_a_detection_of_its_own_sign_within_the_radius() -> None:
    result = recover(TRUTH, [(11.0, 10.5, False), (50.0, 50.0, False)], fwhm_pix=3.0)
    assert result.planted == (1, 0, 1, 0, 1)
    assert result.recovered == (0, 0, 1, 0, 0)
    assert (result.n_real, result.n_bogus) == (1, 1)


def test_two_detections_of_one_change_recover_it_once() -> None:
    result = recover(TRUTH, [(10.0, 10.0, False), (10.5, 10.0, False)], fwhm_pix=4.0)
    assert sum(result.recovered) == 1
    assert result.n_real == 2


def test_a_detection_is_the_nearest_change_or_none() -> None:
    match = match_changes(TRUTH, [(80.0, 81.0, False), (50.0, 49.0, True), (30.0, 30.0, True)], 3.0)
    assert match.tolist() == [2, 1, -1]


def test_recoveries_add_up() -> None:
    one = recover(TRUTH, [(50.0, 50.0, True)], fwhm_pix=4.0)
    total = NOTHING + one + one
    assert total.recovered == (0, 0, 0, 0, 2)
    assert len(total.planted) == len(SNR_BINS)
