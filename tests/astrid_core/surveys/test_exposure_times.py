"""Times come out of headers as stated; what is no date or time stays unknown."""

import datetime as dt

import pytest
from astropy.io import fits
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.surveys.header import HeaderReader
from astrid_core.surveys.keywords import KeywordMap
from astrid_core.surveys.times import (
    ExposureTime,
    exposure_time,
    night_of,
    parse_clock,
    parse_date,
)

MOMENTS = st.datetimes(min_value=dt.datetime(1975, 1, 1), max_value=dt.datetime(2028, 1, 1))


def _time(cards: dict[str, object], exposure_s: float | None = 0.0, **keywords: object):
    header = fits.Header(cards)
    return exposure_time(
        HeaderReader(header, KeywordMap.model_validate(keywords), "a.fits"), exposure_s
    )


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def _is_near(found: dt.datetime | None, expected: dt.datetime, within_s: float = 1e-4) -> bool:
    return found is not None and abs((found - expected).total_seconds()) < within_s


@settings(max_examples=30)
@given(moment=MOMENTS, exposure_s=st.floats(0, 1e5))
def test_mid_exposure_however_the_start_is_written(moment, exposure_s):
    middle = moment.replace(tzinfo=dt.UTC) + dt.timedelta(seconds=exposure_s / 2)
    date, clock = moment.date().isoformat(), moment.time().isoformat()
    mjd = Time(moment, scale="utc").mjd
    written: list[dict[str, object]] = [
        {"DATE-OBS": f"{date}T{clock}"},
        {"DATE-OBS": f"{date} {clock}Z"},
        {"DATE-OBS": date, "UT": clock},
        {"DATE-OBS": date, "UTCSTART": clock, "MJD-OBS": float(int(mjd))},
        {"DATE-OBS": moment.strftime("%Y/%m/%d"), "TIME-OBS": clock},
    ]
    for cards in written:
        # A leap second inside the exposure shifts its middle.
        assert _is_near(_time(cards, exposure_s).mid_utc, middle, within_s=1.1), cards
    if mjd % 1:
        assert _is_near(_time({"MJD-OBS": mjd}, exposure_s).mid_utc, middle, within_s=1.1)
        assert _is_near(_time({"JD": mjd + 2400000.5}, exposure_s).mid_utc, middle, within_s=1.1)


@given(moment=MOMENTS)
def test_mjd_tai_is_that_of_the_utc_timestamp(moment):
    found = _time({"DATE-OBS": moment.isoformat()})
    assert found.mid_utc is not None
    assert found.mid_mjd_tai == pytest.approx(Time(found.mid_utc).tai.mjd, abs=1e-9)


@given(st.text(max_size=30))
def test_no_text_breaks_the_parsers(text):
    parse_date(text)
    seconds = parse_clock(text)
    assert seconds is None or abs(seconds) < 2 * 86400


@pytest.mark.parametrize(
    "text",
    ["26/07/102", "2013-02-30", "0000-00-00", "05/10/24", "yesterday", "2013", "31/13/93"],
)
def test_invalid_dates_are_not_corrected(text):
    assert parse_date(text) is None
    assert _time({"DATE-OBS": text, "UT": "12:00:00"}) == ExposureTime(None, None, None)


def test_a_date_with_an_invalid_time_is_still_a_date():
    found = _time({"DATE-OBS": "1951-08-09T09:60:00"})
    assert found == ExposureTime(None, None, dt.date(1951, 8, 9))


def test_old_dates_are_of_the_twentieth_century():
    found = _time({"DATE-OBS": "11/03/76", "UT": "17:38:00.00"}, 4200.0)
    assert _is_near(found.mid_utc, _utc("1976-03-11T18:13:00"))


def test_a_time_that_is_no_time_of_day_is_passed_over():
    # GOTO writes the number of its unit telescope into UT.
    found = _time({"DATE-OBS": "2018-05-11", "UT": 2, "TIME-OBS": "23:11:30"})
    assert _is_near(found.mid_utc, _utc("2018-05-11T23:11:30"))


def test_mjd_of_midnight_gives_a_date_and_no_time():
    assert _time({"MJD-OBS": 56486.0}) == ExposureTime(None, None, dt.date(2013, 7, 13))


def test_mjd_that_contradicts_the_date_is_not_used():
    found = _time({"DATE-OBS": "2013-07-13", "MJD-OBS": 50000.5})
    assert found == ExposureTime(None, None, dt.date(2013, 7, 13))


def test_mjd_stands_in_for_an_invalid_date():
    found = _time({"DATE-OBS": "26/07/102", "MJD-OBS": 52481.5})
    assert _is_near(found.mid_utc, _utc("2002-07-26T12:00:00"))


def test_time_scales_are_converted():
    found = _time({"DATE-OBS": "2003-08-21", "TAIHMS": "09:42:14.97", "TIMESYS": "TAI"})
    assert _is_near(found.mid_utc, _utc("2003-08-21T09:41:42.97"))  # TAI − UTC = 32 s


def test_time_zones_are_converted():
    found = _time({"DATE-OBS": "2020-01-01T01:30:00+02:00"})
    assert _is_near(found.mid_utc, _utc("2019-12-31T23:30:00"))


def test_unknown_exposure_leaves_the_start_and_says_so():
    found = _time({"DATE-OBS": "2020-01-01T01:30:00"}, None)
    assert found.is_start
    assert _is_near(found.mid_utc, _utc("2020-01-01T01:30:00"))


def test_a_stated_middle_is_taken_as_it_is():
    found = _time({"MJD-OBS": 59759.5}, 44579.0, mid=["MJD-OBS"], date=[], mjd=[])
    assert _is_near(found.mid_utc, _utc("2022-06-29T12:00:00"))


def test_date_formats():
    lookup = {
        "keywords": ["EXP_BN"],
        "pattern": r"c4d_(\d{6}_\d{6})",
        "format": "%y%m%d_%H%M%S",
    }
    found = _time({"EXP_BN": "c4d_160818_043331_ooi_i_v1"}, 330.0, date=lookup)
    assert _is_near(found.mid_utc, _utc("2016-08-18T04:36:16"))


@given(moment=MOMENTS, longitude_deg=st.floats(-180, 360))
def test_a_night_runs_from_local_noon_to_local_noon(moment, longitude_deg):
    moment = moment.replace(tzinfo=dt.UTC)
    night = night_of(ExposureTime(moment, 0.0, moment.date()), longitude_deg)
    east_deg = longitude_deg - 360 if longitude_deg >= 180 else longitude_deg
    local = moment + dt.timedelta(hours=east_deg / 15)
    noon = dt.datetime.combine(night, dt.time(12), tzinfo=dt.UTC)
    assert noon <= local < noon + dt.timedelta(days=1)


def test_nights_without_longitude_are_utc_dates():
    moment = _utc("2020-01-01T23:59:59")
    assert night_of(ExposureTime(moment, 0.0, None), None) == dt.date(2020, 1, 1)
    assert night_of(ExposureTime(None, None, dt.date(2020, 1, 2)), 20.0) == dt.date(2020, 1, 2)
    assert night_of(ExposureTime(None, None, None), 20.0) is None


@pytest.mark.parametrize(
    "date", ["9999-12-31T23:59:59", "0001-01-01T00:00:00", "1582-10-10T12:00:00", "2188-01-01"]
)
def test_dates_of_no_observatory_are_no_dates(date):
    assert _time({"DATE-OBS": date}, None) == ExposureTime(None, None, None)


@pytest.mark.parametrize("exposure_s", [1e12, 1e308])
def test_an_exposure_that_outlasts_calendars_has_no_middle(exposure_s):
    found = _time({"DATE-OBS": "2020-01-02T03:00:00"}, exposure_s)
    assert found == ExposureTime(None, None, dt.date(2020, 1, 2))


def test_a_middle_within_a_leap_second_is_a_time():
    found = _time({"DATE-OBS": "2016-12-31T23:59:59.5"}, 1.5)
    assert found.mid_utc == _utc("2017-01-01T00:00:00.25")
    assert _time({"DATE-MID": "9999-12-31T23:59:59"}, mid="DATE-MID").mid_utc is None


@given(
    text=st.text(max_size=30) | st.floats().map(str),
    exposure_s=st.floats(0, allow_infinity=False, allow_nan=False) | st.none(),
    keyword=st.sampled_from(["date", "time", "mjd", "mid"]),
)
def test_whatever_stands_for_a_time_is_a_time_or_unknown(text, exposure_s, keyword):
    given_values = {"date": {"value": "2020-01-02"}, "mid": {"keywords": ["MID"]}}
    found = _time({}, exposure_s, **given_values | {keyword: {"value": text}})
    assert (found.mid_utc is None) == (found.mid_mjd_tai is None)
    assert night_of(found, -70.8) is not None or found.date is None
