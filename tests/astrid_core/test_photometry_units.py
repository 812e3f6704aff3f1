"""Flux units: the AB scale."""

import pytest

from astrid_core.photometry import flux_unit_and_scale


def test_zero_point_23_9_is_one_microjansky() -> None:
    assert flux_unit_and_scale(23.9) == ("uJy", pytest.approx(1.0))


def test_a_flux_of_the_zero_point_s_unit_has_its_ab_magnitude() -> None:
    unit, scale = flux_unit_and_scale(27.0)
    assert unit == "uJy"
    # m = 23.9 - 2.5 lg(F/uJy); one unit has 27 mag
    assert scale == pytest.approx(10 ** ((23.9 - 27.0) / 2.5))


def test_without_a_zero_point_fluxes_stay_instrumental() -> None:
    assert flux_unit_and_scale(None) == ("instrumental", 1.0)
