"""A night's cross-match against a simulated sky, over HTTP: epochs, cache, failures."""

import datetime as dt
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from astropy.time import Time

from astrid_core.crossmatch.config import CrossmatchConfig
from astrid_core.crossmatch.night import (
    Exposure,
    NightMatches,
    Sighting,
    exposures,
    match_night,
    plan_queries,
)
from astrid_core.identity import derive_id
from tests.catalogue_services import Asteroid, CatalogueServices, Star, Variable, send

ARCSEC = 1 / 3600.0
NIGHT = dt.datetime(2025, 9, 10, 4, 0, tzinfo=dt.UTC)
NOW = dt.datetime(2025, 9, 11, tzinfo=dt.UTC)
FOOTPRINT = [[9.5, -19.5], [10.5, -19.5], [10.5, -20.5], [9.5, -20.5]]
RUNNER = Star(1, 10.0, -20.0, pm_ra=800.0, pm_dec=-600.0)
"""1 arcsec/yr, to the south-east."""
VARIABLE = Variable(77, "V0001 Cet", 10.2, -20.2)


@pytest.fixture
def services() -> Iterator[CatalogueServices]:
    with CatalogueServices() as services:
        yield services


def exposure(
    number: int, when: dt.datetime, *places: tuple[float, float], field: str = "F0"
) -> Exposure:
    observation = derive_id("observation", "test", number)
    sightings = tuple(
        Sighting(derive_id("d", number, place), derive_id("o", place), *place) for place in places
    )
    return Exposure(observation, field, when, FOOTPRINT, sightings)


def run(
    night: list[Exposure], config: dict[str, Any], cached: Any = (), now: dt.datetime = NOW
) -> NightMatches:
    checked = CrossmatchConfig(**config)
    answers = {row["id"]: row for row in cached}
    return match_night(night, plan_queries(night, checked), answers, checked, now)


def runner_at(when: dt.datetime) -> tuple[float, float]:
    """Where the runner is, by plane geometry: good to a milliarcsecond over decades."""
    years = Time(when).jyear - 2016.0
    return 10.0 + 0.8 * years * ARCSEC / 0.9396926, -20.0 - 0.6 * years * ARCSEC


def test_a_star_with_proper_motion_matches_at_the_right_epoch_only(
    services: CatalogueServices,
) -> None:
    services.stars = [RUNNER]
    early = dt.datetime(2005, 9, 10, tzinfo=dt.UTC)
    night = [
        exposure(0, NIGHT, runner_at(NIGHT)),
        exposure(1, NIGHT, runner_at(early)),
        exposure(2, NIGHT, (RUNNER.ra, RUNNER.dec)),
        exposure(3, early, runner_at(early), field="F1"),
    ]
    found = run(night, services.config("gaia"))
    ids = [night[0].observation_id, night[3].observation_id]
    runs = {row["run_id"]: row["observation_id"] for row in found.runs}
    assert [runs[row["crossmatch_run_id"]] for row in found.matches] == ids
    for row in found.matches:
        assert row["separation_arcsec"] < 0.02
        assert (row["source_id"], row["kind"], row["band"]) == ("1", "star", "G")
        assert row["magnitude"] == 17.0
        assert 0 < row["chance_probability"] < 1e-6
    assert len(services.requests) == 2, "one question for each field"


def test_a_star_that_ran_into_the_field_is_asked_for(services: CatalogueServices) -> None:
    # 10 arcsec/yr for ten years: 97 arcsec from where the catalogue has it.
    services.stars = [Star(9, 10.0, -19.5 + 0.24, pm_ra=None, pm_dec=-10_000.0)]
    years = Time(NIGHT).jyear - 2016.0
    now_at = (10.0, -19.5 + 0.24 - 10.0 * years * ARCSEC)
    assert run([exposure(0, NIGHT, now_at)], services.config("gaia")).matches


def test_a_moving_object_matches_at_mid_exposure_and_not_at_its_ends(
    services: CatalogueServices,
) -> None:
    # A near-Earth object in an exposure of 20 minutes: 100 arcsec from end to end.
    asteroid = Asteroid(433, "Eros", 10.0, -20.0, NIGHT, rate_ra=300.0, rate_dec=0.0, v=18.0)
    unnumbered = Asteroid(None, "2025 AB1", 10.1, -20.1, NIGHT, 20.0, -30.0)
    services.asteroids = [asteroid, unnumbered]
    half = dt.timedelta(minutes=10)
    places = {when: asteroid.at(Time(when)) for when in (NIGHT - half, NIGHT, NIGHT + half)}
    night = [exposure(0, NIGHT, *places.values(), (10.1, -20.1))]
    found = run(night, services.config("skybot", observatory_code="W84"))
    by_id = {row["source_id"]: row for row in found.matches}
    assert by_id.keys() == {"433", "2025 AB1"}
    eros = by_id["433"]
    assert eros["detection_id"] == night[0].sightings[1].detection_id, "the one at mid-exposure"
    assert eros["separation_arcsec"] < 0.01
    assert (eros["rate_ra_arcsec_per_h"], eros["rate_dec_arcsec_per_h"]) == (300.0, 0.0)
    assert (eros["kind"], eros["source_class"], eros["magnitude"]) == ("moving", "MB>Inner", 18.0)
    (sent,) = services.requests
    assert sent["-loc"] == "W84"
    assert abs(float(sent["-ep"]) - Time(NIGHT).jd) < 1e-7
    (row,) = found.runs
    assert (row["observatory_code"], row["assumed"]) == ("W84", [])


def test_every_exposure_has_its_own_time_and_an_assumed_observatory_is_said(
    services: CatalogueServices,
) -> None:
    asteroid = Asteroid(1, "Ceres", 10.0, -20.0, NIGHT, 40.0, 10.0)
    services.asteroids = [asteroid]
    times = [NIGHT, NIGHT + dt.timedelta(hours=1)]
    night = [exposure(n, when, asteroid.at(Time(when))) for n, when in enumerate(times)]
    found = run(night, services.config("skybot"))
    assert len(found.matches) == 2
    assert max(row["separation_arcsec"] for row in found.matches) < 0.01
    assert [row["-loc"] for row in services.requests] == ["500", "500"]
    assert {tuple(row["assumed"]) for row in found.runs} == {("observatory_code 500",)}


def test_too_faint_to_be_seen_is_no_match(services: CatalogueServices) -> None:
    services.asteroids = [Asteroid(5, "faint", 10.0, -20.0, NIGHT, 1.0, 1.0, v=24.0)]
    services.stars = [Star(6, 10.0, -20.0, g=20.5)]
    night = [exposure(0, NIGHT, (10.0, -20.0))]
    assert len(run(night, services.config("gaia", "skybot")).matches) == 2
    limits = services.config("gaia", "skybot")
    limits["gaia"]["max_magnitude"] = 20.0
    limits["skybot"]["max_magnitude"] = 22.0
    assert run(night, limits).matches == []


def test_a_variable_has_its_type(services: CatalogueServices) -> None:
    services.variables = [VARIABLE, Variable(78, "NSV 2", 10.2, -20.2 + 2 * ARCSEC, maximum=None)]
    found = run([exposure(0, NIGHT, (10.2, -20.2))], services.config("vsx"))
    near, next_ = found.matches
    assert (near["name"], near["source_class"], near["kind"]) == ("V0001 Cet", "EA", "variable")
    assert (near["magnitude"], near["band"], near["rank"]) == (15.5, "V", 0)
    assert (next_["source_id"], next_["magnitude"], next_["rank"]) == ("78", None, 1)
    assert next_["separation_arcsec"] == pytest.approx(2.0, abs=1e-6)


def test_answers_are_kept_and_expire_when_they_should(services: CatalogueServices) -> None:
    services.stars, services.variables = [Star(1, 10.0, -20.0)], [VARIABLE]
    services.asteroids = [Asteroid(1, "Ceres", 10.0, -20.0, NIGHT, 40.0, 10.0)]
    night = [exposure(0, NIGHT, (10.0, -20.0)), exposure(1, NIGHT, (10.2, -20.2))]
    config = services.config("gaia", "vsx", "skybot")
    first = run(night, config)
    assert (first.n_asked, first.n_cached, len(services.requests)) == (4, 0, 4)
    services.requests.clear()
    second = run(night, config, first.answers)
    assert services.requests == []
    assert (second.n_asked, second.n_cached, second.answers) == (0, 4, [])
    assert second.matches == first.matches
    month_later = run(night, config, first.answers, NOW + dt.timedelta(days=31))
    assert [row["catalogue"] for row in month_later.answers] == ["vsx"]
    wider = services.config("gaia", "vsx", "skybot", observatory_code="W84")
    assert [row["catalogue"] for row in run(night, wider, first.answers).answers] == ["skybot"] * 2


def test_a_failing_catalogue_hurts_no_other(services: CatalogueServices) -> None:
    services.stars, services.variables = [Star(1, 10.0, -20.0)], [VARIABLE]
    night = [
        exposure(n, NIGHT + dt.timedelta(minutes=n), (10.0, -20.0), (10.2, -20.2)) for n in range(4)
    ]
    services.faults["skybot"].extend([send(b"no", 503)] * 50)
    found = run(night, services.config("gaia", "skybot", "vsx"))
    assert {row["kind"] for row in found.matches} == {"star", "variable"}
    assert len(found.matches) == 8
    status = {(row["catalogue"], row["status"]) for row in found.runs}
    assert status == {("gaia", "completed"), ("vsx", "completed"), ("skybot", "failed")}
    failed = [row for row in found.runs if row["status"] == "failed"]
    assert {row["error_type"] for row in failed} == {"CatalogueUnavailableError"}
    assert all("SkyBoT at 127" in row["error_message"] for row in failed)
    assert len(failed) == 4
    to_skybot = [r for r in services.requests if r["service"] == "skybot"]
    assert len(to_skybot) == 3, "a service that is down is not asked for every exposure"
    assert set(found.completed_run_ids).isdisjoint(row["run_id"] for row in failed)
    services.faults["skybot"].clear()
    again = run(night, services.config("gaia", "skybot", "vsx"), found.answers)
    assert {row["status"] for row in again.runs} == {"completed"}
    assert (again.n_cached, again.n_asked) == (2, 4)


def test_one_refused_question_does_not_silence_the_others(services: CatalogueServices) -> None:
    services.faults["skybot"].append(send(b"<html>what?</html>"))
    night = [exposure(n, NIGHT + dt.timedelta(hours=n), (10.0, -20.0)) for n in range(3)]
    found = run(night, services.config("skybot"))
    assert sorted(row["status"] for row in found.runs) == ["completed", "completed", "failed"]


def test_who_has_nothing_to_ask_asks_nothing(
    services: CatalogueServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    seen, empty = exposure(0, NIGHT, (10.0, -20.0)), exposure(1, NIGHT)
    assert run([seen], {}) == NightMatches()
    found = run([empty], services.config("gaia", "skybot"))
    assert [(row["status"], row["n_sightings"]) for row in found.runs] == [("completed", 0)] * 2
    with pytest.raises(AssertionError, match="a connection was opened"):
        run([seen], services.config("gaia"))


def test_exposures_without_place_or_time_are_counted() -> None:
    place = {"field": "F", "footprint": FOOTPRINT, "observation_time": NIGHT}
    nothing = {"detection_id": None, "object_id": None, "ra": None, "dec": None}
    one, other = derive_id("d", 1), derive_id("d", 2)
    rows = [
        place | {"observation_id": 1, "detection_id": one, "object_id": one, "ra": 1.0, "dec": 2.0},
        place | {"observation_id": 1, "detection_id": other, "object_id": one, "ra": 3.0, "dec": 4},
        place | {"observation_id": 2} | nothing,
        place | {"observation_id": 3, "footprint": None} | nothing,
        place | {"observation_id": 4, "observation_time": None} | nothing,
    ]
    found, n_unplaced = exposures(rows)
    assert n_unplaced == 2
    assert [len(exposure.sightings) for exposure in found] == [2, 0]
