"""Ranking: which processed frames are fit for a reference, best first, and why others are not.

What belongs here: what the rows of frames say of them. What does not: their pixels
(``references``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from astrid_core.differencing.registration_config import ReferenceConfig


@dataclass(frozen=True)
class MemberQuality:
    """Measured quality of a processed frame, as ``preprocess_runs`` holds it.

    Attributes
    ----------
    id
        Of the preprocess run.
    depth_flux
        Flux of a 5σ point source, frame units.
    is_degraded
        Whether the frame missed a quality limit.
    """

    id: UUID
    fwhm_pix: float | None
    depth_flux: float | None
    ellipticity: float | None
    masked_fraction: float | None
    is_degraded: bool = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "MemberQuality":
        """From a ``preprocess_runs`` row."""
        return cls(
            id=row["run_id"],
            fwhm_pix=row["fwhm_pix"],
            depth_flux=row["depth_flux"],
            ellipticity=row["ellipticity"],
            masked_fraction=row["masked_fraction"],
            is_degraded=row["status"] == "degraded",
        )


@dataclass(frozen=True)
class RankedMember:
    """A frame's place in the ranking.

    Attributes
    ----------
    rank
        0 is the best. Rejected frames rank behind all accepted ones.
    merit
        Inverse square of the depth: how much a point source gains from it; 0 where unknown.
    rejected_because
        Reason, or None.
    """

    id: UUID
    rank: int
    merit: float
    rejected_because: str | None


def rank_members(qualities: Sequence[MemberQuality], config: ReferenceConfig) -> list[RankedMember]:
    """Rank frames by what they add to a point source, and reject the unfit with a reason.

    Parameters
    ----------
    qualities
        In any order; the result does not depend on it.

    Returns
    -------
    All frames, accepted ones first, best first.

    Notes
    -----
    The depth of a frame (5σ flux) holds its noise, exposure and seeing at once; limits on
    FWHM and depth are relative to the median of the frames that have measured ones.
    """
    fwhm = _median([quality.fwhm_pix for quality in qualities])
    depth = _median([quality.depth_flux for quality in qualities])
    judged = [
        (_rejection(quality, fwhm, depth, config), _merit(quality), quality)
        for quality in qualities
    ]
    judged.sort(key=lambda item: (item[0] is not None, -item[1], str(item[2].id)))
    limit = 1 if config.method == "single" else config.max_members
    ranked = []
    for rank, (reason, merit, quality) in enumerate(judged):
        if reason is None and rank >= limit:
            reason = f"rank {rank + 1}: only the best {limit} are used"
        ranked.append(RankedMember(quality.id, rank, merit, reason))
    return ranked


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.median(known)) if known else None


def _merit(quality: MemberQuality) -> float:
    if not quality.depth_flux or not np.isfinite(quality.depth_flux):
        return 0.0
    return float(quality.depth_flux**-2)


def _rejection(
    quality: MemberQuality, fwhm: float | None, depth: float | None, config: ReferenceConfig
) -> str | None:
    """Why a frame is unfit for a reference; None if it is fit."""
    if quality.fwhm_pix is None or quality.depth_flux is None or fwhm is None or depth is None:
        return "its PSF or depth could not be measured"
    if quality.is_degraded:
        return "degraded"
    if quality.fwhm_pix > config.max_fwhm_ratio * fwhm:
        return f"FWHM {quality.fwhm_pix:.1f} px, median {fwhm:.1f} px"
    if quality.depth_flux > config.max_depth_ratio * depth:
        return f"depth {quality.depth_flux:.3g}, median {depth:.3g}"
    if quality.ellipticity is not None and quality.ellipticity > config.max_ellipticity:
        return f"ellipticity {quality.ellipticity:.2f}, limit {config.max_ellipticity:.2f}"
    masked = quality.masked_fraction
    if masked is not None and masked > config.max_masked_fraction:
        return f"{masked:.0%} masked, limit {config.max_masked_fraction:.0%}"
    return None
