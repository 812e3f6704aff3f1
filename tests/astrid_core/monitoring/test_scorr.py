"""σ(S_corr) on blank sky and on sources, against pairs whose noise is known."""

import dataclasses
from functools import lru_cache

import numpy as np
import pytest

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.flags import PixelFlag
from astrid_core.monitoring.scorr import scorr_sigma_by_place, searched_mpix
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair


@lru_cache
def pair() -> SimulatedPair:
    return simulate_pair(PairConfig(seed=4, shape=(400, 400), n_stars=120, n_transients=0))


def difference(shifted: float = 0.0) -> DifferenceImage:
    """Difference of the pair with its true alignment, or with the reference moved by rows."""
    reference = pair().reference
    data = reference.data + shifted * np.gradient(reference.data, axis=0)
    moved = dataclasses.replace(reference, data=data.astype(np.float32))
    quality = AlignmentQuality(flux_ratio=1.0, n_matched=120, registration_rms_pix=0.0)
    return assemble_difference(AlignedPair(pair().science, moved), quality, DifferenceConfig())


def test_both_are_one_where_the_noise_is_understood() -> None:
    sigma = scorr_sigma_by_place(difference(), pair().science)
    assert sigma.scorr_sigma_blank == pytest.approx(1.0, abs=0.05)
    assert sigma.scorr_sigma_sources == pytest.approx(1.0, abs=0.1)


def test_a_misregistration_shows_on_sources_alone() -> None:
    sigma = scorr_sigma_by_place(difference(shifted=0.2), pair().science)
    assert sigma.scorr_sigma_blank == pytest.approx(1.0, abs=0.05)
    assert sigma.scorr_sigma_sources > 1.15


def test_too_little_of_a_place_gives_no_number() -> None:
    science = dataclasses.replace(pair().science, stars=pair().science.stars[:0])
    sigma = scorr_sigma_by_place(difference(), science)
    assert sigma.scorr_sigma_sources is None
    assert sigma.scorr_sigma_blank is not None


def test_masked_pixels_are_not_searched() -> None:
    image = difference()
    mask = image.mask.copy()
    mask[:100] |= np.uint16(PixelFlag.TRAIL)
    less = dataclasses.replace(image, mask=mask)
    border = (image.mask & int(PixelFlag.EDGE)) != 0
    expected = (~border[100:]).sum() / 1e6
    assert searched_mpix(less) == pytest.approx(expected)
    assert searched_mpix(image) > searched_mpix(less)
