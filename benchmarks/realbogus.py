"""What a real/bogus model is worth beside plain S_corr, on skies unlike those it learnt from.

Run ``python -m benchmarks.realbogus`` (a quarter of an hour on two cores; ``--shards`` keeps the
skies for another time). It measures the shipped model, or with ``--card`` another whose weights
lie beside its card. PSF and artefact families are those of ``realbogus_skies``; sources are
injected before subtraction. Real cutouts of ZTF are taken from ``--data`` or
``ASTRID_REAL_DATA`` and left out, saying so, where there are none.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.assess import glimpse_shards, judge_candidates, judge_found
from astrid_core.detection.card import ModelCard, read_card
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.evaluation import calibration_error
from astrid_core.detection.judging import calibrate
from astrid_core.detection.registry import shipped
from astrid_core.detection.scoring import component_confidence
from astrid_core.detection.shards import IGNORED, Shard
from astrid_core.detection.unet import RealBogusModel, load_model
from astrid_core.errors import AstridError
from astrid_core.parallel import map_frames
from astrid_core.training.figures import accepted, at_false_alarms, purity_at_completeness
from astrid_core.training.resampling import Estimate, estimate
from benchmarks.differencing_table import Figure, print_table, reported, summary
from benchmarks.realbogus_cutouts import transfer
from benchmarks.realbogus_skies import FIELDS_PER_SKY, SkyTask, make_sky

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

COMMON_RATE = 2.0
"""Of artefacts where they are common: about fifty per frame of 512 × 512 pixels."""
SNR_RANGE = (5.0, 20.0)
COMPLETENESS = 0.90
"""That purities are compared at; or what S_corr and filters find, where that is less."""
BRIGHT_SNR = 6.0
CHANGES_PER_MPIX = 100.0
"""Density of changes of S/N 5 to 20 that purity is quoted at; injections are denser."""


@dataclass(frozen=True)
class Found:
    """Everything planted or found in some shards; all (n,).

    Attributes
    ----------
    confidence
        As the pipeline gives it: candidates of the default extraction, and components; −∞ where
        nothing was found.
    significance
        |S_corr| of candidates; −∞ of all else.
    peak
        |S_corr| at the peak, whatever found it.
    snr_true
        NaN where bogus.
    is_candidate
        The default extraction found it.
    """

    confidence: F64
    significance: F64
    peak: F64
    is_real: Mask
    snr_true: F64
    is_candidate: Mask
    groups: NDArray[np.str_]

    @classmethod
    def of(cls, parts: Sequence["Found"]) -> "Found":
        """Parts joined."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def among(self, low: float, high: float) -> "Found":
        """Bogus ones, and real ones within a range of true S/N."""
        chosen = ~self.is_real | ((self.snr_true >= low) & (self.snr_true < high))
        return Found(*(column[chosen] for column in vars(self).values()))


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    model = _model(arguments.card)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.shards or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name, rate, first in (("artefacts", COMMON_RATE, 0), ("clean", 0.0, 1000)):
            begun = time.perf_counter()
            shards = _shards(rate, first, arguments.skies, folder, arguments.workers)
            rows = _figures(name, model, shards)
            print_table(f"{name}: {len(shards)} frames of 512 × 512 px, model {model.name}", rows)
            print(f"({time.perf_counter() - begun:.0f} s)", flush=True)
            figures += rows
    if arguments.data is None:
        print("\nno --data and no ASTRID_REAL_DATA: real cutouts are left out")
    else:
        print_table("real cutouts of ZTF (information)", transfer(model.real, arguments.data))
    print(f"\n{summary(figures)}")


@dataclass(frozen=True)
class _Model:
    name: str
    card: ModelCard
    real: RealBogusModel


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--card", type=Path, help="model card (default: the shipped model's)")
    parser.add_argument("--skies", type=int, default=10, help="skies of either kind")
    parser.add_argument("--shards", type=Path, help="folder that keeps the skies")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    data = os.environ.get("ASTRID_REAL_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None)
    return parser.parse_args()


def _model(card_path: Path | None) -> _Model:
    weights, path = shipped()
    if card_path is not None:
        weights, path = card_path.with_suffix(".safetensors"), card_path
    card = read_card(path)
    return _Model(card.name, card, load_model(weights, card, card.sha256))


def _shards(rate: float, first: int, skies: int, folder: Path, workers: int) -> list[Shard]:
    tasks = [
        SkyTask(first + sky, field, rate, folder)
        for sky in range(skies)
        for field in range(FIELDS_PER_SKY)
    ]
    shards = []
    for task, made in map_frames(make_sky, tasks, workers):
        if isinstance(made, AstridError):
            print(f"sky {task.sky_index}, field {task.field_index} left out: {made}")
        else:
            shards += made
    return shards


# --- figures ------------------------------------------------------------------------------


def _figures(name: str, model: _Model, shards: list[Shard]) -> list[Figure]:
    mpix = sum(shard.labels.size for shard in shards) / 1e6
    found = Found.of([_found(model, shard) for shard in shards])
    known = found.among(*SNR_RANGE)
    weight = CHANGES_PER_MPIX * mpix / max(int(known.is_real.sum()), 1)
    return [
        *_gains(name, known, weight, mpix),
        *_bright(found, model.card.threshold, weight),
        *_reliability(found),
    ]


def _gains(name: str, known: Found, weight: float, mpix: float) -> list[Figure]:
    odds = np.where(known.is_real, weight, 1.0)

    found = _found_share(known)

    def purity(score: F64) -> Callable[[F64], float]:
        # Where S_corr finds less than .90, both are held against what it does find.
        return lambda draws: purity_at_completeness(
            score, known.is_real, draws * odds, min(COMPLETENESS, found(draws))
        )

    ours, theirs = purity(known.confidence), purity(known.significance)
    gain = estimate(lambda draws: ours(draws) - theirs(draws), known.groups)
    rows = [
        reported("planted with S/N 5 to 20, not masked", str(int(known.is_real.sum()))),
        reported("of these found by S_corr and filters", _text(found, known)),
        reported("bogus candidates per Mpix", f"{_per_mpix(known, mpix):.1f}"),
        reported("purity at completeness .90, S_corr and filters", _text(theirs, known)),
        reported("purity at completeness .90, model", _text(ours, known)),
        _gain_figure(name, gain),
    ]

    def completeness_gain(draws: F64) -> float:
        weights = draws * odds
        plain = accepted(known.significance > 0, known.is_real, weights)
        bar = at_false_alarms(known.confidence, known.is_real, weights, plain.n_false)
        return bar.completeness - plain.completeness

    def at_few(score: F64) -> Callable[[F64], float]:
        return lambda draws: (
            at_false_alarms(score, known.is_real, draws * odds, 2.0 * mpix).completeness
        )

    more = estimate(completeness_gain, known.groups)
    return [
        *rows,
        reported("completeness gained at all of S_corr's false positives", _interval(more)),
        reported(
            "completeness at 2 bogus per Mpix, S_corr", _text(at_few(known.significance), known)
        ),
        reported("completeness at 2 bogus per Mpix, model", _text(at_few(known.confidence), known)),
    ]


def _found_share(known: Found) -> Callable[[F64], float]:
    return lambda draws: accepted(known.is_candidate, known.is_real, draws).completeness


def _gain_figure(name: str, gain: Estimate | None) -> Figure:
    if gain is None:
        return Figure("purity gained at completeness .90", "a value", "none", is_met=False)
    if name == "clean":
        met = gain.value >= -0.01
        return Figure("purity gained at completeness .90", ">= -.01", _interval(gain), met)
    met = gain.value >= 0.20 and gain.low > 0
    return Figure("purity gained at completeness .90", ">= .20, low > 0", _interval(gain), met)


def _bright(found: Found, threshold: float, weight: float) -> list[Figure]:
    bright = found.among(BRIGHT_SNR, np.inf)
    seen = ~np.isfinite(bright.peak) | (bright.peak >= BRIGHT_SNR)
    odds = np.where(bright.is_real, weight, 1.0)
    chosen = bright.confidence >= threshold

    def completeness(draws: F64) -> float:
        return accepted(chosen, bright.is_real, draws).completeness

    def purity(draws: F64) -> float:
        return accepted(chosen & seen, bright.is_real, draws * odds).purity

    ours, pure = estimate(completeness, bright.groups), estimate(purity, bright.groups)
    return [
        Figure("completeness at S/N >= 6", ">= .90", _interval(ours), _reaches(ours, 0.90)),
        Figure("purity at S/N >= 6", ">= .95", _interval(pure), _reaches(pure, 0.95)),
    ]


def _reliability(found: Found) -> list[Figure]:
    confidence = found.confidence[found.is_candidate]
    is_real = found.is_real[found.is_candidate]
    error = calibration_error(confidence, is_real)
    n = len(confidence)
    return [
        Figure(
            "calibration error of candidates, at even odds",
            "<= .03 on >= 2000",
            f"{error:.3f} on {n}",
            error <= 0.03 and n >= 2000,
        )
    ]


def _found(model: _Model, shard: Shard) -> Found:
    config = DetectionConfig()
    known = shard.candidates[shard.candidates["label"] != IGNORED]
    judged = judge_candidates(model.real, [shard], config).where(known["is_default"])
    threshold = model.card.component_threshold
    components = judge_found(glimpse_shards(model.real, [shard], config), [shard], threshold)
    expected = config.expected_components_per_mpix
    found_snr = np.concatenate([judged.snr_true, components.snr_true])
    truth = shard.truth[_is_searched(shard)]
    lost = truth["snr_true"][~np.isin(truth["snr_true"], found_snr)]
    nothing = np.full(len(lost), -np.inf)
    n_components = len(components.scores)
    return Found(
        confidence=np.concatenate(
            [
                calibrate(judged.scores, model.card.calibration),
                component_confidence(model.card, components.scores, expected),
                nothing,
            ]
        ),
        significance=np.concatenate(
            [np.abs(judged.scorr_peak), np.full(n_components, -np.inf), nothing]
        ),
        peak=np.abs(np.concatenate([judged.scorr_peak, components.scorr_peak, nothing])),
        is_real=np.concatenate([judged.is_real, components.is_real, np.ones(len(lost), bool)]),
        snr_true=np.concatenate([found_snr, lost]),
        is_candidate=np.concatenate(
            [np.ones(len(judged.scores), bool), np.zeros(n_components + len(lost), bool)]
        ),
        groups=np.full(len(judged.scores) + n_components + len(lost), shard.sky),
    )


def _is_searched(shard: Shard) -> Mask:
    """Changes (n,) outside of the declared mask, where S_corr is put to 0."""
    ny, nx = shard.scorr.shape
    row = np.clip(np.rint(shard.truth["y_pix"]).astype(int), 0, ny - 1)
    column = np.clip(np.rint(shard.truth["x_pix"]).astype(int), 0, nx - 1)
    return np.asarray(shard.scorr[row, column] != 0)


# --- text ---------------------------------------------------------------------------------


def _per_mpix(found: Found, mpix: float) -> float:
    return float((found.is_candidate & ~found.is_real).sum() / mpix)


def _text(figure: Callable[[F64], float], found: Found) -> str:
    return _interval(estimate(figure, found.groups))


def _interval(value: Estimate | None) -> str:
    return "none" if value is None else f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"


def _reaches(value: Estimate | None, limit: float) -> bool:
    return value is not None and value.value >= limit


if __name__ == "__main__":
    main()
