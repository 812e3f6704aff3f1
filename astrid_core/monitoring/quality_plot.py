"""A night's quality on one page: each measure over the night, its acceptable band shaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from astrid_core.monitoring.figure import (
    INK,
    MUTED,
    RED,
    SERIES,
    new_figure,
    nothing_to_show,
    png,
    style,
)
from astrid_core.monitoring.quality import Band, Bands, FrameRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAND, _ALPHA = "#1b9e77", 0.12
_LEAST_DEVIATION = 0.2
"""Magnitudes, or share of the median, that a panel of deviations spans at least."""
_HEADROOM = 0.12
_GAPS = {"wspace": 0.16, "hspace": 0.24}


@dataclass(frozen=True)
class _Panel:
    """One small multiple.

    Attributes
    ----------
    measures
        The first is drawn filled, a second hollow.
    text
        Format of a median.
    names
        What the measures are called in a legend, where there are two.
    against
        How values of several filters share an axis: as they are, or as the difference
        from, or the ratio to, the night's median in their filter.
    starts_at_zero
        For measures that are best seen against nothing at all.
    """

    title: str
    measures: tuple[str, ...]
    text: str
    names: tuple[str, ...] = ()
    against: Literal["nothing", "median", "ratio"] = "nothing"
    starts_at_zero: bool = False


_PANELS = (
    _Panel("FWHM (pix)", ("fwhm_pix",), "{:.2f}"),
    _Panel("ellipticity", ("ellipticity",), "{:.3f}", starts_at_zero=True),
    _Panel("sky / median", ("sky",), "{:.4g}", against="ratio"),
    _Panel("Δ zero point (mag)", ("zero_point_mag",), "{:.2f}", against="median"),
    _Panel("Δ 5σ depth (mag)", ("depth_mag",), "{:.2f}", against="median"),
    _Panel("registration rms (pix)", ("registration_rms_pix",), "{:.3f}", starts_at_zero=True),
    _Panel(
        "σ of S_corr",
        ("scorr_sigma_blank", "scorr_sigma_sources"),
        "{:.2f}",
        ("blank sky", "on sources"),
    ),
    _Panel("candidates / Mpix", ("candidates_per_mpix",), "{:.3g}", starts_at_zero=True),
)
_UNCALIBRATED_DEPTH = _Panel("5σ flux / median", ("depth_flux",), "{:.4g}", against="ratio")


@dataclass(frozen=True)
class _Series:
    """One measure in one filter, as a panel draws it."""

    filter_band: str
    indices: NDArray[np.intp]
    values: NDArray[np.float64]
    median: float
    band: Band | None
    is_filled: bool


def quality_png(title: str, records: Sequence[FrameRecord], bands: Bands) -> bytes:
    """PNG of small multiples over the night; values out of their band are ringed red.

    Parameters
    ----------
    records
        Frames in order of time. Where one lacks a time, frames are numbered instead.
    """
    with style():
        figure = new_figure(14.0, 6.2)
        figure.text(0.012, 0.955, title, fontsize=12.5, fontweight="bold")
        filters = sorted({record.filter_band for record in records})
        colours = {band: SERIES[index % len(SERIES)] for index, band in enumerate(filters)}
        times, has_times = _times(records)
        is_calibrated = any("depth_mag" in record.values for record in records)
        # Fixed margins: a layout engine would draw everything twice to find them.
        margins = {"left": 0.035, "right": 0.992, "bottom": 0.085, "top": 0.875}
        grid = figure.subplots(2, 4, sharex=True, gridspec_kw=margins | _GAPS)
        for axes, panel in zip(grid.flat, _PANELS, strict=True):
            if panel.measures == ("depth_mag",) and not is_calibrated:
                panel = _UNCALIBRATED_DEPTH
            _draw(axes, panel, _series(panel, records, bands), times, colours)
            _mark_lost(axes, records, times)
        _time_axis(grid, has_times)
        _legend(figure, colours, records)
        return png(figure, dpi=100)


def _series(panel: _Panel, records: Sequence[FrameRecord], bands: Bands) -> list[_Series]:
    found = []
    for measure, is_filled in zip(panel.measures, (True, False), strict=False):
        for filter_band in sorted({record.filter_band for record in records}):
            indices = [
                index
                for index, record in enumerate(records)
                if record.filter_band == filter_band and measure in record.values
            ]
            if not indices:
                continue
            values = np.array([records[index].values[measure] for index in indices])
            median = float(np.median(values))
            band = bands.get((measure, filter_band))
            found.append(
                _Series(
                    filter_band,
                    np.array(indices),
                    _against(panel, values, median),
                    median,
                    None if band is None else _band_against(panel, band, median),
                    is_filled,
                )
            )
    return found


def _against(panel: _Panel, values: NDArray[np.float64], median: float) -> NDArray[np.float64]:
    if panel.against == "median":
        return values - median
    return values / median if panel.against == "ratio" and median else values


def _band_against(panel: _Panel, band: Band, median: float) -> Band:
    ends = [
        None if end is None else float(_against(panel, np.array([end]), median)[0])
        for end in (band.low, band.high)
    ]
    return Band(*ends)


def _draw(
    axes: "Axes",
    panel: _Panel,
    series: Sequence[_Series],
    times: NDArray[np.float64],
    colours: Mapping[str, str],
) -> None:
    axes.set_title(panel.title)
    if not series:
        nothing_to_show(axes, "not measured")
        return
    for one in series:
        colour = colours[one.filter_band]
        axes.plot(
            times[one.indices],
            one.values,
            "o-" if one.is_filled else "s:",
            ms=4,
            lw=0.8,
            color=colour,
            mfc=colour if one.is_filled else "white",
        )
        if one.band is not None:
            out = np.array([not one.band.contains(float(value)) for value in one.values])
            x, y = times[one.indices][out], one.values[out]
            axes.plot(x, y, "o", ms=10, mfc="none", mec=RED, mew=1.4, zorder=5)
    _shade(axes, panel, series)
    axes.set_title(
        _medians(panel, series), loc="right", color=MUTED, fontsize=8, fontweight="normal"
    )
    if panel.names:
        _name_measures(axes, panel)


def _medians(panel: _Panel, series: Sequence[_Series]) -> str:
    """Medians of the first measure: by filter where only they tell the level."""
    first = [one for one in series if one.is_filled]
    if panel.against == "nothing":
        values = np.concatenate([one.values for one in first or series])
        return f"median {panel.text.format(np.median(values))}"
    return " · ".join(f"{one.filter_band} {panel.text.format(one.median)}" for one in first[:3])


def _shade(axes: "Axes", panel: _Panel, series: Sequence[_Series]) -> None:
    """The first measure's band behind the values, as far as the axis reaches."""
    values = np.concatenate([one.values for one in series])
    low, high = float(values.min()), float(values.max())
    bands = {one.band for one in series if one.band is not None and one.is_filled}
    if panel.names:
        ends = [end for band in bands for end in (band.low, band.high) if end is not None]
        low, high = min([low, *ends]), max([high, *ends])
    # Deviations of next to nothing are not blown up until they look like something.
    least = 1e-3 if panel.against == "nothing" else _LEAST_DEVIATION
    room = _HEADROOM * max(high - low, 0.1 * abs(high), least)
    low = 0.0 if panel.starts_at_zero else low - room
    high = high + (2 if panel.names else 1) * room
    for band in bands:
        below = low if band.low is None else max(band.low, low)
        above = high if band.high is None else min(band.high, high)
        if below < above:
            alpha = _ALPHA / len(bands)
            axes.axhspan(below, above, color=_BAND, alpha=alpha, lw=0, zorder=0)
        for end in (band.low, band.high):
            if end is not None and low < end < high:
                axes.axhline(end, color=_BAND, lw=0.9, ls="--", zorder=1)
    axes.set_ylim(low, high)


def _name_measures(axes: "Axes", panel: _Panel) -> None:
    for name, marker, face in zip(panel.names, ("o-", "s:"), (INK, "white"), strict=True):
        axes.plot([], [], marker, ms=4, lw=0.8, color=INK, mfc=face, label=name)
    axes.legend(loc="upper right", ncols=2, borderaxespad=0.1)


def _mark_lost(axes: "Axes", records: Sequence[FrameRecord], times: NDArray[np.float64]) -> None:
    """A tick at the foot for frames without a difference image."""
    lost = [i for i, one in enumerate(records) if one.status in ("failed", "no_reference")]
    axes.plot(
        times[lost],
        np.zeros(len(lost)),
        marker="x",
        ls="none",
        ms=5,
        color=RED,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
    )


def _times(records: Sequence[FrameRecord]) -> tuple[NDArray[np.float64], bool]:
    """Abscissae: UTC where every frame has one, else the frames' numbers."""
    from matplotlib.dates import date2num

    times = [record.time for record in records]
    if any(time is None for time in times):
        return np.arange(1, len(records) + 1, dtype=float), False
    return np.array([date2num(time) for time in times], dtype=float), True


def _time_axis(grid: Any, has_times: bool) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    grid[0, 0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if has_times:
        locator = AutoDateLocator(minticks=2, maxticks=6)
        grid[0, 0].xaxis.set_major_locator(locator)
        grid[0, 0].xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    for axes in grid[1]:
        axes.set_xlabel("UTC" if has_times else "frame")


def _legend(figure: Any, colours: Mapping[str, str], records: Sequence[FrameRecord]) -> None:
    """Filters, and what shading, rings and crosses mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], marker="o", color=colour, ms=5, lw=0.8, label=f"filter {name}")
        for name, colour in colours.items()
    ]
    handles += [
        Patch(color=_BAND, alpha=0.2, label="acceptable"),
        Line2D(
            [], [], marker="o", ls="none", ms=9, mfc="none", mec=RED, mew=1.4, label="out of range"
        ),
    ]
    if any(record.status in ("failed", "no_reference") for record in records):
        label = "no difference image"
        handles.append(Line2D([], [], marker="x", ls="none", ms=6, color=RED, label=label))
    figure.legend(handles=handles, loc="upper right", ncols=len(handles), borderaxespad=0.4)
