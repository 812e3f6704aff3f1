"""Matching and its chance probability, against simulated skies; cones that hold their frames."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from astrid_core.crossmatch.catalogues import Cone
from astrid_core.crossmatch.config import CrossmatchConfig
from astrid_core.crossmatch.match import chance_probability, match

ARCSEC = 1 / 3600.0


def square(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)


def test_the_nearest_few_within_the_radius_in_order() -> None:
    sources = square([10.0, 10.0, 10.0, 10.0], np.array([1.0, 2.0, 2.9, 3.1]) * ARCSEC)
    found = match(square([10.0, 50.0], [0.0, 0.0]), sources, 3.0, 2, 3.0, 1000.0)
    assert [(m.position, m.source, m.rank) for m in found] == [(0, 0, 0), (0, 1, 1)]
    assert [m.separation_arcsec for m in found] == pytest.approx([1.0, 2.0], abs=1e-6)
    everything = match(square([10.0], [0.0]), sources, 3.0, 10, 3.0, 1000.0)
    assert [m.source for m in everything] == [0, 1, 2], "3.1 arcsec is outside 3"


def test_separation_is_the_sky_s_near_the_pole_and_across_zero() -> None:
    for (ra_1, dec_1), (ra_2, dec_2) in (
        ((0.0, 89.9995), (180.0, 89.9995)),
        ((359.9999, 0.0), (0.0001, 0.0)),
    ):
        (one,) = match(square([ra_1], [dec_1]), square([ra_2], [dec_2]), 10.0, 3, 3.0, 100.0)
        wanted = SkyCoord(ra_1, dec_1, unit="deg").separation(SkyCoord(ra_2, dec_2, unit="deg"))
        assert one.separation_arcsec == pytest.approx(wanted.arcsec, abs=1e-5)


@pytest.mark.parametrize("no_sources", [True, False])
def test_nothing_matches_nothing(no_sources: bool) -> None:
    some, none = square([1.0], [1.0]), square([], [])
    pair = (some, none) if no_sources else (none, some)
    assert match(*pair, 3.0, 3, 3.0, 100.0) == []


def test_chance_probability_is_the_share_of_empty_places_that_match() -> None:
    rng = np.random.default_rng(5)
    n_sources, side_deg, n_places = 20_000, 0.5, 6_000
    low = 1.0  # near the equator, where a square in (ra, dec) is one on the sky
    sources = square(*(low + side_deg * rng.random((2, n_sources))))
    inner = low + 0.1 + 0.3 * rng.random((2, n_places))
    area = (side_deg * 60.0) ** 2
    for radius in (1.0, 2.0, 3.0):
        found = match(square(*inner), sources, radius, 1, 3.0, area)
        expected = chance_probability(radius, n_sources / area)
        assert len(found) / n_places == pytest.approx(
            expected, abs=4 * np.sqrt(expected / n_places)
        )
    # Of unrelated sources, the probability each match is given is itself uniform.
    probabilities = np.array(
        [m.chance_probability for m in match(square(*inner), sources, 60.0, 1, 3.0, area)]
    )
    assert np.mean(probabilities < 0.1) == pytest.approx(0.1, abs=0.02)
    assert np.mean(probabilities < 0.5) == pytest.approx(0.5, abs=0.02)


def test_a_crowd_counts_where_it_is_and_a_void_is_never_empty() -> None:
    rng = np.random.default_rng(1)
    cluster = 10.0 + rng.normal(0, 30 * ARCSEC, 500), rng.normal(0, 30 * ARCSEC, 500)
    sources = square(np.append(cluster[0], 10.4), np.append(cluster[1], 0.0))
    area = 3600.0
    found = match(square([10.0, 10.4], [0.0, ARCSEC]), sources, 60.0, 1, 3.0, area)
    crowded, lonely = sorted(found, key=lambda m: m.position)
    assert crowded.density_per_arcmin2 > 10.0 * 501 / area
    assert lonely.density_per_arcmin2 == pytest.approx(501 / area)
    assert 0 < lonely.chance_probability < 1e-3


@given(st.floats(0, 100), st.floats(1e-6, 1e4))
def test_chance_is_a_probability_that_grows_with_separation(r: float, density: float) -> None:
    p = chance_probability(r, density)
    assert 0 <= p <= 1
    assert chance_probability(r + 1, density) >= p


@given(st.floats(0, 359.999), st.floats(-89.9, 89.9), st.floats(0.01, 1.5), st.floats(0, 0.1))
def test_a_cone_holds_every_corner_and_its_margin(
    ra: float, dec: float, half_deg: float, margin: float
) -> None:
    centre = SkyCoord(ra, dec, unit="deg")
    corners = [
        [float(c.ra.deg), float(c.dec.deg)]
        for angle in (45, 135, 225, 315)
        for c in [centre.directional_offset_by(angle * u.deg, half_deg * u.deg)]
    ]
    cone = Cone.around(corners, margin)
    middle = SkyCoord(cone.ra_deg, cone.dec_deg, unit="deg")
    for corner in corners:
        away = middle.separation(SkyCoord(*corner, unit="deg")).deg
        assert away + margin <= cone.radius_deg + 1e-9
    assert cone.radius_deg <= half_deg + margin + 0.16, "not much larger than it must be"


def test_frames_a_little_apart_ask_the_same_question() -> None:
    corners = [[10.0, -20.0], [11.0, -20.0], [11.0, -21.0], [10.0, -21.0]]
    dithered = [[ra + 3 * ARCSEC, dec - 4 * ARCSEC] for ra, dec in corners]
    assert Cone.around(corners, 0.001) == Cone.around(dithered, 0.001)
    assert Cone(0, 0, 1.0).area_arcmin2 == pytest.approx(np.pi * 3600, rel=1e-4)


@pytest.mark.parametrize(
    "given_",
    [
        {"catalogues": ["simbad"]},
        {"catalogues": ["gaia", "gaia"]},
        {"observatory_code": "La Silla"},
        {"gaia": {"radius_arcsec": 0}},
        {"gaia": {"url": "ftp://host/tap"}},
        {"service": {"attempts": 0}},
        {"unknown": 1},
    ],
)
def test_configuration_is_checked(given_: dict) -> None:
    with pytest.raises(ValidationError):
        CrossmatchConfig(**given_)


def test_no_catalogue_is_asked_by_default() -> None:
    assert CrossmatchConfig().catalogues == ()
