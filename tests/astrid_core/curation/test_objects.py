"""Association over epochs, by its properties: what must hold for any set of detections."""

import dataclasses
import datetime as dt
import random
from itertools import pairwise
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.curation.objects import Association, Epoch, ObjectConfig, Sighting, associate
from astrid_core.identity import derive_id

CONFIG = ObjectConfig()
REFERENCE = UUID(int=7)
START = dt.datetime(2026, 9, 1, 4, tzinfo=dt.UTC)
SCALE_ARCSEC = 0.8
Point = tuple[float, float]


def epoch(number: int, fwhm_pix: float = 4.0, **changes: object) -> Epoch:
    time = START + dt.timedelta(days=number)
    values = {
        "observation_id": derive_id("epoch", number),
        "night": time.date(),
        "observation_time": time,
        "reference_id": REFERENCE,
        "fwhm_pix": fwhm_pix,
        "registration_rms_pix": 0.1,
        "pixel_scale_arcsec": None,
    }
    return Epoch(**(values | changes))


def sighting(number: int, x: float, y: float, snr: float = 10.0, **changes: object) -> Sighting:
    """A detection on a frame that its reference sees shifted by some pixels."""
    values = {
        "id": derive_id("sighting", number, x, y, snr),
        "epoch": epoch(number),
        "x_pix": x + 3.7 * number,
        "y_pix": y - 2.1 * number,
        "ra": None,
        "dec": None,
        "x_reference_pix": x,
        "y_reference_pix": y,
        "snr": snr,
        "confidence_score": 0.9,
    }
    return Sighting(**(values | changes))


def on_the_sky(one: Sighting, ra: float = 0.0, dec: float = 88.0) -> Sighting:
    """The same at a place near the pole and the meridian, where ra wraps and shrinks."""
    step = SCALE_ARCSEC / 3600.0
    assert one.x_reference_pix is not None
    assert one.y_reference_pix is not None
    lat = dec + one.y_reference_pix * step
    lon = ra + one.x_reference_pix * step / np.cos(np.deg2rad(dec))
    placed = dataclasses.replace(one.epoch, pixel_scale_arcsec=SCALE_ARCSEC)
    return dataclasses.replace(
        one, epoch=placed, ra=lon % 360.0, dec=lat, x_reference_pix=None, y_reference_pix=None
    )


coordinates = st.floats(0, 12, allow_nan=False).map(lambda value: round(value, 2))
crowds = st.lists(
    st.tuples(st.integers(0, 5), coordinates, coordinates, st.floats(5, 50)), max_size=30
).map(lambda rows: list({one.id: one for one in (sighting(*row) for row in rows)}.values()))


def ids(found: Association) -> set[tuple[UUID, frozenset[UUID]]]:
    return {(one.id, frozenset(s.id for s in one.sightings)) for one in found.objects}


@settings(max_examples=150, deadline=None)
@given(crowds, st.randoms(use_true_random=False))
def test_the_order_of_detections_does_not_matter(crowd: list[Sighting], shuffler: random.Random):
    shuffled = crowd.copy()
    shuffler.shuffle(shuffled)
    assert associate(shuffled, CONFIG) == associate(crowd, CONFIG)


@settings(max_examples=150, deadline=None)
@given(crowds, st.booleans())
def test_what_holds_for_any_detections(crowd: list[Sighting], is_sky: bool):
    if is_sky:
        crowd = [on_the_sky(one) for one in crowd]
    found = associate(crowd, CONFIG)
    members = [s.id for one in found.objects for s in one.sightings]
    assert sorted([*members, *found.ambiguous]) == sorted(one.id for one in crowd), "none is lost"
    assert len({one.id for one in found.objects}) == len(found.objects)
    for one in found.objects:
        frames = [s.epoch.observation_id for s in one.sightings]
        assert len(set(frames)) == len(frames), "no two of one frame"
        assert one.best in one.sightings
        for s, separation in zip(one.sightings, one.separations_pix, strict=True):
            assert separation <= s.epoch.radius_pix(CONFIG) + 1e-6
        times = [s.epoch.observation_time for s in one.sightings]
        assert times == sorted(times)


@settings(max_examples=100, deadline=None)
@given(crowds)
def test_objects_taken_apart_and_associated_again_are_the_same(crowd: list[Sighting]):
    found = associate(crowd, CONFIG)
    kept = [s for one in found.objects for s in one.sightings]
    again = associate(kept, CONFIG)
    assert ids(again) == ids(found)
    assert not again.ambiguous


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, unique=True))
def test_separate_sources_with_scatter_are_told_apart(seen: list[tuple[int, int]]):
    """Sources 8 px apart, each seen in some frames, within a fifth of a pixel."""
    crowd = [
        sighting(number, 8.0 * source + 0.2 * np.sin(9 * number + source), 5.0)
        for source, number in seen
    ]
    found = associate(crowd, CONFIG)
    assert len(found.objects) == len({source for source, _ in seen})


@given(st.floats(0.2, 6.0), st.floats(0, 6.28))
@settings(max_examples=60, deadline=None)
def test_moving_things_do_not_chain(speed_pix: float, angle: float):
    """However slow, an object reaches no further than twice the radius."""
    path = [
        sighting(n, 100 + n * speed_pix * np.cos(angle), 100 + n * speed_pix * np.sin(angle))
        for n in range(20)
    ]
    radius = epoch(0).radius_pix(CONFIG)
    for one in associate(path, CONFIG).objects:
        spread = max(
            np.hypot(s.x_reference_pix - t.x_reference_pix, s.y_reference_pix - t.y_reference_pix)
            for s in one.sightings
            for t in one.sightings
        )
        assert spread <= 2 * radius + 1e-6
        assert len(one.sightings) <= 2 * radius / speed_pix + 1 + 1e-6


def test_two_neighbours_keep_their_own_when_one_is_missing():
    """B alone is nearer than the radius to A: it must not become A's epoch."""
    apart = 1.9
    crowd = [sighting(n, 10.0, 10.0, snr=30.0) for n in range(3)]
    crowd += [sighting(n, 10.0 + 2.1, 10.0, snr=12.0) for n in range(3)]
    crowd.append(sighting(3, 10.0 + apart, 10.0, snr=11.0))
    a, b = sorted(associate(crowd, CONFIG).objects, key=lambda one: -one.best.snr)
    assert len(a.sightings) == 3
    assert len(b.sightings) == 4


def test_a_stronger_neighbour_in_the_same_frame_stands_for_both():
    strong, weak = sighting(0, 10.0, 10.0, snr=30.0), sighting(0, 11.4, 10.0, snr=8.0)
    found = associate([weak, strong, sighting(1, 10.1, 10.0)], CONFIG)
    assert found.ambiguous == (weak.id,)
    (one,) = found.objects
    assert one.best == strong


def test_the_id_is_the_first_sighting_s_and_outlives_new_code():
    early, late = sighting(1, 10.2, 10.0), sighting(4, 10.0, 10.0, snr=40.0)
    (one,) = associate([late, early], CONFIG).objects
    judged_again = dataclasses.replace(early, id=UUID(int=99), x_pix=early.x_pix + 0.01)
    (again,) = associate([late, judged_again], CONFIG).objects
    assert again.id == one.id
    (later,) = associate([late], CONFIG).objects
    assert later.id != one.id


def test_unknown_times_come_last_of_their_night():
    night = dt.date(2026, 9, 1)
    known = epoch(0, night=night)
    unknown = epoch(9, night=night, observation_time=None)
    crowd = [sighting(9, 5.0, 5.0, epoch=unknown), sighting(0, 5.0, 5.0, epoch=known)]
    (one,) = associate(crowd, CONFIG).objects
    assert [s.epoch for s in one.sightings] == [known, unknown]


def test_detections_on_different_references_are_not_compared():
    other = epoch(1, reference_id=UUID(int=8))
    found = associate([sighting(0, 5.0, 5.0), sighting(1, 5.0, 5.0, epoch=other)], CONFIG)
    assert len(found.objects) == 2


def test_what_has_no_place_is_said():
    lost = sighting(0, 5.0, 5.0, x_reference_pix=None, y_reference_pix=None)
    found = associate([lost], CONFIG)
    assert (found.objects, found.unplaced) == ((), (lost.id,))


@pytest.mark.parametrize(
    ("fwhm_pix", "rms_pix", "expected"), [(2.0, 0.05, 1.5), (8.0, 0.0, 4.0), (6.0, 4 / 3, 5.0)]
)
def test_the_radius_follows_seeing_and_registration(fwhm_pix, rms_pix, expected):
    at = epoch(0, fwhm_pix, registration_rms_pix=rms_pix)
    assert at.radius_pix(CONFIG) == pytest.approx(expected)


def test_ten_thousand_detections_take_seconds():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 2000, (2, 200))
    crowd = [
        sighting(n, x[k] + rng.normal(0, 0.2), y[k] + rng.normal(0, 0.2), float(rng.uniform(6, 60)))
        for n in range(50)
        for k in range(200)
    ]
    found = associate(crowd, CONFIG)
    sizes = [len(one.sightings) for one in found.objects]
    assert np.median(sizes) == 50
    assert all(a.id <= b.id for a, b in pairwise(found.objects))
