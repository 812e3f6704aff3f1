"""References: how processed frames of one field and filter are combined.

A reference is built on purpose from the best frames of the nights a survey names. The
best frame gives the grid and the flux scale; the others are registered on it, warped,
scaled and averaged, so that what only one of them shows does not survive. Frames that show
different skies under one name are told apart: the sky of most of them is the field's.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    "Reference",
    "ReferenceMember",
    "build_reference",
]

REFERENCE_VERSION = "5"
"""Code version of this stage: part of every reference run's id."""

FrameSource = Frame | Callable[[], Frame]
"""A frame, or what loads it: members are loaded one at a time and let go."""

_SHIFT_PIX = 0.02
"""A residual shift above this is taken out by warping again."""


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

    Notes
    -----
    A header names a field, and may lie. Frames that cannot be aligned on the best one may
    have a sky of their own in common; if more of them do, that is the field's, and the best
    of those gives the grid. Of equally many, the best frame decides. A frame that is left
    alone is the reference as it is: those that were refused leave no trace on it.
    """
    if not frames:
        raise NoReferenceError(
            "No frame qualifies for a reference",
            remedy="Name more reference nights, or relax the limits of the reference set.",
            n_frames=0,
        )
    if config.method == "single" or len(frames) == 1:
        others = [
            ReferenceMember(index, index, 0.0, "a single frame was asked for")
            for index in range(1, len(frames))
        ]
        return _alone(_load(frames[0]), 0, others)
    with tempfile.TemporaryDirectory(prefix="astrid-coadd-") as folder:
        sky = _commonest_sky(frames, config, Path(folder))
        if len(sky.aligned) == 1:
            return _alone(sky.best, sky.aligned[0].record.index, sky.rejected)
        return _coadd(sky, config)


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


@dataclass(frozen=True)
class _Sky:
    """Frames that show one sky, aligned on the best of them.

    Attributes
    ----------
    best
        Gives grid and flux scale; the first of ``aligned``.
    rejected
        The frames that are not among them, with reasons.
    """

    best: Frame
    aligned: tuple[_Aligned, ...]
    rejected: tuple[ReferenceMember, ...]


def _commonest_sky(frames: Sequence[FrameSource], config: ReferenceConfig, folder: Path) -> _Sky:
    """The sky that most frames show, of equally common ones the best frame's.

    All are aligned on the best; on the best of those left over, the others left over, as
    long as they could be more. Frames of one field need one pass.
    """
    found = _aligned_on(frames, range(len(frames)), config, folder)
    left = found.rejected
    while len(left) > len(found.aligned):
        tried = _aligned_on(frames, [member.index for member in left], config, folder)
        left = tried.rejected
        if len(tried.aligned) > len(found.aligned):
            _let_go(found)
            found = tried
        else:
            _let_go(tried)
    used = {item.record.index for item in found.aligned}
    told = {member.index: member for member in found.rejected}
    rejected = tuple(
        told.get(index) or _of_another_sky(index, len(used))
        for index in range(len(frames))
        if index not in used
    )
    return replace(found, rejected=rejected)


def _aligned_on(
    frames: Sequence[FrameSource], indices: Sequence[int], config: ReferenceConfig, folder: Path
) -> _Sky:
    """Some of the frames, best first, on the grid of the first of them."""
    first = indices[0]
    best = _load(frames[first])
    aligned = [_store(best, ReferenceMember(first, first, 0.0), folder, config)]
    rejected = []
    for index in indices[1:]:
        outcome = _align(best, _load(frames[index]), index, folder, config)
        if isinstance(outcome, _Aligned):
            aligned.append(outcome)
        else:
            rejected.append(outcome)
    return _Sky(best, tuple(aligned), tuple(rejected))


def _let_go(sky: _Sky) -> None:
    """Remove the planes of a sky that is not the field's."""
    for item in sky.aligned:
        item.member.planes.remove()


def _of_another_sky(index: int, n_frames: int) -> ReferenceMember:
    reason = f"{n_frames} other frames of this field align with each other, and not with it"
    return ReferenceMember(index, index, 0.0, reason)


def _alone(frame: Frame, index: int, others: Sequence[ReferenceMember]) -> Reference:
    """A frame as the reference that it is."""
    members = sorted([ReferenceMember(index, index, 1.0), *others], key=lambda one: one.index)
    return Reference(frame, tuple(members), point_source_depth(frame))


def _coadd(sky: _Sky, config: ReferenceConfig) -> Reference:
    """Combine the frames of one sky."""
    aligned = sky.aligned
    used = [item.member for item in aligned]
    coadd = combine(used, sky.best.shape, config.clip_sigma, config.min_coverage)
    shares = np.array([member.weight for member in used])
    shares = shares / shares.sum()
    frame = _measured(sky.best, coadd, _coadd_meta(aligned, shares), config)
    records = [
        replace(item.record, weight=float(share))
        for item, share in zip(aligned, shares, strict=True)
    ]
    members = sorted([*records, *sky.rejected], key=lambda member: member.index)
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
