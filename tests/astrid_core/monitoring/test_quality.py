"""A night's quality: what is in range, what stands out, and the page that shows it."""

import datetime as dt
import subprocess
import sys
from typing import Any

import pytest

from astrid_core.differencing.config import DifferenceLimits
from astrid_core.monitoring.quality import (
    DIFFERENCE_MEASURES,
    FRAME_MEASURES,
    SEARCH_MEASURES,
    FrameRecord,
    NightQualityConfig,
    acceptable_bands,
    excursions,
    frame_records,
)
from astrid_core.monitoring.quality_plot import quality_png
from astrid_core.preprocessing.config import QualityLimits

START = dt.datetime(2025, 9, 10, 23, 30, tzinfo=dt.UTC)
MEASURES = FRAME_MEASURES + DIFFERENCE_MEASURES + SEARCH_MEASURES


def preprocess(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "observation_id": f"o{number}",
        "archive_id": f"frame-{number}",
        "filter_band": "gr"[number % 2],
        "observation_time": START + dt.timedelta(minutes=10 * number),
        "status": "completed",
        "fwhm_pix": 2.9,
        "ellipticity": 0.05,
        "sky": (300.0, 900.0)[number % 2],
        "zero_point_mag": (27.1, 27.4)[number % 2],
        "depth_mag": (22.4, 21.9)[number % 2],
        "depth_flux": 500.0,
    }
    return row | changes


def difference(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "run_id": f"d{number}",
        "observation_id": f"o{number}",
        "status": "completed",
        "registration_rms_pix": 0.03,
        "scorr_sigma_blank": 1.0,
        "scorr_sigma_sources": 1.05,
    }
    return row | changes


def search(number: int, **changes: Any) -> dict[str, Any]:
    row = {"difference_run_id": f"d{number}", "status": "completed", "candidates_per_mpix": 20.0}
    return row | changes


def night(**changes: dict[str, Any]) -> list[FrameRecord]:
    """Eight frames; ``frame_3={...}``, ``difference_3`` and ``search_3`` change a row."""
    rows = [
        [make(i, **changes.get(f"{kind}_{i}", {})) for i in range(8)]
        for kind, make in (("frame", preprocess), ("difference", difference), ("search", search))
    ]
    return frame_records(*rows)


def found(records: list[FrameRecord], config: NightQualityConfig | None = None) -> list[tuple]:
    bands = acceptable_bands(
        records, QualityLimits(), DifferenceLimits(), config or NightQualityConfig()
    )
    return [(one.name, one.measure) for one in excursions(records, bands, MEASURES)]


def test_an_ordinary_night_has_nothing_out_of_range() -> None:
    records = night()
    assert found(records) == []
    assert [record.name for record in records] == [f"frame-{i}" for i in range(8)]
    assert set(records[0].values) == set(MEASURES)


@pytest.mark.parametrize(
    ("where", "measure", "value"),
    [
        ("frame_3", "fwhm_pix", 1.5),
        ("frame_3", "fwhm_pix", 20.0),
        ("frame_3", "ellipticity", 0.9),
        ("frame_3", "sky", 3000.0),
        ("frame_3", "zero_point_mag", 27.0),
        ("frame_3", "depth_mag", 21.3),
        ("frame_3", "depth_flux", 900.0),
        ("difference_3", "registration_rms_pix", 0.8),
        ("difference_3", "scorr_sigma_blank", 1.4),
        ("difference_3", "scorr_sigma_blank", 0.6),
        ("difference_3", "scorr_sigma_sources", 2.0),
        ("search_3", "candidates_per_mpix", 800.0),
    ],
)
def test_each_measure_out_of_range_is_told_by_name(where: str, measure: str, value: float) -> None:
    assert found(night(**{where: {measure: value}})) == [("frame-3", measure)]


def test_filters_are_compared_with_their_own_median() -> None:
    """A sky of 900 in one filter is no excursion because the other has 300."""
    narrow = NightQualityConfig(max_sky_factor=1.5, max_zero_point_shift_mag=0.1)
    assert found(night(), narrow) == []


def test_frames_that_got_nowhere_are_kept_with_what_is_known() -> None:
    nothing = dict.fromkeys(FRAME_MEASURES)
    records = frame_records(
        [preprocess(0, status="failed", **nothing), preprocess(1)],
        [difference(1, status="no_reference", **dict.fromkeys(DIFFERENCE_MEASURES))],
    )
    assert [record.status for record in records] == ["failed", "no_reference"]
    assert records[0].values == {}
    assert set(records[1].values) == set(FRAME_MEASURES)
    bands = acceptable_bands(records, QualityLimits(), DifferenceLimits(), NightQualityConfig())
    assert quality_png("night", records, bands).startswith(b"\x89PNG")


def test_the_page_is_drawn_for_any_night_and_is_a_function_of_it() -> None:
    blank: dict[str, Any] = {"zero_point_mag": None, "depth_mag": None, "observation_time": None}
    pages: list[bytes] = []
    undated = night(**{f"frame_{i}": blank for i in range(8)})
    for records in (undated, night()[:1], night()[:1]):
        bands = acceptable_bands(records, QualityLimits(), DifferenceLimits(), NightQualityConfig())
        pages.append(quality_png("night", records, bands))
        assert pages[-1].startswith(b"\x89PNG")
    assert pages[1] == pages[2] != pages[0]


def test_matplotlib_is_loaded_only_when_something_is_drawn() -> None:
    code = (
        "import sys, astrid_core.monitoring.quality_plot, astrid_core.monitoring.depth_plot; "
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_filter_named_by_a_hostile_header_is_drawn_as_it_is() -> None:
    runs = [preprocess(0, filter_band="$\\frac{x}$"), preprocess(1, filter_band="_$")]
    records = frame_records(runs)
    bands = acceptable_bands(records, QualityLimits(), DifferenceLimits(), NightQualityConfig())
    assert quality_png("Night $^", records, bands).startswith(b"\x89PNG")


def test_what_is_not_finite_was_not_measured() -> None:
    [record] = frame_records([preprocess(0, sky=float("nan"), depth_flux=float("inf"))])
    assert record.values.keys() == set(FRAME_MEASURES) - {"sky", "depth_flux"}
