"""A difference image in and out of FITS."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import (
    DifferenceImage,
    read_difference,
    write_difference,
)
from astrid_core.differencing.transform import Polynomial
from astrid_core.errors import BadFitsError
from astrid_core.frame import write_frame
from astrid_core.simulation.pair import PairConfig, SimulatedPair, simulate_pair

TO_REFERENCE = Polynomial(
    np.array([[3.5, 70.0, 0.1], [-2.25, -0.1, 64.0]]), 1, centre=(69.5, 63.5), scale=69.5
)
REASONS = ("sigma of S_corr 2.80 is outside 0.8 to 1.25", "x" * 150)


@pytest.fixture(scope="module")
def pair() -> SimulatedPair:
    return simulate_pair(
        PairConfig(shape=(128, 140), n_stars=10, n_transients=3, psf_variation=0.05)
    )


@pytest.fixture(scope="module")
def difference(pair: SimulatedPair) -> DifferenceImage:
    image = assemble_difference(
        AlignedPair(pair.science, pair.reference),
        AlignmentQuality(flux_ratio=0.93, n_matched=17, registration_rms_pix=0.08),
        DifferenceConfig(),
    )
    return dataclasses.replace(image, degraded_because=REASONS, to_reference=TO_REFERENCE)


def test_written_and_read_it_is_the_same(difference: DifferenceImage, tmp_path: Path):
    path = tmp_path / "d.fits"
    write_difference(difference, path, {"RUNID": "one"})
    back = read_difference(path)
    for name in ("difference", "scorr", "variance", "mask", "reference"):
        plane = getattr(back, name)
        np.testing.assert_array_equal(plane, getattr(difference, name))
        assert plane.dtype == getattr(difference, name).dtype
    assert back.quality == difference.quality
    assert isinstance(back.quality.n_matched, int)
    assert back.degraded_because == REASONS
    assert back.meta == difference.meta
    assert back.reference_position(5.0, 7.0) == difference.reference_position(5.0, 7.0)
    assert back.reference_position(69.5, 63.5) == (3.5, -2.25)
    np.testing.assert_array_equal(back.psf.terms, difference.psf.terms)
    assert difference.wcs is not None
    assert back.wcs is not None
    np.testing.assert_allclose(
        back.wcs.wcs_pix2world([[5, 7]], 0), difference.wcs.wcs_pix2world([[5, 7]], 0)
    )


def test_same_content_same_bytes(difference: DifferenceImage, tmp_path: Path):
    for name in ("a", "b"):
        write_difference(difference, tmp_path / name, {"RUNID": "one"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_other_and_broken_files_are_refused(
    pair: SimulatedPair, difference: DifferenceImage, tmp_path: Path
):
    write_frame(pair.science, tmp_path / "frame.fits")
    with pytest.raises(BadFitsError, match="no difference image"):
        read_difference(tmp_path / "frame.fits")
    path = tmp_path / "d.fits"
    write_difference(difference, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BadFitsError):
        read_difference(path)
