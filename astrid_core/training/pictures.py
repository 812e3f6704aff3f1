"""Pictures of a dataset: what it is made of, and some of its samples."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.monitoring.figure import (
    BLUE,
    GREY,
    ORANGE,
    new_figure,
    nothing_to_show,
    png,
    style,
)
from astrid_core.training.quality import QualityReport
from astrid_core.training.samples import IGNORED, SampleRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"real": BLUE, "bogus": ORANGE}
_SNR_BINS = np.array([0.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0])
_ROWS = ("science", "reference", "difference", "mask")
_DIFFERENCE_LIMIT = float(np.arcsinh(8.0))


def dataset_png(title: str, records: Sequence[SampleRecord], quality: QualityReport) -> bytes:
    """Four panels: splits, S/N, nights and surveys, real and bogus apart."""
    with style():
        figure = new_figure(9.0, 5.4)
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
        (splits, snr), (nights, surveys) = figure.subplots(2, 2)
        _bars(splits, "samples by split", _by_split(records))
        _snr(snr, records)
        _bars(nights, "by night", dict(quality.temporal_distribution))
        _bars(surveys, "by survey", dict(quality.survey_coverage))
        figure.tight_layout(rect=(0, 0, 1, 0.96))
        return png(figure)


def samples_png(title: str, samples: Sequence[tuple[SampleRecord, Any, Any]]) -> bytes:
    """A column per sample: science, reference, difference, mask.

    Parameters
    ----------
    samples
        (record, image (5, s, s), mask (s, s)), at least one.
    """
    with style():
        figure = new_figure(1.15 * len(samples) + 0.7, 5.2)
        figure.suptitle(title, x=0.02, ha="left", fontsize=10)
        axes = figure.subplots(len(_ROWS), len(samples), squeeze=False)
        for column, (record, image, mask) in enumerate(samples):
            _sample(list(axes[:, column]), record, np.asarray(image), np.asarray(mask))
        for row, name in enumerate(_ROWS):
            axes[row, 0].set_ylabel(name)
        figure.tight_layout(rect=(0, 0, 1, 0.95), pad=0.3)
        return png(figure)


def _sample(
    axes: Sequence["Axes"], record: SampleRecord, image: NDArray[Any], mask: NDArray[Any]
) -> None:
    stars = image[:2][:, image[4] > 0]
    low, high = np.percentile(stars, (1, 99.5)) if stars.size else (0.0, 1.0)
    shown = np.where(mask == IGNORED, np.nan, mask.astype(float))
    pictures = (
        (image[0], "gray", low, high),
        (image[1], "gray", low, high),
        (image[2], "RdBu_r", -_DIFFERENCE_LIMIT, _DIFFERENCE_LIMIT),
        (shown, "viridis", 0, 1),
    )
    for ax, (picture, colours, vmin, vmax) in zip(axes, pictures, strict=True):
        ax.imshow(picture, origin="lower", cmap=colours, vmin=vmin, vmax=vmax)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(False)
    kind = record.labels.get("anomaly_type")
    label = "real" if record.is_real else "bogus"
    axes[0].set_title(f"{label}\n{kind or record.label_source}", fontsize=7)


def _by_split(records: Sequence[SampleRecord]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for record in records:
        source = record.label_source
        name = record.split if source == "human" else f"{record.split}, {source}"
        of_name = counts.setdefault(name, {"real": 0, "bogus": 0})
        of_name["real" if record.is_real else "bogus"] += 1
    return counts


def _bars(ax: "Axes", title: str, counts: dict[str, Any]) -> None:
    ax.set_title(title)
    if not counts:
        nothing_to_show(ax, "nothing")
        return
    places = np.arange(len(counts))
    for offset, label in ((-0.2, "real"), (0.2, "bogus")):
        heights = [of_name[label] for of_name in counts.values()]
        ax.bar(places + offset, heights, 0.4, color=_COLOURS[label], label=label)
    ax.set_xticks(places, list(counts), rotation=30 if len(counts) > 4 else 0, ha="center")
    ax.legend()


def _snr(ax: "Axes", records: Sequence[SampleRecord]) -> None:
    ax.set_title("|S_corr| at the peak")
    for label in ("real", "bogus"):
        values = [
            abs(r.metadata["scorr_peak"])
            for r in records
            if r.label_source != "injection" and r.is_real == (label == "real")
        ]
        ax.hist(
            np.clip(values, 0, _SNR_BINS[-1] - 0.01),
            bins=list(_SNR_BINS),
            histtype="step",
            linewidth=1.6,
            color=_COLOURS[label],
            label=label,
        )
    ax.axvline(5.0, color=GREY, linewidth=0.8, linestyle=":")
    ax.legend()
