"""Rendering: fluxes, positions and shapes against slow expressions they must equal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.simulation.moffat import MoffatPsf
from astrid_core.simulation.render import GALAXY_DTYPE, add_galaxies, add_point_sources
from astrid_core.simulation.stamps import add_stamp, cut_stamp

SHAPE = (96, 96)


def brute_force_moffat(psf: MoffatPsf, x: float, y: float, n_sub: int = 25) -> np.ndarray:
    """Every pixel as the mean of n_sub² point values."""
    form = psf.quadratic_forms(np.array([x]), np.array([y]))[0]
    sub = (np.arange(n_sub) + 0.5) / n_sub - 0.5
    fine_y = (np.arange(SHAPE[0])[:, None] + sub).ravel() - y
    fine_x = (np.arange(SHAPE[1])[:, None] + sub).ravel() - x
    dx, dy = fine_x[None, :], fine_y[:, None]
    radius = 1 + form[0, 0] * dx**2 + 2 * form[0, 1] * dx * dy + form[1, 1] * dy**2
    value = (psf.beta - 1) / np.pi * np.sqrt(np.linalg.det(form)) * radius**-psf.beta
    return value.reshape(SHAPE[0], n_sub, SHAPE[1], n_sub).mean(axis=(1, 3))


@pytest.mark.parametrize(("fwhm", "beta"), [(2.0, 3.0), (2.6, 4.0), (3.3, 3.5)])
def test_point_source_equals_fine_integration(fwhm: float, beta: float) -> None:
    psf = MoffatPsf(SHAPE, fwhm, beta=beta, ellipticity=0.2, angle_deg=35.0)
    image = np.zeros(SHAPE)
    add_point_sources(image, psf, [47.3], [50.8], [1e5])
    slow = 1e5 * brute_force_moffat(psf, 47.3, 50.8)
    assert np.abs(image - slow).max() < 1e-3 * slow.max()
    assert image.sum() == pytest.approx(1e5, rel=5e-4)


@given(
    x=st.floats(40, 55),
    y=st.floats(40, 55),
    flux=st.floats(500, 1e6),
    fwhm=st.floats(2.0, 4.5),
    ellipticity=st.floats(0, 0.3),
)
@settings(max_examples=25, deadline=None)
def test_flux_and_centroid_are_the_planted_ones(x, y, flux, fwhm, ellipticity) -> None:
    psf = MoffatPsf(SHAPE, fwhm, ellipticity=ellipticity, angle_deg=70.0)
    image = np.zeros(SHAPE)
    add_point_sources(image, psf, [x], [y], [flux])
    rows, columns = np.indices(SHAPE)
    assert image.sum() == pytest.approx(flux, rel=1e-3)
    assert (image * columns).sum() / image.sum() == pytest.approx(x, abs=0.02)
    assert (image * rows).sum() / image.sum() == pytest.approx(y, abs=0.02)


def test_sources_beyond_the_edge_send_their_wings_in() -> None:
    psf = MoffatPsf(SHAPE, 3.0)
    image = np.zeros(SHAPE)
    add_point_sources(image, psf, [-4.0, -500.0], [50.0, 50.0], [1e5, 1e5])
    assert 0 < image.sum() < 0.1 * 1e5
    assert np.argmax(image) % SHAPE[1] == 0


def galaxy(scale_pix: float, **values: float) -> np.ndarray:
    table = np.zeros(1, dtype=GALAXY_DTYPE)
    table["x_pix"], table["y_pix"], table["flux"] = 46.7, 49.2, 1e5
    table["scale_pix"], table["axis_ratio"] = scale_pix, 1.0
    for name, value in values.items():
        table[name] = value
    return table


def test_vanishing_galaxy_is_a_point_source() -> None:
    psf = MoffatPsf(SHAPE, 2.8, ellipticity=0.1, angle_deg=20.0)
    extended, point = np.zeros(SHAPE), np.zeros(SHAPE)
    add_galaxies(extended, psf, galaxy(1e-3))
    add_point_sources(point, psf, [46.7], [49.2], [1e5])
    assert np.abs(extended - point).max() < 5e-4 * point.max()


def test_galaxy_has_its_flux_position_and_orientation() -> None:
    psf = MoffatPsf(SHAPE, 2.8)
    image = np.zeros(SHAPE)
    add_galaxies(image, psf, galaxy(2.5, axis_ratio=0.4, angle_deg=90.0, bulge=0.3))
    rows, columns = np.indices(SHAPE)
    assert image.sum() == pytest.approx(1e5, rel=2e-3)
    x, y = (image * columns).sum() / image.sum(), (image * rows).sum() / image.sum()
    assert (x, y) == pytest.approx((46.7, 49.2), abs=0.02)
    assert (image * (rows - y) ** 2).sum() > 2 * (image * (columns - x) ** 2).sum()


def test_exponential_disc_has_its_analytic_profile() -> None:
    image = np.zeros(SHAPE)
    add_galaxies(image, MoffatPsf(SHAPE, 2.0), galaxy(6.0, x_pix=48.0, y_pix=48.0))
    # Far outside the PSF's core an exponential disc blurred is an exponential disc.
    ratio = image[48, 48 + 24] / image[48, 48 + 18]
    assert ratio == pytest.approx(np.exp(-1.0), rel=0.02)


def test_psf_polynomial_equals_exact_stamps() -> None:
    exact = MoffatPsf((400, 300), 3.0, fwhm_tilt=(0.05, -0.02), fwhm_bowl=0.03, shear=0.04)
    psf = exact.to_psf()
    half = psf.terms.shape[1] // 2
    for x, y in [(0.0, 0.0), (150.0, 200.0), (299.0, 31.0)]:
        stamp = exact.stamps(np.array([x]), np.array([y]), half)[0]
        assert psf.at(x, y).sum() == pytest.approx(1.0, abs=1e-5)
        assert np.abs(psf.at(x, y) - stamp).max() < 5e-4 * stamp.max()


def test_integrated_fwhm_is_wider_than_the_profile() -> None:
    psf = MoffatPsf(SHAPE, 2.5, ellipticity=0.15, angle_deg=30.0)
    fine = MoffatPsf(SHAPE, 25.0, ellipticity=0.15, angle_deg=30.0)
    assert fine.integrated_fwhm() == pytest.approx(25.0, rel=2e-3)
    assert 2.5 < psf.integrated_fwhm() < 2.7


@given(row=st.integers(-20, 40), column=st.integers(-20, 40), half=st.integers(0, 9))
def test_stamps_equal_padded_slices(row: int, column: int, half: int) -> None:
    image = np.arange(15 * 20, dtype=float).reshape(15, 20)
    padded = np.pad(image, 60)
    slow = padded[60 + row - half : 61 + row + half, 60 + column - half : 61 + column + half]
    assert np.array_equal(cut_stamp(image, column, row, half), slow)
    added = image.copy()
    add_stamp(added, slow, column, row)
    assert np.array_equal(cut_stamp(added, column, row, half), 2 * slow)
