"""HEALPix ranges cover their cone; footprints follow the WCS."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from astrid_core.sky import cone_ranges, footprint, healpix_index, sky_position


@given(
    ra=st.floats(0, 359.99),
    dec=st.floats(-89, 89),
    radius=st.floats(1 / 3600, 5),
    angle=st.floats(0, 360),
    part=st.floats(0, 0.999),
)
def test_every_position_in_a_cone_lies_in_its_ranges(ra, dec, radius, angle, part) -> None:
    import astropy.units as u

    inside = SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(
        angle * u.deg, part * radius * u.deg
    )
    index = healpix_index(inside.ra.deg, inside.dec.deg)
    ranges = cone_ranges(ra, dec, radius)
    assert any(low <= index <= high for low, high in ranges)
    assert len(ranges) < 200


def test_footprint_of_a_tan_frame() -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 2.0]
    wcs.wcs.crpix = [50.5, 50.5]
    wcs.wcs.cdelt = [-1 / 3600, 1 / 3600]
    ra, dec, corners = footprint(wcs, (100, 100))
    assert (ra, dec) == pytest.approx((150.0, 2.0))
    assert corners is not None
    np.testing.assert_allclose(np.ptp(np.array(corners)[:, 1]), 100 / 3600, rtol=1e-4)


def test_without_wcs_there_is_no_position() -> None:
    assert sky_position(None, 1, 2) == (None, None)
    assert footprint(None, (10, 10)) == (None, None, None)
