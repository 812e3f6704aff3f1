"""What the injections into frames of one filter add up to: completeness, false ones, m50."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from astrid_core.monitoring.completeness import (
    CompletenessBin,
    CompletenessFit,
    bin_edges,
    completeness_bins,
    fit_completeness,
)
from astrid_core.monitoring.depth import PLANTED_DTYPE, DepthMeasurement
from astrid_core.monitoring.intervals import poisson_interval
from astrid_core.monitoring.surroundings import ENVIRONMENTS
from astrid_core.simulation.recovery import SNR_BINS

F64 = NDArray[np.float64]
Json = dict[str, Any]

MAGNITUDE_BIN = 0.5
PROMISED = {(7.0, 10.0): 0.985, (10.0, float("inf")): 0.995}
"""Completeness on blank sky that S/N_true promises of a pipeline in order, by bin."""
_CHANCE = 0.01
_LN10_OVER_2P5 = 0.4 * math.log(10)


@dataclass(frozen=True)
class UnmatchedBin:
    """Candidates that are no injection, per searched area, with the Poisson interval.

    Attributes
    ----------
    low, high
        Edges; ``high`` is None where the bin is open.
    per_mpix, per_mpix_low, per_mpix_high
        Density per 10^6 searched pixels with its Garwood interval at 95 %; 0 where nothing
        was searched.
    """

    low: float
    high: float | None
    n_unmatched: int
    per_mpix: float
    per_mpix_low: float
    per_mpix_high: float


@dataclass(frozen=True)
class HalfPoint:
    """Where completeness falls through 50 %, with its 1 σ error."""

    value: float
    error: float


@dataclass(frozen=True)
class EnvironmentDepth:
    """Completeness in one environment.

    Attributes
    ----------
    by_snr, by_magnitude
        In bins of S/N_true and of AB magnitude (empty without zero point).
    snr_fit
        Curve against −2.5 log10 S/N_true; None where the injections do not bracket 50 %.
    magnitude_fit
        Curve against AB magnitude; None also without zero point.
    """

    n_injected: int
    n_recovered: int
    by_snr: tuple[CompletenessBin, ...]
    by_magnitude: tuple[CompletenessBin, ...]
    snr_fit: CompletenessFit | None
    magnitude_fit: CompletenessFit | None

    @property
    def snr50(self) -> HalfPoint | None:
        """S/N_true of 50 % completeness."""
        if self.snr_fit is None:
            return None
        value = 10.0 ** (-0.4 * self.snr_fit.m50)
        return HalfPoint(value, value * _LN10_OVER_2P5 * self.snr_fit.m50_err)

    @property
    def m50(self) -> HalfPoint | None:
        """AB magnitude of 50 % completeness."""
        fit = self.magnitude_fit
        return None if fit is None else HalfPoint(fit.m50, fit.m50_err)


@dataclass(frozen=True)
class DepthSummary:
    """Depth of one or more frames of one filter.

    Attributes
    ----------
    environments
        Depth by environment. They are never added up: how many injections fell on hosts and
        near stars was chosen, not found.
    unmatched_by_snr, unmatched_by_magnitude
        Candidates that are no injection, by |S_corr| peak and by magnitude: the false
        positives, and an upper limit of them where the sky itself changed.
    masked_fraction
        Of all pixels.
    """

    n_frames: int
    n_injected: int
    n_recovered: int
    n_masked: int
    n_unmatched: int
    searched_mpix: float
    masked_fraction: float
    environments: Mapping[str, EnvironmentDepth]
    unmatched_by_snr: tuple[UnmatchedBin, ...]
    unmatched_by_magnitude: tuple[UnmatchedBin, ...]


def summarise(frames: Sequence[Json], rng: np.random.Generator) -> DepthSummary:
    """Sum the injections of frames of one filter, in the form :func:`to_json` gives.

    Parameters
    ----------
    rng
        For the errors of the half points.
    """
    planted = np.concatenate([np.zeros(0, PLANTED_DTYPE), *(_planted(row) for row in frames)])
    magnitude = np.concatenate(
        [np.zeros(0), *(_magnitude(_planted(row)["flux"], row["zero_point_mag"]) for row in frames)]
    )
    unmatched = [(one, row["zero_point_mag"]) for row in frames for one in row["unmatched"]]
    snr = np.array([one["snr"] for one, _ in unmatched])
    magnitudes = np.array([float(_magnitude(abs(one["flux"]), zero)) for one, zero in unmatched])
    magnitudes = magnitudes[np.isfinite(magnitudes)]
    area = float(sum(row["searched_mpix"] for row in frames))
    total = sum(
        row["searched_mpix"] / (1 - row["masked_fraction"])
        for row in frames
        if row["masked_fraction"] < 1
    )
    return DepthSummary(
        n_frames=len(frames),
        n_injected=len(planted),
        n_recovered=int(planted["is_recovered"].sum()),
        n_masked=sum(row["n_masked"] for row in frames),
        n_unmatched=len(unmatched),
        searched_mpix=area,
        masked_fraction=1.0 - area / total if total else 0.0,
        environments={
            name: _of_environment(planted, magnitude, planted["environment"] == name, rng)
            for name in ENVIRONMENTS
        },
        unmatched_by_snr=_unmatched_bins(snr, SNR_BINS, area),
        unmatched_by_magnitude=_unmatched_bins(
            magnitudes, bin_edges(magnitudes, MAGNITUDE_BIN), area
        ),
    )


def shortfalls(summary: DepthSummary) -> tuple[str, ...]:
    """Bins whose completeness on blank sky is below what is promised, by more than chance.

    So few found, or fewer, would come once in a hundred nights in order (exact binomial).
    """
    found = []
    for one in summary.environments["blank"].by_snr:
        high = math.inf if one.high is None else one.high
        promised = PROMISED.get((one.low, high), 0.0)
        chance = float(bdtr(one.n_recovered, one.n_injected, promised)) if one.n_injected else 1.0
        if promised and chance < _CHANCE:
            found.append(
                f"S/N {one.low:g} to {high:g}: {one.n_recovered} of {one.n_injected} found, "
                f"where {promised:.1%} is promised (chance {chance:.1g})"
            )
    return tuple(found)


def to_json(measured: DepthMeasurement) -> Json:
    """A measurement as the columns of its run row (where the database makes NaN null)."""
    injections = [
        {name: row[name].item() for name in PLANTED_DTYPE.names or () if name != "is_negative"}
        for row in measured.planted
    ]
    unmatched = [
        {
            "x_pix": source.x_pix,
            "y_pix": source.y_pix,
            "snr": abs(source.scorr_peak),
            "flux": source.flux,
            "is_negative": source.is_negative,
        }
        for source in measured.unmatched
    ]
    return {
        "n_injected": len(injections),
        "n_recovered": int(measured.planted["is_recovered"].sum()),
        "n_masked": measured.n_masked,
        "n_unmatched": len(unmatched),
        "searched_mpix": measured.searched_mpix,
        "masked_fraction": measured.masked_fraction,
        "zero_point_mag": measured.zero_point_mag,
        "injections": injections,
        "unmatched": unmatched,
    }


def _planted(row: Json) -> NDArray[Any]:
    planted = np.zeros(len(row["injections"]), dtype=PLANTED_DTYPE)
    for target, values in zip(planted, row["injections"], strict=True):
        for name, value in values.items():
            target[name] = np.nan if value is None else value
    return planted


def _magnitude(flux: Any, zero_point_mag: float | None) -> F64:
    """AB magnitudes; NaN without a zero point."""
    if zero_point_mag is None:
        return np.full(np.shape(flux), np.nan)
    return np.asarray(zero_point_mag - 2.5 * np.log10(flux))


def _of_environment(
    planted: NDArray[Any],
    magnitude: F64,
    inside: NDArray[np.bool_],
    rng: np.random.Generator,
) -> EnvironmentDepth:
    snr, found = planted["snr_true"][inside], planted["is_recovered"][inside]
    calibrated = np.isfinite(magnitude[inside])
    bright, found_bright = magnitude[inside][calibrated], found[calibrated]
    return EnvironmentDepth(
        n_injected=len(found),
        n_recovered=int(found.sum()),
        by_snr=completeness_bins(snr, found, SNR_BINS),
        by_magnitude=completeness_bins(bright, found_bright, bin_edges(bright, MAGNITUDE_BIN)),
        snr_fit=fit_completeness(-2.5 * np.log10(snr), found, rng),
        magnitude_fit=fit_completeness(bright, found_bright, rng),
    )


def _unmatched_bins(
    values: F64, edges: Sequence[tuple[float, float]], area_mpix: float
) -> tuple[UnmatchedBin, ...]:
    scale = 1.0 / area_mpix if area_mpix > 0 else 0.0
    bins = []
    for low, high in edges:
        n = int(((values >= low) & (values < high)).sum())
        interval = poisson_interval(n)
        bins.append(
            UnmatchedBin(
                low=low,
                high=high if math.isfinite(high) else None,
                n_unmatched=n,
                per_mpix=n * scale,
                per_mpix_low=interval.low * scale,
                per_mpix_high=interval.high * scale,
            )
        )
    return tuple(bins)
