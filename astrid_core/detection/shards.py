"""Training shards: one difference image's planes with what is true about them.

What belongs here: turning truth into pixel labels, and shards into npz files and back
(never pickled). What does not: where the images come from (``bootstrap_data``) and what
is learned from them (``fit``).
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from astrid_core.detection.discs import disc_radius, discs, match_radius
from astrid_core.errors import AstridError

Split = Literal["train", "validation", "test"]

REAL = 1
IGNORED = 255
"""Label of a pixel whose truth is unknown: neither real nor bogus is learned from it."""

MIN_REAL_SNR = 3.0
"""A change of lower true S/N is neither taught nor asked for."""

IGNORE_SCORR = 3.0
"""Beyond this |S_corr| a pixel away from every source of known truth is left out."""

TRUTH_DTYPE = np.dtype([("x_pix", "f8"), ("y_pix", "f8"), ("snr_true", "f8")])
"""A real change: position and true S/N."""

SHARD_CANDIDATE_DTYPE = np.dtype(
    [
        ("x_pix", "f8"),
        ("y_pix", "f8"),
        ("scorr_peak", "f8"),
        ("label", "u1"),
        ("snr_true", "f8"),
        ("is_default", "?"),
    ]
)
"""A candidate with its truth: 1 real, 0 bogus, 255 unclear. ``snr_true`` is NaN unless real;
``is_default``: the default extraction keeps it too."""


@dataclass(frozen=True)
class Shard:
    """One difference image, ready to learn from.

    Attributes
    ----------
    planes
        (4, ny, nx) float16 from :func:`~astrid_core.detection.planes.preprocess`.
    scorr
        (ny, nx) float16 S_corr, 0 where no component is looked for.
    labels
        (ny, nx) uint8: 1 real, 0 bogus or quiet sky, 255 ignored.
    sources
        (ny, nx) bool, true in the discs of sources of known truth.
    candidates, truth
        Of ``SHARD_CANDIDATE_DTYPE`` and ``TRUTH_DTYPE``.
    fwhm_pix
        Of the PSF of D.
    sky
        The field of the sky, which is in one split only.
    """

    planes: NDArray[np.float16]
    scorr: NDArray[np.float16]
    labels: NDArray[np.uint8]
    sources: NDArray[np.bool_]
    candidates: NDArray[Any]
    truth: NDArray[Any]
    fwhm_pix: float
    sky: str
    split: Split


def match_candidates(
    x_pix: NDArray[np.float64],
    y_pix: NDArray[np.float64],
    scorr_peak: NDArray[np.float64],
    truth: NDArray[Any],
    fwhm_pix: float,
) -> NDArray[Any]:
    """Candidates (n,) of ``SHARD_CANDIDATE_DTYPE`` with the truth of each.

    Real: a change of S/N ≥ 3 within ``match_radius``. Unclear: within 1.5 FWHM of a
    change but not real, which may be its blend, its wing or a change too faint to ask for.
    Bogus: all others.

    Parameters
    ----------
    truth
        All real changes, of ``TRUTH_DTYPE``, the faintest included.
    """
    candidates = np.zeros(len(x_pix), dtype=SHARD_CANDIDATE_DTYPE)
    candidates["x_pix"], candidates["y_pix"] = x_pix, y_pix
    candidates["scorr_peak"] = scorr_peak
    candidates["snr_true"] = np.nan
    if not len(truth) or not len(candidates):
        return candidates
    tree = KDTree(np.stack([truth["x_pix"], truth["y_pix"]], axis=1))
    distance, nearest = tree.query(np.stack([x_pix, y_pix], axis=1))
    snr = truth["snr_true"][nearest]
    candidates["label"][distance <= 1.5 * fwhm_pix] = IGNORED
    real = (distance <= match_radius(fwhm_pix)) & (snr >= MIN_REAL_SNR)
    candidates["label"][real] = REAL
    candidates["snr_true"][real] = snr[real]
    return candidates


def label_pixels(
    scorr: NDArray[np.float32],
    candidates: NDArray[Any],
    truth: NDArray[Any],
    fwhm_pix: float,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Labels and source discs (ny, nx) of a difference image.

    Discs of max(2 px, 1 FWHM) are 1 at real changes of S/N ≥ 3, found as a candidate or not,
    and 0 at bogus candidates; real wins where they overlap. Unclear candidates and fainter
    changes are ignored, as is the rest of what has |S_corr| ≥ 3. All else is quiet sky, 0.
    """
    labels = np.zeros(scorr.shape, dtype=np.uint8)
    labels[np.abs(scorr) >= IGNORE_SCORR] = IGNORED
    radius = disc_radius(fwhm_pix)
    clear = truth["snr_true"] >= MIN_REAL_SNR
    bogus = discs(scorr.shape, candidates[candidates["label"] == 0], radius)
    unclear = discs(scorr.shape, candidates[candidates["label"] == IGNORED], radius)
    unclear |= discs(scorr.shape, truth[~clear], radius)
    real = discs(scorr.shape, truth[clear], radius)
    labels[bogus] = 0
    labels[unclear] = IGNORED
    labels[real] = REAL
    return labels, (bogus & ~unclear) | real


def write_shard(shard: Shard, path: Path) -> None:
    """Write a shard whole or not at all, so that an interrupted run can be resumed."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as partial:
        np.savez_compressed(
            partial,
            planes=shard.planes,
            scorr=shard.scorr,
            labels=shard.labels,
            sources=shard.sources,
            candidates=shard.candidates,
            truth=shard.truth,
            fwhm_pix=np.float64(shard.fwhm_pix),
            sky=np.array(shard.sky),
            split=np.array(shard.split),
        )
    os.replace(partial.name, path)


def read_shard(path: Path) -> Shard:
    """Read a shard; nothing in it is ever unpickled.

    Raises
    ------
    AstridError
        If the file is not a shard.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            split = str(arrays["split"])
            if split not in get_args(Split):
                raise KeyError(split)
            return Shard(
                planes=arrays["planes"],
                scorr=arrays["scorr"],
                labels=arrays["labels"],
                sources=arrays["sources"],
                candidates=arrays["candidates"],
                truth=arrays["truth"],
                fwhm_pix=float(arrays["fwhm_pix"]),
                sky=str(arrays["sky"]),
                split=split,  # type: ignore[arg-type]
            )
    except Exception as error:
        # NumPy, zipfile and zlib raise whatever they do on what they cannot read.
        raise AstridError(
            f"{path} is not a training shard: {error}",
            remedy="Delete it and run the generate step again; it makes what is missing.",
        ) from error


def read_shards(folder: Path, split: Split) -> list[Shard]:
    """Shards of a split in the order of their names.

    Raises
    ------
    AstridError
        If there are none.
    """
    shards = [read_shard(path) for path in sorted(folder.glob(f"{split}-*.npz"))]
    if not shards:
        raise AstridError(
            f"no {split} shards in {folder}",
            remedy="Run python -m astrid_core.detection.bootstrap generate first.",
        )
    return shards
