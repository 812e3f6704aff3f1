"""One source, one position: difference images take their sky and pixels from the reference."""

import dataclasses

import numpy as np
import pytest
from astropy.wcs import WCS

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.placement import as_polynomial, registered_wcs
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.differencing.transform import Polynomial
from astrid_core.frame import Frame
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair

CONFIG = PairConfig(
    seed=4, shape=(256, 300), n_stars=150, n_transients=12, shift_pix=(7.3, -4.6), rotation_deg=0.2
)
POINTING_ERROR_PIX = np.array([2.4, -1.7])


def mispointed(frame: Frame, keep_pc: bool = True) -> Frame:
    """The frame with a header that errs by a few pixels and a tenth of a degree."""
    assert frame.wcs is not None
    wcs = WCS(frame.wcs.to_header(relax=True))
    wcs.wcs.crpix = wcs.wcs.crpix + POINTING_ERROR_PIX
    turn = np.deg2rad(0.1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = wcs.wcs.get_pc() @ rotation
    if keep_pc:
        wcs.wcs.pc = matrix
    else:
        scaled = np.diag(wcs.wcs.get_cdelt()) @ matrix
        wcs.wcs.cd = scaled
    wcs.wcs.set()
    return dataclasses.replace(frame, wcs=wcs)


@pytest.fixture(scope="module")
def pair() -> SimulatedPair:
    return simulate_pair(CONFIG)


@pytest.mark.parametrize("keep_pc", [True, False])
def test_the_reference_s_sky_overrules_a_wrong_pointing(pair: SimulatedPair, keep_pc: bool):
    science = mispointed(pair.science, keep_pc)
    wcs = registered_wcs(science, pair.reference, pair.to_reference.apply)
    assert wcs is not None
    x, y = np.array([10.0, 280.0, 150.0]), np.array([240.0, 20.0, 130.0])
    found = wcs.pixel_to_world(x, y)
    assert pair.reference.wcs is not None
    true = pair.reference.wcs.pixel_to_world(*pair.to_reference.apply(x, y))
    assert found.separation(true).arcsec.max() < 0.01
    assert science.wcs is not None
    assert science.wcs.pixel_to_world(x, y).separation(true).arcsec.min() > 1.0


def test_without_a_wcs_there_is_nothing_to_move(pair: SimulatedPair):
    blind = dataclasses.replace(pair.reference, wcs=None)
    assert registered_wcs(pair.science, blind, pair.to_reference.apply) is pair.science.wcs
    blind = dataclasses.replace(pair.science, wcs=None)
    assert registered_wcs(blind, pair.reference, pair.to_reference.apply) is None


def test_a_polynomial_stands_for_the_map(pair: SimulatedPair):
    def distorted(x, y):
        x, y = pair.to_reference.apply(x, y)
        return x + 3e-6 * (x - 140) ** 2, y - 2e-8 * (y - 120) ** 3

    polynomial = as_polynomial(distorted, CONFIG.shape)
    x, y = np.random.default_rng(0).uniform(0, 255, (2, 50))
    np.testing.assert_allclose(polynomial(x, y), distorted(x, y), atol=1e-6)


def test_subtraction_places_its_image(pair: SimulatedPair):
    image = subtract_frames(mispointed(pair.science), pair.reference, DifferenceConfig())
    assert isinstance(image.to_reference, Polynomial)
    x, y = pair.truth["x_pix"], pair.truth["y_pix"]
    true_x, true_y = pair.truth["x_reference_pix"], pair.truth["y_reference_pix"]
    found_x, found_y = image.to_reference(x, y)
    assert np.hypot(found_x - true_x, found_y - true_y).max() < 0.1
    assert image.wcs is not None
    assert pair.reference.wcs is not None
    sky = pair.reference.wcs.pixel_to_world(true_x, true_y)
    assert image.wcs.pixel_to_world(x, y).separation(sky).arcsec.max() < 0.1
    assert image.reference_position(x[0], y[0]) == pytest.approx((found_x[0], found_y[0]))
