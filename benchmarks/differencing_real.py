"""Figures of differencing on real sky: each set with what is known to have changed in it.

The known changes are those of the folder's ``truth.json``.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from astrid_core.differencing.assemble import robust_sigma
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.errors import AstridError
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.extraction.sources import Source
from astrid_core.frame import Frame
from astrid_core.preprocessing.calibrate import MasterCalibration, build_calibration
from benchmarks.differencing_eso import eso
from benchmarks.differencing_sky import Sky, faintest, n_peaks, pixel_sigma
from benchmarks.differencing_table import (
    Figure,
    at_least,
    at_most,
    print_table,
    reported,
    within,
)

CONFIG = DifferenceConfig()
_KB = ("0001", "0037", "0042", "0054", "0100", "0180")
_KB_SHORT = (("0054", "0001"), ("0001", "0054"), ("0100", "0180"))
_HOSTILE = (
    ("crosssurvey", "DES_r.fits", "PS1_r.fits"),
    ("crosssurvey", "SDSS_r.fits", "PS1_r.fits"),
    (
        "decam-saturated",
        "c4d_181214_050844_ooi_g_ls9.S9.fits",
        "c4d_181104_072440_ooi_g_ls9.S4.fits",
    ),
    ("m13-orion", "M13_blue_0002.fits", "M13_blue_0001.fits"),
)
"""Science and reference of sets that cannot be differenced."""


def real_sky(folder: Path, is_short: bool) -> list[Figure]:
    """Figures of all sets, printed as they come."""
    sky = Sky.of(folder)
    truth = json.loads((folder / "truth.json").read_text())
    figures: list[Figure] = []
    parts: dict[str, Callable[[], list[Figure]]] = {
        "KB13475, crowded bulge": lambda: crowded(sky, truth, is_short),
        "JWST NIRCam mosaics": lambda: jwst(sky, truth),
        "ESO 085-030, nothing changes": lambda: eso(sky, 1 if is_short else 4),
        "GOTO, DECam, Lowell": lambda: goto(sky) + decam(sky, truth) + lowell(sky, truth),
        "sets that must fail": lambda: hostile(sky),
    }
    for title, part in parts.items():
        rows = part()
        print_table(f"real sky: {title}", rows)
        figures += [replace(row, name=f"{title}: {row.name}") for row in rows]
    return figures


def candidates(difference: DifferenceImage, science: Frame) -> tuple[Source, ...]:
    """Candidates with the default configuration."""
    return extract_candidates(difference, science, ExtractionConfig()).candidates


# --- crowded ------------------------------------------------------------------------------


def crowded(sky: Sky, truth: dict[str, Any], is_short: bool) -> list[Figure]:
    """Every frame against every other, no WCS, seeing 3.7 to 8.5 px; best others judged."""
    frames = {name: sky.frame("kb13475", f"AKB13475I{name}.fits") for name in _KB}
    pairs = _KB_SHORT if is_short else tuple(permutations(_KB, 2))
    rows: list[Figure] = []
    faint: dict[tuple[str, str], float] = {}
    sigmas: dict[tuple[str, str], float] = {}
    for science, reference in pairs:
        event = truth["kb13475-saao1m"]["frames"][f"AKB13475I{science}"]
        try:
            difference = subtract_frames(frames[science], frames[reference], CONFIG)
        except AstridError as error:
            rows.append(reported(f"{science} - {reference}", f"{type(error).__name__}: {error}"))
            continue
        where = faintest(difference)
        faint[science, reference] = robust_sigma(difference.scorr[where])
        sigmas[science, reference] = pixel_sigma(difference, where)
        found = candidates(difference, frames[science])
        at = [(s.x_pix, s.y_pix) for s in found]
        rank = [k for k, (x, y) in enumerate(at) if np.hypot(x - event["x"], y - event["y"]) < 1.5]
        got = (
            f"D {sigmas[science, reference]:.2f}, S_corr {faint[science, reference]:.2f}"
            f" (all {difference.quality.scorr_sigma:.2f}), peaks"
            f" {n_peaks(difference, (event['x'], event['y']))}, candidates {len(found)},"
            f" event {f'no. {rank[0] + 1}' if rank else 'not seen'},"
            f" {'degraded' if difference.degraded_because else 'completed'}"
        )
        rows.append(reported(f"{science} - {reference}", got))
    return rows + _judged(faint, sigmas)


def _judged(
    faint: dict[tuple[str, str], float], sigmas: dict[tuple[str, str], float]
) -> list[Figure]:
    """Each science frame's best other, and the three best of these."""
    best = {
        science: min((pair for pair in faint if pair[0] == science), key=faint.__getitem__)
        for science in sorted({pair[0] for pair in faint})
    }
    rows = [
        within(
            f"sigma of D per pixel over predicted, faintest 30 %, {'-'.join(pair)}",
            sigmas[pair],
            0.9,
            1.1,
        )
        for pair in best.values()
    ]
    three = sorted(best.values(), key=faint.__getitem__)[:3]
    rows += [
        at_most(f"MAD sigma of S_corr, faintest 30 %, {'-'.join(pair)}", faint[pair], 1.5)
        for pair in three
    ]
    return rows


# --- space --------------------------------------------------------------------------------


def jwst(sky: Sky, truth: dict[str, Any]) -> list[Figure]:
    """Drizzled mosaics: noise from blank sky, and two unconfirmed spots."""
    first, second = (
        sky.frame("jwst-a2744", name) for name in sky.names("jwst-a2744", "*stamp.fits")
    )
    difference = subtract_frames(second, first, DifferenceConfig(noise_model="autocovariance"))
    white = subtract_frames(second, first, CONFIG)
    found = candidates(difference, second)
    rows = [
        within("sigma(S_corr), noise from blank sky", difference.quality.scorr_sigma, 0.9, 1.1),
        reported("sigma(S_corr), noise taken for white", f"{white.quality.scorr_sigma:.2f}"),
        reported("peaks outside masks, candidates", f"{n_peaks(difference)}, {len(found)}"),
    ]
    for spot in truth["jwst-nircam-a2744"]["spots"]:
        x, y = spot["x"], spot["y"]
        box = np.s_[y - 3 : y + 4, x - 3 : x + 4]
        near = [s for s in found if np.hypot(s.x_pix - x, s.y_pix - y) < 4]
        masked = bool((difference.mask[box] != 0).any())
        got = f"highest S_corr {difference.scorr[box].max():.1f}, masked {masked}, "
        got += f"{len(near)} candidates" + "".join(f" (S/N {s.snr:.1f})" for s in near)
        rows.append(reported(f"spot of {spot['sigma']} sigma at ({x}, {y})", got))
    return rows


# --- open fields --------------------------------------------------------------------------


def goto(sky: Sky) -> list[Figure]:
    """A galaxy of 100 px stays in the image; two pairs leave noise."""
    raw = sky.raw("goto-virgo", "1.fits")
    science, reference = (sky.frame("goto-virgo", name) for name in ("1.fits", "2.fits"))
    y, x = np.indices(science.shape)
    radius = np.hypot(x - 390, y - 370)
    level = float(np.median(raw.data[(radius > 150) & (radius < 200)]))
    there = radius < 60
    units = 1.0 if science.meta.unit == raw.meta.unit else float(raw.gain_e_adu or np.nan)
    kept = float(science.data[there].sum() / (raw.data - level)[there].sum() / units)
    rows = [at_least("GOTO galaxy: flux left by the background", kept, 0.95, ".3f")]
    for survey, names in (("goto-virgo", ("1.fits", "2.fits")), ("goto-zip", ("3.fits", "4.fits"))):
        science, reference = (sky.frame(survey, name) for name in names)
        difference = subtract_frames(science, reference, CONFIG)
        rows.append(within(f"{survey}: sigma(S_corr)", difference.quality.scorr_sigma, 0.8, 1.25))
        rows.append(
            reported(
                f"{survey}: peaks outside masks, candidates",
                f"{n_peaks(difference)}, {len(candidates(difference, science))}",
            )
        )
    return rows


def decam(sky: Sky, truth: dict[str, Any]) -> list[Figure]:
    """A star 12 % brighter in 2018 than in 2016, by a handful of comparison stars."""
    where = truth["decam-variable-mini"]
    rows = []
    for science_name, reference_name in (("OBS04a", "OBS18a"), ("OBS04b", "OBS18b")):
        science, reference = (
            sky.frame("decam-variable", f"DEC-{name}.mini.fits")
            for name in (science_name, reference_name)
        )
        difference = subtract_frames(science, reference, CONFIG)
        found = candidates(difference, science)
        near = [s for s in found if np.hypot(s.x_pix - where["x"], s.y_pix - where["y"]) < 1.5]
        name = f"DECam variable {science_name} - {reference_name}"
        rows.append(at_least(f"{name}: found", float(len(near)), 1, ".0f"))
        rows.append(within(f"{name}: sigma(S_corr)", difference.quality.scorr_sigma, 0.8, 1.25))
        if near:
            star = difference.reference[where["y"] - 6 : where["y"] + 7]
            total = float(star[:, where["x"] - 6 : where["x"] + 7].sum())
            got = f"{near[0].flux / total:+.3f} of the reference's flux, S/N {near[0].snr:.0f}"
            rows.append(reported(f"{name}: change", f"{got}, {len(found)} candidates"))
    return rows


def lowell(sky: Sky, truth: dict[str, Any]) -> list[Figure]:
    """An asteroid appears at its new place and disappears from its old one."""
    where = truth["lowell42-asteroid5945/crop"]["frames"]
    names = [f"20190326.{n}.fits" for n in ("0001", "0005", "0010", "0110", "0112", "0115")]
    masters = build_calibration([sky.raw("lowell-early", name) for name in names])
    frames = {name: _lowell(sky, name, masters) for name in ("0126", "0151", "0180")}
    rows = []
    for science, reference in (("0126", "0180"), ("0180", "0126"), ("0151", "0126")):
        difference = subtract_frames(frames[science], frames[reference], CONFIG)
        found = candidates(difference, frames[science])
        signs = ((science, False), (reference, True))
        n_seen = 0
        for name, is_negative in signs:
            at = where[name]
            n_seen += any(
                s.is_negative == is_negative and np.hypot(s.x_pix - at["x"], s.y_pix - at["y"]) < 4
                for s in found
            )
        label = f"Lowell asteroid {science} - {reference}: both ends found"
        rows.append(at_least(label, float(n_seen), 2, ".0f"))
        rows.append(
            reported(
                f"Lowell {science} - {reference}: sigma(S_corr), candidates",
                f"{difference.quality.scorr_sigma:.2f}, {len(found)}",
            )
        )
    return rows


def _lowell(sky: Sky, number: str, masters: MasterCalibration) -> Frame:
    return sky.frame("lowell-early", f"20190326.{number}.fits", masters)


# --- failures -----------------------------------------------------------------------------


def hostile(sky: Sky) -> list[Figure]:
    """What cannot be differenced ends in a typed error with a remedy, never in an image."""
    rows = []
    for survey, science, reference in _HOSTILE:
        try:
            done = subtract_frames(sky.frame(survey, science), sky.frame(survey, reference), CONFIG)
            outcome = f"a difference image, degraded: {done.degraded_because}"
            has_failed = False
        except AstridError as error:
            outcome, has_failed = f"{type(error).__name__}: {error.message}", bool(error.remedy)
        label = f"{survey}: {science.split('.')[0]} - {reference.split('.')[0]}"
        rows.append(Figure(label, "a typed error", outcome[:100], has_failed))
    return rows
