"""Quality and speed of differencing beside design's figures, on simulation and on real sky.

Run ``python -m benchmarks.differencing`` (about a quarter of an hour on one core), or with
``--short`` (a couple of minutes). Real sets are taken from ``--data`` or ``ASTRID_REAL_DATA``
and left out, saying so, where there are none.
"""

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from astrid_core.simulation.pair import simulate_pair
from astrid_core.simulation.recovery import SNR_BINS
from benchmarks import differencing_peers, differencing_real, differencing_speed
from benchmarks.differencing_quality import Quality, assess, flux_bias, pooled, recall
from benchmarks.differencing_scenes import (
    SCENES,
    SHORT_SCENES,
    scene,
    subtract_as_measured,
    subtract_with_truth,
)
from benchmarks.differencing_table import (
    Figure,
    at_least,
    at_most,
    print_table,
    reported,
    summary,
    within,
)

_PARTS = ("simulation", "speed", "peers", "real")


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    figures: list[Figure] = []
    if "simulation" in arguments.parts:
        for side, seeds in _runs(arguments):
            for name in arguments.scenes:
                figures += simulated(name, side, seeds)
    if "speed" in arguments.parts:
        figures += speed(arguments.short)
    if "peers" in arguments.parts:
        peers(arguments.short)
    if "real" in arguments.parts:
        figures += real(arguments.data, arguments.short)
    print(f"\n{summary(figures)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="fewer scenes, seeds and sizes")
    parser.add_argument("--seeds", type=int, help="seeds of each scene (default 5, short 2)")
    parser.add_argument("--sides", type=int, nargs="+", help="side of simulated frames, pixels")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, help="default: all")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("ASTRID_REAL_DATA"),
        help="folder of real telescope images (default: $ASTRID_REAL_DATA)",
    )
    arguments = parser.parse_args()
    if arguments.scenes is None:
        arguments.scenes = list(SHORT_SCENES if arguments.short else SCENES)
    return arguments


def _runs(arguments: argparse.Namespace) -> list[tuple[int, int]]:
    """(side, seeds) of the simulated frames; the largest ones are few and sure to be enough."""
    if arguments.sides:
        seeds = arguments.seeds or (2 if arguments.short else 5)
        return [(side, seeds) for side in arguments.sides]
    if arguments.short:
        return [(512, arguments.seeds or 2)]
    return [(1024, arguments.seeds or 5), (2048, 1)]


# --- simulation ---------------------------------------------------------------------------


def simulated(name: str, side: int, seeds: int) -> list[Figure]:
    """Figures of one scene, with true and with measured PSFs, alignment and ratio."""
    begun = time.perf_counter()
    with_truth, as_measured = [], []
    true_ratio = 1.0
    for seed in range(seeds):
        config = scene(name, side, seed)
        true_ratio = config.flux_ratio
        pair = simulate_pair(config)
        difference = subtract_with_truth(pair, config)
        with_truth.append(assess(difference, pair.science, pair.truth, pair.science.stars))
        science, difference = subtract_as_measured(pair)
        as_measured.append(assess(difference, science, pair.truth, pair.science.stars))
    true_fwhm = with_truth[0].fwhm_pix
    figures: list[Figure] = []
    for how, qualities in (("true", with_truth), ("measured", as_measured)):
        rows = _rows(name, pooled(qualities), qualities)
        if how == "measured":
            rows += _measured_rows(qualities, true_fwhm, true_ratio)
        title = f"{name}, {side} px, {seeds} seeds, {how} PSF, alignment and ratio"
        print_table(title, rows)
        figures += [_named(row, f"{name}, {side} px, {how}") for row in rows]
    print(f"({time.perf_counter() - begun:.0f} s)", flush=True)
    return figures


def _named(figure: Figure, where: str) -> Figure:
    return Figure(f"{where}: {figure.name}", figure.wanted, figure.got, figure.is_met)


def _rows(name: str, quality: Quality, each: Sequence[Quality]) -> list[Figure]:
    is_ideal = name == "ideal"
    spread = f" (seeds {min(q.sigma_blank for q in each):.3f} to "
    spread += f"{max(q.sigma_blank for q in each):.3f}; plain std {quality.std_blank:.3f})"
    low, high = (0.98, 1.02) if is_ideal else (0.95, 1.10)
    bias, error = flux_bias(quality)
    return [
        within(f"sigma(S_corr) on blank sky{spread}", quality.sigma_blank, low, high),
        within("sigma(S_corr) on sources", quality.sigma_sources, 0.95, 1.05 if is_ideal else 1.10),
        reported("sigma(S_corr) on stars above S/N 100", f"{quality.sigma_bright:.3f}"),
        at_most(
            "whiteness of D: largest |rho| at lags <= 2",
            quality.autocorrelation,
            0.01 if is_ideal else 0.02,
            ".4f",
        ),
        *_recall_rows(quality),
        at_most(
            f"false positives + negatives per Mpix ({quality.n_false} on {quality.mpix:.2f} Mpix;"
            f" noise alone {quality.noise_peaks / quality.mpix:.2f})",
            quality.n_false / quality.mpix,
            1.0,
            ".2f",
        ),
        reported("unmatched candidates per Mpix", f"{quality.n_bogus / quality.mpix:.2f}"),
        at_most(f"|flux bias| at S/N > 12 (error {error:.4f})", abs(bias), 0.01, ".4f"),
        at_most("masked area", quality.masked, 0.05, ".4f"),
    ]


def _recall_rows(quality: Quality) -> list[Figure]:
    rows = []
    wanted = {5.0: 0.75, 7.0: 0.985, 10.0: 0.995}
    for low, high in SNR_BINS:
        found, planted = recall(quality.changes, low, high)
        parts = [
            f"{environment} {found_here}/{planted_here}"
            for environment in ("blank", "host", "star")
            for found_here, planted_here in [recall(quality.changes, low, high, environment)]
            if planted_here
        ]
        label = f"recall at S/N {low:g}-{high:g} ({'; '.join(parts)})"
        share = found / max(planted, 1)
        rows.append(
            at_least(label, share, wanted[low], ".3f")
            if low in wanted
            else reported(label, f"{share:.3f}")
        )
    found, planted = recall(quality.changes, 5.0, float("inf"))
    rows.append(at_least("recall at S/N >= 5, log-uniform", found / max(planted, 1), 0.955, ".3f"))
    n_masked = int(quality.changes.is_masked.sum())
    return [*rows, reported("changes on masked pixels, not counted", str(n_masked))]


def _measured_rows(
    qualities: Sequence[Quality], true_fwhm: float, true_ratio: float
) -> list[Figure]:
    """What was measured against its truth, the worst seed of each."""
    return [
        at_most(
            "worst PSF FWHM error",
            max(abs(q.fwhm_pix / true_fwhm - 1) for q in qualities),
            0.01,
            ".4f",
        ),
        at_most(
            "worst flux ratio error",
            max(abs(q.flux_ratio / true_ratio - 1) for q in qualities),
            0.005,
            ".4f",
        ),
        at_most(
            "worst registration residual of bright stars, px",
            max(q.registration_pix for q in qualities),
            0.03,
            ".4f",
        ),
    ]


# --- speed and real sky -------------------------------------------------------------------


def speed(is_short: bool) -> list[Figure]:
    """Figures of speed, memory and numerical identity."""
    repeats = 3 if is_short else 7
    sides = (1024, 2048) if is_short else (1024, 2048, 4096)
    figures = differencing_speed.identity()
    figures += differencing_speed.zogy_against_ffts(sides, repeats)
    figures.append(differencing_speed.two_threads(sides[-1], repeats))
    figures += differencing_speed.warp_against_spline(1024, repeats)
    figures += differencing_speed.psf_errors(2 if is_short else 8)
    figures += differencing_speed.whole_subtraction(1024 if is_short else 2048)
    figures += differencing_speed.peers(repeats)
    print_table("speed, memory, identity, PSF", figures)
    return figures


def peers(is_short: bool) -> None:
    """Side by side with other packages: reported, nothing is asked of them."""
    sides = (256,) if is_short else (512, 1024)
    for side, seeds in zip(sides, (2,) if is_short else (5, 1), strict=True):
        rows = differencing_peers.differencing(side, seeds)
        rows += differencing_peers.registration(max(side, 512), seeds)
        print_table(f"beside its peers, {side} px, {seeds} seeds, measured PSFs", rows)


def real(data: Path | None, is_short: bool) -> list[Figure]:
    """Figures on real telescope images."""
    if data is None or not Path(data).is_dir():
        print("\nNO REAL TELESCOPE IMAGES: name their folder by --data or ASTRID_REAL_DATA.")
        return []
    return differencing_real.real_sky(Path(data), is_short)


if __name__ == "__main__":
    main()
