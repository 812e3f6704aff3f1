"""A training run on one page: self-contained HTML with its plots, errors and figures."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.monitoring.figure import (
    BLUE,
    GREY,
    MUTED,
    ORANGE,
    RED,
    new_figure,
    nothing_to_show,
    png,
    style,
)
from astrid_core.training.evaluate import Evaluation, Slice
from astrid_core.training.fitting import Fitted
from astrid_core.training.judged import Judgement, TestSet
from astrid_core.training.resampling import Estimate
from astrid_core.training.samples import Samples
from astrid_core.training.stored import SampleSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F64 = NDArray[np.float64]

_WORST = 8
_BINS = 10
_TRIPLET = ("science", "reference", "difference")
_CSS = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2933;max-width:1080px;margin:2em auto;
padding:0 1em} h1{font-size:1.5em} h2{font-size:1.1em;margin-top:2em} img{max-width:100%}
table{border-collapse:collapse;font-size:.92em} th,td{padding:.25em .9em .25em 0;
text-align:left;border-bottom:1px solid #e4e8ec} td+td{font-variant-numeric:tabular-nums}
"""


@dataclass(frozen=True)
class ReportInput:
    """All that a report shows."""

    title: str
    facts: dict[str, Any]
    fitted: Fitted
    test: TestSet
    judgement: Judgement
    evaluation: Evaluation
    worst: Samples
    worst_confidence: F64


def worst_errors(test: TestSet, judgement: Judgement, samples: SampleSet) -> tuple[Samples, F64]:
    """Samples that the model is surest and most wrong of, and its confidences."""
    wrong = np.abs(judgement.confidence - test.is_real)
    order = np.argsort(-wrong, kind="stable")[:_WORST]
    order = order[wrong[order] > 0.5]
    return samples.take(order), judgement.confidence[order]


def report_html(given: ReportInput) -> str:
    """The page; everything that people or surveys named is escaped."""
    evaluation = given.evaluation
    facts = "".join(_row(name, value) for name, value in given.facts.items())
    plots = _image("Losses, precision, reliability, completeness", _plots_png(given))
    worst = (
        _image("The worst errors: science, reference, difference", _triplets_png(given))
        if len(given.worst)
        else "<p>No sample of the test split is judged wrongly.</p>"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(given.title)}</title>'
        f"<style>{_CSS}</style><h1>{_text(given.title)}</h1><table>{facts}</table>"
        f"<h2>On the test split</h2>{_headline(evaluation)}"
        f"<h2>Curves</h2>{plots}"
        f"<h2>At equal false alarms per 10⁶ pixels</h2>{_rivals(evaluation)}"
        f"<h2>By part</h2>{_slices(evaluation.slices)}"
        f"<h2>Worst errors</h2>{worst}</html>"
    )


# --- tables -------------------------------------------------------------------------------


def _headline(evaluation: Evaluation) -> str:
    figures = {
        "samples": f"{evaluation.n_real} real, {evaluation.n_bogus} bogus, in "
        f"{evaluation.n_groups} groups; {evaluation.mpix:.3g} Mpix searched",
        "average precision": _estimate(evaluation.average_precision),
        f"completeness at {evaluation.threshold:.3f}": _estimate(evaluation.completeness),
        "purity": _estimate(evaluation.purity),
        "false alarms per Mpix": _estimate(evaluation.false_per_mpix),
        "average precision of pixels": "none real"
        if evaluation.pixel_average_precision is None
        else f"{evaluation.pixel_average_precision:.3f}",
        "expected calibration error": f"{evaluation.reliability.expected_calibration_error:.3f} "
        f"({evaluation.reliability.of}, {evaluation.reliability.n} samples)",
    }
    rows = "".join(_row(name, value) for name, value in figures.items())
    return f"<table>{rows}</table><p>Intervals: 95 %, by groups of sky drawn again.</p>"


def _rivals(evaluation: Evaluation) -> str:
    head = "<tr><th>other<th>average precision<th>completeness<th>gain<th>purity<th>gain</tr>"
    rows = "".join(
        f"<tr><td>{_text(one.name)}<td>{_estimate(one.average_precision)}"
        f"<td>{one.completeness:.3f}<td>{_estimate(one.completeness_gain)}"
        f"<td>{'accepts none' if one.purity is None else f'{one.purity:.3f}'}"
        f"<td>{_estimate(one.purity_gain)}</tr>"
        for one in evaluation.rivals
    )
    return f"<table>{head}{rows}</table>"


def _slices(slices: Sequence[Slice]) -> str:
    head = "<tr><th>part<th>real<th>bogus<th>completeness<th>purity</tr>"
    rows = "".join(
        f"<tr><td>{_text(one.name)}<td>{one.n_real}<td>{one.n_bogus}"
        f"<td>{_estimate(one.completeness)}<td>{_estimate(one.purity)}</tr>"
        for one in slices
    )
    return f"<table>{head}{rows}</table>"


def _row(name: str, value: object) -> str:
    return f"<tr><th>{_text(name)}<td>{_text(value)}</tr>"


def _estimate(one: Estimate | None) -> str:
    return "–" if one is None else f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def _text(value: object) -> str:
    return html.escape(str(value))


def _image(name: str, picture: bytes) -> str:
    data = base64.b64encode(picture).decode()
    return f'<img alt="{_text(name)}" src="data:image/png;base64,{data}">'


# --- plots --------------------------------------------------------------------------------


def _plots_png(given: ReportInput) -> bytes:
    with style():
        figure = new_figure(11.0, 6.4)
        grid = figure.subplots(2, 3, gridspec_kw={"hspace": 0.42, "wspace": 0.28})
        _draw_losses(grid[0, 0], given.fitted)
        _draw_val(grid[0, 1], given.fitted)
        _draw_roc(grid[0, 2], given)
        _draw_precision(grid[1, 0], given)
        _draw_reliability(grid[1, 1], given)
        _draw_completeness(grid[1, 2], given.evaluation.slices)
        return png(figure)


def _draw_losses(axes: "Axes", fitted: Fitted) -> None:
    axes.set_title("Loss by step")
    axes.plot(np.arange(1, len(fitted.losses) + 1), fitted.losses, lw=0.6, color=GREY)
    steps = [one.step for one in fitted.validations]
    axes.plot(steps, [one.loss for one in fitted.validations], "o-", ms=3, color=BLUE, label="val")
    axes.axvline(fitted.best_step, color=ORANGE, lw=1, label="kept")
    axes.legend()


def _draw_val(axes: "Axes", fitted: Fitted) -> None:
    axes.set_title("Average precision on val")
    steps = [one.step for one in fitted.validations]
    axes.plot(steps, [one.average_precision for one in fitted.validations], "o-", ms=3, color=BLUE)
    axes.set_xlabel("step")


def _draw_roc(axes: "Axes", given: ReportInput) -> None:
    from sklearn.metrics import roc_curve

    axes.set_title("ROC")
    for name, colour, score in _contenders(given):
        false, true, _ = roc_curve(given.test.is_real, score)
        axes.plot(false, true, lw=1.2, color=colour, label=name)
    axes.set_xlabel("bogus accepted")
    axes.legend(loc="lower right")


def _draw_precision(axes: "Axes", given: ReportInput) -> None:
    from sklearn.metrics import precision_recall_curve

    axes.set_title("Purity over completeness")
    for name, colour, score in _contenders(given):
        purity, completeness, _ = precision_recall_curve(given.test.is_real, score)
        axes.plot(completeness, purity, lw=1.2, color=colour, label=name)
    axes.set_xlabel("completeness")
    axes.legend(loc="lower left")


def _contenders(given: ReportInput) -> list[tuple[str, str, F64]]:
    significance = given.test.significance
    return [
        ("model", BLUE, given.judgement.confidence),
        ("|S_corr|", GREY, np.where(np.isfinite(significance), significance, -1.0)),
    ]


def _draw_reliability(axes: "Axes", given: ReportInput) -> None:
    axes.set_title("Reliability")
    confidence, real = given.judgement.confidence, given.test.is_real
    index = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    n = np.bincount(index, minlength=_BINS)
    filled = n > 0
    said = np.bincount(index, confidence, minlength=_BINS)[filled] / n[filled]
    found = np.bincount(index, real, minlength=_BINS)[filled] / n[filled]
    axes.plot([0, 1], [0, 1], lw=0.8, color=MUTED)
    axes.plot(said, found, "o-", ms=4, color=BLUE)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share real")


def _draw_completeness(axes: "Axes", slices: Sequence[Slice]) -> None:
    axes.set_title("Completeness by S/N")
    bins = [one for one in slices if one.name.startswith("S/N") and one.completeness]
    if not bins:
        nothing_to_show(axes, "no S/N known")
        return
    for place, one in enumerate(bins):
        assert one.completeness is not None  # noqa: S101  chosen so
        axes.plot([place] * 2, [one.completeness.low, one.completeness.high], color=BLUE)
        axes.plot(place, one.completeness.value, "o", color=BLUE)
    axes.set_xticks(range(len(bins)), [one.name.removeprefix("S/N ") for one in bins])
    axes.set_ylim(0, 1.03)


def _triplets_png(given: ReportInput) -> bytes:
    n = len(given.worst)
    with style():
        figure = new_figure(1.3 * n + 0.2, 4.4)
        grid = figure.subplots(len(_TRIPLET), n, squeeze=False)
        for column in range(n):
            record = given.worst.records[column]
            label = "real" if record.is_real else "bogus"
            grid[0, column].set_title(
                f"{label}, judged {given.worst_confidence[column]:.2f}",
                color=RED,
                fontsize=7,
                fontweight="normal",
            )
            for row in range(len(_TRIPLET)):
                axes = grid[row, column]
                axes.imshow(given.worst.images[column, row], cmap="gray", origin="lower")
                axes.set_xticks([])
                axes.set_yticks([])
                axes.grid(False)
        for row, name in enumerate(_TRIPLET):
            grid[row, 0].set_ylabel(name)
        return png(figure)
