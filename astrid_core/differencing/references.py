"""References: which processed frames make one, and how they are combined.

A reference is built on purpose from the best frames of the nights a survey names. The
best frame gives the grid and the flux scale; the others are registered on it, warped,
scaled and averaged, so that what only one of them shows does not survive.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from astrid_core.differencing.coadd import Coadd, Member, StoredPlanes, combine
from astrid_core.differencing.photometric import match_photometry
from astrid_core.differencing.registration import register
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.differencing.warp import WarpedReference, warp_frame
from astrid_core.errors import NoReferenceError, RegistrationError, TooFewStarsError
from astrid_core.flags import UNUSABLE
from astrid_core.frame import Frame, FrameMeta
from astrid_core.preprocessing.catalogue import find_stars
from astrid_core.preprocessing.psf import measure_psf
from astrid_core.psf import Psf

__all__ = [
    "REFERENCE_VERSION",
    "MemberQuality",
    "RankedMember",
    "Reference",
    "ReferenceMember",
    "build_reference",
    "rank_members",
]

REFERENCE_VERSION = "3"
"""Code version of this stage: part of every reference run's id."""

FrameSource = Frame | Callable[[], Frame]
"""A frame, or what loads it: members are loaded one at a time and let go."""

_SHIFT_PIX = 0.02
"""A residual shift above this is taken out by warping again."""


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


@dataclass(frozen=True)
class ReferenceMember:
    """What became of a frame given to :func:`build_reference`.

    Attributes
    ----------
    index
        Its position among the frames given.
    rank
        The same: frames are given best first.
    weight
        Share of the coadd's total weight, 0 when rejected.
    rejected_because
        Reason, or None.
    n_matched, registration_rms_pix, flux_ratio
        How it was aligned; None for the frame that gives the grid and for rejected ones.
    """

    index: int
    rank: int
    weight: float
    rejected_because: str | None = None
    n_matched: int | None = None
    registration_rms_pix: float | None = None
    flux_ratio: float | None = None


@dataclass(frozen=True)
class Reference:
    """A reference frame and its members.

    Attributes
    ----------
    frame
        On the best member's grid and flux scale, PSF and catalogue measured on it.
    depth_flux
        Flux of a 5σ point source on sky, frame units.
    """

    frame: Frame
    members: tuple[ReferenceMember, ...]
    depth_flux: float


# --- ranking ------------------------------------------------------------------------------


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


# --- building -----------------------------------------------------------------------------


def build_reference(frames: Sequence[FrameSource], config: ReferenceConfig) -> Reference:
    """Combine frames of one field and filter into a reference.

    Parameters
    ----------
    frames
        Best first. Loaders are called one at a time, and each frame is let go once its
        warped planes are on disk: memory holds the best frame, one member and one band of
        rows, however many members there are.

    Raises
    ------
    NoReferenceError
        If no frame is given.
    """
    if not frames:
        raise NoReferenceError(
            "No frame qualifies for a reference",
            remedy="Name more reference nights, or relax the limits of the reference set.",
            n_frames=0,
        )
    best = _load(frames[0])
    if config.method == "single" or len(frames) == 1:
        others = [
            ReferenceMember(index, index, 0.0, "a single frame was asked for")
            for index in range(1, len(frames))
        ]
        members = (ReferenceMember(0, 0, 1.0), *others)
        return Reference(best, members, point_source_depth(best))
    with tempfile.TemporaryDirectory(prefix="astrid-coadd-") as folder:
        return _coadd(best, frames, config, Path(folder))


def point_source_depth(frame: Frame) -> float:
    """Flux of a 5σ point source on sky: 5 √(V / Σ P²), V the median variance."""
    good = (frame.mask & np.uint16(UNUSABLE)) == 0
    variance = frame.variance[good] if good.any() else frame.variance
    stamp = frame.psf.centre().astype(np.float64)
    return float(5.0 * np.sqrt(np.median(variance) / (stamp**2).sum()))


@dataclass(frozen=True)
class _Aligned:
    """A member on the best frame's grid, planes on disk, with what the coadd needs of it."""

    member: Member
    record: ReferenceMember
    meta: FrameMeta


def _coadd(
    best: Frame, frames: Sequence[FrameSource], config: ReferenceConfig, folder: Path
) -> Reference:
    """Align all members on the best frame and combine those that fit."""
    aligned = [_store(best, ReferenceMember(0, 0, 0.0), folder, config)]
    rejected: list[ReferenceMember] = []
    for index, source in enumerate(frames[1:], start=1):
        outcome = _align(best, _load(source), index, folder, config)
        if isinstance(outcome, _Aligned):
            aligned.append(outcome)
        else:
            rejected.append(outcome)
    used = [item.member for item in aligned]
    coadd = combine(used, best.shape, config.clip_sigma, config.min_coverage)
    shares = np.array([member.weight for member in used])
    shares = shares / shares.sum()
    frame = _measured(best, coadd, _coadd_meta(aligned, shares), config)
    records = [
        replace(item.record, weight=float(share))
        for item, share in zip(aligned, shares, strict=True)
    ]
    members = sorted([*records, *rejected], key=lambda member: member.index)
    return Reference(frame, tuple(members), point_source_depth(frame))


def _align(
    best: Frame, frame: Frame, index: int, folder: Path, config: ReferenceConfig
) -> _Aligned | ReferenceMember:
    """A member on the best frame's grid and scale, or the record of why it cannot be."""
    try:
        registration = register(best, frame, config.registration)
        warped = warp_frame(frame, registration, best.shape)
        if warped.coverage < config.min_overlap:
            return ReferenceMember(
                index,
                index,
                0.0,
                f"covers {warped.coverage:.0%} of the best frame, "
                f"less than {config.min_overlap:.0%}",
            )
        on_grid = warped.as_frame(frame, _warped_psf(frame, warped, config), best.wcs)
        stars = registration.x_science, registration.y_science
        match = match_photometry(best, on_grid, *stars, config.photometry)
        if match.largest_shift_pix > _SHIFT_PIX:
            registration = registration.corrected(match.shift_at)
            warped = warp_frame(frame, registration, best.shape)
            on_grid = warped.as_frame(frame, on_grid.psf, best.wcs)
            match = match_photometry(best, on_grid, *stars, config.photometry)
    except (RegistrationError, TooFewStarsError) as error:
        return ReferenceMember(index, index, 0.0, str(error))
    record = ReferenceMember(
        index,
        index,
        0.0,
        n_matched=registration.n_matched,
        registration_rms_pix=registration.rms_pix,
        flux_ratio=match.flux_ratio,
    )
    return _store(match.apply(on_grid), record, folder, config)


def _warped_psf(frame: Frame, warped: WarpedReference, config: ReferenceConfig) -> Psf:
    """PSF of a warped member; its own where the common area has too few stars."""
    gain = frame.meta.source_gain
    variance = warped.pixel_variance
    try:
        return measure_psf(warped.data, variance, warped.mask, warped.stars, config.psf, gain)
    except TooFewStarsError:
        own = frame.psf
        return replace(own, terms=own.centre()[None], order=0, is_fallback=True)


def _store(
    frame: Frame, record: ReferenceMember, folder: Path, config: ReferenceConfig
) -> _Aligned:
    """Put an aligned member's planes on disk and weigh it for point sources."""
    usable = (frame.mask & np.uint16(UNUSABLE)) == 0
    variance = float(np.median(frame.variance[usable])) if usable.any() else np.inf
    member = Member(
        planes=StoredPlanes.write(frame, folder, str(record.index)),
        weight=1.0 / (variance * frame.psf.fwhm_pix ** (2 * config.fwhm_weight)),
        fwhm_pix=frame.psf.fwhm_pix,
        gain=frame.meta.source_gain,
    )
    return _Aligned(member, record, frame.meta)


def _coadd_meta(aligned: Sequence[_Aligned], shares: Any) -> FrameMeta:
    """The best frame's meta with the gain, read noise and exposure of the mean.

    The variance of the mean of a source's photons is Σ w² s/g: its gain is 1 / Σ(w²/g).
    """
    gains = np.array([item.member.gain for item in aligned])
    known = bool((gains > 0).all())
    read_noise = np.array([item.meta.read_noise for item in aligned])
    exposures = [item.meta.exposure_s for item in aligned]
    return replace(
        aligned[0].meta,
        source_gain=float(1.0 / (shares**2 / gains).sum()) if known else 0.0,
        read_noise=float(np.sqrt((shares**2 * read_noise**2).sum())),
        exposure_s=None if None in exposures else float(sum(exposures)),  # type: ignore[arg-type]
        assumed=tuple(sorted({name for item in aligned for name in item.meta.assumed})),
    )


def _measured(best: Frame, coadd: Coadd, meta: FrameMeta, config: ReferenceConfig) -> Frame:
    """The coadd as a frame, stars and PSF measured on it."""
    planes = coadd.data, coadd.variance, coadd.mask
    stars = find_stars(*planes, config.catalogue, meta.source_gain)
    return Frame(
        data=coadd.data,
        variance=coadd.variance,
        mask=coadd.mask,
        psf=measure_psf(*planes, stars, config.psf, meta.source_gain),
        meta=meta,
        wcs=best.wcs,
        stars=stars,
        sky=best.sky,
    )


def _load(source: FrameSource) -> Frame:
    return source if isinstance(source, Frame) else source()
