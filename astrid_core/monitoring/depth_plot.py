"""The picture of a night's depth: completeness against S/N and magnitude, false ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from astrid_core.monitoring.completeness import CompletenessBin
from astrid_core.monitoring.depth_summary import MAGNITUDE_BIN, DepthSummary
from astrid_core.monitoring.figure import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    SERIES,
    new_figure,
    nothing_to_show,
    png,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"blank": BLUE, "host": ORANGE, "star": GREEN}
_NAMES = {"blank": "blank sky", "host": "on hosts", "star": "near stars"}
_MARKERS = {"blank": "o", "host": "s", "star": "^"}
_SIDES = {"blank": 0, "host": 1, "star": -1}
"""Which side of its bin's middle an environment is drawn, so that none hides another."""
_OPEN_MIDDLE = 1.4
"""Where an open bin is drawn, times its lower edge."""


def depth_png(title: str, by_filter: Mapping[str, DepthSummary], threshold_sigma: float) -> bytes:
    """PNG of a night: a row per filter of completeness and unmatched candidates.

    Parameters
    ----------
    threshold_sigma
        Of the extraction: a perfect pipeline finds Φ(S/N − threshold).
    """
    with style():
        figure = new_figure(12.0, 0.5 + 3.1 * len(by_filter))
        figure.set_layout_engine("constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        grid = figure.subplots(len(by_filter), 3, squeeze=False, width_ratios=(1.15, 1.15, 0.8))
        for axes, (band, summary) in zip(grid, by_filter.items(), strict=True):
            _draw_snr(axes[0], band, summary, threshold_sigma)
            _draw_magnitude(axes[1], band, summary)
            _draw_unmatched(axes[2], band, summary, threshold_sigma)
        return png(figure)


def _draw_snr(axes: "Axes", band: str, summary: DepthSummary, threshold: float) -> None:
    snr = np.geomspace(3.0, 40.0, 200)
    axes.plot(
        snr,
        ndtr(snr - threshold),
        color=GREY,
        lw=1.2,
        ls="--",
        label=f"Φ(S/N − {threshold:g}): noise alone",
    )
    axes.axvline(threshold, color=GREY, lw=0.8, ls=":")
    for name, depth in summary.environments.items():
        if depth.n_injected:
            shift = 1.0 + 0.035 * _SIDES[name]
            label = f"{_NAMES[name]} ({depth.n_injected})"
            middle = [_middle(one) * shift for one in depth.by_snr]
            _points(axes, name, depth.by_snr, middle, label)
    axes.set_xscale("log")
    ticks = [3, 4, 5, 7, 10, 20]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(2.9, 25)
    _completeness_axis(axes)
    axes.set_xlabel("S/N of the injected source")
    axes.set_title(f"{band}: completeness by S/N")
    axes.legend(loc="lower right")


def _draw_magnitude(axes: "Axes", band: str, summary: DepthSummary) -> None:
    axes.set_title(f"{band}: completeness by magnitude")
    blank = summary.environments["blank"]
    if not any(depth.by_magnitude for depth in summary.environments.values()):
        nothing_to_show(axes, "no zero point")
        return
    for name, depth in summary.environments.items():
        shift = 0.06 * MAGNITUDE_BIN * _SIDES[name]
        middle = [_middle(one) + shift for one in depth.by_magnitude]
        _points(axes, name, depth.by_magnitude, middle, None)
        if depth.magnitude_fit is not None and depth.by_magnitude:
            magnitude = np.linspace(
                depth.by_magnitude[0].low, depth.by_magnitude[-1].high or 0, 200
            )
            axes.plot(magnitude, depth.magnitude_fit.at(magnitude), color=_COLOURS[name], lw=1.4)
    _completeness_axis(axes)
    axes.set_xlabel("AB magnitude of the injected source")
    if blank.m50 is not None:
        m50 = blank.m50
        axes.axvspan(m50.value - m50.error, m50.value + m50.error, color=BLUE, alpha=0.15, lw=0)
        axes.axvline(m50.value, color=BLUE, lw=1.0)
        axes.annotate(
            f"m50 = {m50.value:.2f} ± {m50.error:.2f}",
            (m50.value, 0.06),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right",
            color=BLUE,
            fontweight="bold",
        )


def _draw_unmatched(axes: "Axes", band: str, summary: DepthSummary, threshold: float) -> None:
    bins = [one for one in summary.unmatched_by_snr if one.high is None or one.high > threshold]
    labels = [f"{one.low:g}–{one.high:g}" if one.high else f"> {one.low:g}" for one in bins]
    density = np.array([one.per_mpix for one in bins])
    low = density - np.array([one.per_mpix_low for one in bins])
    high = np.array([one.per_mpix_high for one in bins]) - density
    place = np.arange(len(bins))
    axes.bar(place, density, color=SERIES[4], alpha=0.25, width=0.6)
    axes.errorbar(place, density, [low, high], fmt="o", ms=4, color=SERIES[4], capsize=3, lw=1)
    for x, one in zip(place, bins, strict=True):
        axes.annotate(
            f"{one.n_unmatched}", (x, 0), xytext=(8, 3), textcoords="offset points", color=INK
        )
    axes.set_xticks(place, labels)
    axes.set_xlim(-0.6, len(bins) - 0.4)
    axes.set_ylim(0, 1.3 * float((density + high).max()))
    axes.set_xlabel("|S_corr| of the candidate")
    axes.set_ylabel("per Mpix")
    axes.set_title(f"{band}: unmatched candidates")
    axes.text(
        0.98,
        0.97,
        f"{summary.searched_mpix:.2f} Mpix searched\n{summary.masked_fraction:.1%} masked",
        transform=axes.transAxes,
        ha="right",
        va="top",
        color=MUTED,
        fontsize=8,
    )


def _points(
    axes: "Axes",
    name: str,
    bins: Sequence[CompletenessBin],
    x: Sequence[float],
    label: str | None,
) -> None:
    """Bins with their intervals; those without an injection are left out."""
    place = [at for at, one in zip(x, bins, strict=True) if one.n_injected]
    shown = [one for one in bins if one.n_injected]
    value = np.array([one.completeness for one in shown], dtype=float)
    # Rounding may put the interval's end a hair inside the value.
    low = np.maximum(value - np.array([one.completeness_low for one in shown]), 0)
    high = np.maximum(np.array([one.completeness_high for one in shown]) - value, 0)
    axes.errorbar(
        place,
        value,
        [low, high],
        fmt=_MARKERS[name],
        ms=5,
        lw=1.1,
        capsize=2.5,
        color=_COLOURS[name],
        label=label,
    )


def _middle(one: CompletenessBin) -> float:
    return one.low * _OPEN_MIDDLE if one.high is None else (one.low + one.high) / 2


def _completeness_axis(axes: "Axes") -> None:
    axes.set_ylim(-0.04, 1.06)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "", "50 %", "", "100 %"])
    axes.axhline(0.5, color=GREY, lw=0.6)
    axes.set_ylabel("found")
