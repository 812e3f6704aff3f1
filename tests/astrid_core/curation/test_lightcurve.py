"""Light curves from forced measurements: which flux, in which unit, on whose scale."""

import datetime as dt
import io
from uuid import UUID

import pytest
from PIL import Image

from astrid_core.curation.lightcurve import assemble_light_curve, plot_light_curve

START = dt.datetime(2026, 9, 1, 4, tzinfo=dt.UTC)
REFERENCE = UUID(int=3)


def measurement(day: int | None, flux: float | None = 40.0, **changes: object) -> dict:
    row = {
        "observation_time": None if day is None else START + dt.timedelta(days=day),
        "filter_band": "r",
        "reference_id": REFERENCE,
        "flux_ratio": 1.0,
        "flux": flux,
        "flux_err": 10.0,
        "snr": None if flux is None else flux / 10.0,
        "flux_unit": "uJy",
        "reference_flux": 100.0,
        "reference_flux_err": 5.0,
        "flags": 0,
    }
    return row | changes


def test_calibrated_flux_is_the_thing_itself():
    (point,) = assemble_light_curve([measurement(0, flux=-30.0)])
    assert (point.kind, point.unit) == ("total", "uJy")
    assert (point.flux, point.flux_err, point.reference_flux_err) == (70.0, 10.0, 5.0)
    assert point.snr == -3.0


def test_without_a_reference_flux_it_is_the_change():
    row = measurement(0, reference_flux=None, reference_flux_err=None)
    (point,) = assemble_light_curve([row])
    assert (point.kind, point.unit, point.flux) == ("difference", "uJy", 40.0)


def test_instrumental_epochs_are_brought_to_their_reference_s_scale():
    """One source, exposures of one and of three minutes: one brightness."""
    rows = [
        measurement(0, 40.0, flux_unit="instrumental", flux_ratio=1.0),
        measurement(1, 120.0, flux_unit="instrumental", flux_ratio=3.0, flux_err=15.0),
    ]
    short, long = assemble_light_curve(rows)
    assert (short.kind, short.unit) == ("difference", "instrumental")
    assert long.flux == pytest.approx(short.flux)
    assert long.flux_err == pytest.approx(5.0)
    assert long.reference_flux_err is None


def test_points_are_by_time_and_masked_epochs_make_none():
    rows = [measurement(None), measurement(5), measurement(3, flux=None), measurement(1)]
    points = assemble_light_curve(rows)
    assert [p.observation_time and p.observation_time.day for p in points] == [2, 6, None]


def test_limits_are_above_zero_and_above_the_flux():
    faint, negative = assemble_light_curve(
        [measurement(0, 5.0, reference_flux=None), measurement(1, -8.0, reference_flux=None)]
    )
    assert faint.upper_limit() == pytest.approx(35.0)
    assert negative.upper_limit(5.0) == pytest.approx(50.0)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [measurement(None)],
        [
            *(measurement(day, 10.0 * day, reference_flux=None) for day in range(9)),
            measurement(4, filter_band="g"),
            measurement(5, flux_unit="instrumental", filter_band="z"),
        ],
    ],
)
def test_it_can_be_shown(rows: list[dict]):
    png = plot_light_curve(assemble_light_curve(rows), "field <F0>")
    assert Image.open(io.BytesIO(png)).size == (640, 320)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("days", [0, 1 / 48, 1, 400])
def test_dates_can_be_told_whatever_the_span(days: float):
    later = {"observation_time": START + dt.timedelta(days=days)}
    assert plot_light_curve(assemble_light_curve([measurement(0), measurement(0) | later]), "")
