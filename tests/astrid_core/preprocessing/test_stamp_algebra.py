import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.preprocessing.moffat import fit_moffat, moffat_slopes, moffat_stamp
from astrid_core.preprocessing.shapes import cut_stamps, stamp_fwhm
from astrid_core.preprocessing.shift import shift_stamps

shifts = st.floats(-0.9, 0.9)


@settings(max_examples=25, deadline=None)
@given(dx=shifts, dy=shifts, fwhm=st.floats(2.5, 6.0))
def test_a_shifted_stamp_is_the_stamp_made_there(dx: float, dy: float, fwhm: float) -> None:
    still = moffat_stamp(41, fwhm, 3.5)
    moved = shift_stamps(still, np.array([dx]), np.array([dy]))[0]
    there = moffat_stamp(41, fwhm, 3.5, dx_pix=dx, dy_pix=dy)
    assert np.abs(moved - there)[3:-3, 3:-3].max() < 0.008 * still.max()


def test_zero_shift_changes_nothing_and_flux_is_kept() -> None:
    stamp = moffat_stamp(41, 3.0, 4.0)
    assert shift_stamps(stamp, np.zeros(1), np.zeros(1))[0] == pytest.approx(stamp, abs=1e-12)
    moved = shift_stamps(stamp, np.array([0.37]), np.array([-0.6]))[0]
    assert moved.sum() == pytest.approx(stamp.sum(), rel=1e-3)


@pytest.mark.parametrize(("fwhm", "beta", "g"), [(2.5, 3.0, 0.0), (3.5, 2.5, 0.1), (6.0, 5.0, 0.2)])
def test_moffat_fit_recovers_its_own_stamp(fwhm: float, beta: float, g: float) -> None:
    truth = moffat_stamp(41, fwhm, beta, g, -g / 2, 0.2, -0.1)
    centred = moffat_stamp(41, fwhm, beta, g, -g / 2)
    fitted = fit_moffat(truth * 37.0)
    assert fitted == pytest.approx(centred / centred.sum(), abs=2e-3 * centred.max())


@settings(max_examples=25, deadline=None)
@given(
    fwhm=st.floats(1.2, 7.0),
    beta=st.floats(1.5, 8.0),
    g1=st.floats(-0.4, 0.4),
    g2=st.floats(-0.4, 0.4),
    dx=shifts,
    dy=shifts,
)
def test_slopes_are_those_of_the_stamp(
    fwhm: float, beta: float, g1: float, g2: float, dx: float, dy: float
) -> None:
    at = np.array([fwhm, beta, g1, g2, dx, dy])
    stamp, slopes = moffat_slopes(21, *at)
    assert stamp == pytest.approx(moffat_stamp(21, *at), rel=1e-12)
    for which, slope in enumerate(slopes):
        step = np.zeros(6)
        step[which] = 1e-5
        rise = moffat_stamp(21, *(at + step)) - moffat_stamp(21, *(at - step))
        assert slope == pytest.approx(rise / 2e-5, abs=1e-6 * stamp.max())


def test_fwhm_of_a_stamp_is_that_of_the_continuous_profile() -> None:
    for fwhm, beta in [(2.5, 4.0), (4.5, 3.0)]:
        stamp = moffat_stamp(41, fwhm, beta)
        radius = np.linspace(0.4 * fwhm, 0.8 * fwhm, 60)
        profile = [moffat_stamp(41, fwhm, beta, dx_pix=-r)[20, 20] for r in radius]
        half = np.interp(-0.5 * stamp[20, 20], -np.array(profile), radius)
        assert stamp_fwhm(stamp) == pytest.approx(2 * half, rel=5e-3)


def test_stamps_are_zero_outside_the_image() -> None:
    image = np.arange(20.0).reshape(4, 5)
    stamps = cut_stamps(image, np.array([0, 4]), np.array([0, 3]), 1)
    assert stamps[0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 5, 6]]
    assert stamps[1].tolist() == [[13, 14, 0], [18, 19, 0], [0, 0, 0]]
