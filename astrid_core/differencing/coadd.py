"""Robust weighted mean of aligned members, in bands of rows, from planes on disk.

However many and however large the members are, one band of all of them is in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, maximum_filter, uniform_filter

from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]
Mask = NDArray[np.bool_]

_BAND_PIXELS = 1 << 20
"""Pixels of a band, halo excluded."""
_PSF_TOLERANCE = 0.1
"""Members may differ by this share of a source's peak for reasons besides seeing."""
_EXACT = 1e-3
"""Share of its light by which a source may be off without being called inexact."""
_ANY_SCORE = 1.0
"""Pixels of a rejected spot beyond this many σ go with it."""
_SPREAD = (1.3, 2.6)
"""Light within three FWHM over that within one, of what changed on the sky: a PSF has 1.7.
What another PSF makes of a star's light adds up to nothing, a cosmic ray has 1, a trail 3."""
_LONGEST = 2.0
"""The same along one axis alone, where a PSF has 1.3 and a trail along it 3."""
_WING = 0.05
"""Share of the brightest light within two FWHM below which a difference is another PSF's wing."""


@dataclass(frozen=True)
class Member:
    """An aligned member: planes on disk, and the numbers that weigh it.

    Attributes
    ----------
    weight
        Relative weight in the mean.
    fwhm_pix
        Of its PSF: how far sources may differ from the others.
    gain
        Electrons per unit of its scaled data; 0 where unknown.
    """

    planes: "StoredPlanes"
    weight: float
    fwhm_pix: float
    gain: float


@dataclass(frozen=True)
class StoredPlanes:
    """Data, variance and mask of one member as memory-mapped files."""

    data: Path
    variance: Path
    mask: Path

    @classmethod
    def write(cls, frame: Frame, folder: Path, name: str) -> "StoredPlanes":
        """Store a frame's planes in a folder."""
        planes = cls(*(folder / f"{name}-{plane}.npy" for plane in ("data", "variance", "mask")))
        np.save(planes.data, frame.data, allow_pickle=False)
        np.save(planes.variance, frame.variance, allow_pickle=False)
        np.save(planes.mask, frame.mask, allow_pickle=False)
        return planes

    def remove(self) -> None:
        """Give the disk back."""
        for path in (self.data, self.variance, self.mask):
            path.unlink()

    def rows(self, start: int, stop: int) -> tuple[F32, F32, U16]:
        """A band of all three planes, copied into memory."""
        data, variance, mask = (
            np.array(np.load(path, mmap_mode="r", allow_pickle=False)[start:stop])
            for path in (self.data, self.variance, self.mask)
        )
        return data, variance, mask


@dataclass(frozen=True)
class Coadd:
    """The combined planes: data and variance float32, mask uint16, all (ny, nx).

    Attributes
    ----------
    rejected_fraction
        (n_members,) share of each member's usable pixels that was left out as outlying.
    """

    data: F32
    variance: F32
    mask: U16
    rejected_fraction: tuple[float, ...]


def combine(
    members: Sequence[Member], shape: tuple[int, int], clip_sigma: float, min_coverage: float
) -> Coadd:
    """Weighted mean of the members' usable pixels, outliers left out.

    Parameters
    ----------
    clip_sigma
        A pixel, or a spot of the size of the PSF, this many σ from the others is left out.
    min_coverage
        Share of the total weight below which a pixel is ``EDGE``.

    Notes
    -----
    The comparison is with the median of the members at each pixel, of an even number with
    the fainter of the middle two: cosmic rays and trails only add light. σ holds the sky
    noise, the photons of the median and, on sources, what the members' different seeing
    makes of their peaks.
    Where a clipped spot has the extent of the PSF, something changed in that member: the
    mask is ``CHANGING`` there, and where any member's mask is. The mean may hold what was too
    faint to clip.
    Pixels usable in no member keep the mean of all and the union of their bits. Where
    members of other seeing are missing on a source, say under a bad column, or in the
    core that saturates in the sharpest member alone, the mean has not the coadd's PSF: by how
    much the light is off enters the variance.
    """
    ny, nx = shape
    fwhm = float(np.median([member.fwhm_pix for member in members]))
    halo = int(np.ceil(3 * fwhm)) + 2
    step = max(64, _BAND_PIXELS // nx)
    data, variance = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    mask = np.empty(shape, dtype=np.uint16)
    rejected = np.zeros(len(members))
    usable = np.zeros(len(members))
    for start in range(0, ny, step):
        stop = min(start + step, ny)
        low, high = max(start - halo, 0), min(stop + halo, ny)
        band = _read(members, low, high)
        outlying, changing = _outliers(band, members, fwhm, clip_sigma)
        keep = band.valid & ~outlying
        core = slice(start - low, stop - low)
        rejected += (band.valid & ~keep)[:, core].sum(axis=(1, 2))
        usable += band.valid[:, core].sum(axis=(1, 2))
        means, variances, flags = _mean(band, keep, members, min_coverage)
        variances += _inexact_variance(means, keep, members, fwhm)
        data[start:stop], variance[start:stop] = means[core], variances[core]
        flags[changing] |= np.uint16(PixelFlag.CHANGING)
        mask[start:stop] = flags[core]
    share = rejected / np.maximum(usable, 1)
    return Coadd(data, variance, mask, tuple(float(value) for value in share))


@dataclass(frozen=True)
class _Band:
    """(n_members, rows, nx) planes of all members over some rows."""

    data: F32
    variance: F32
    mask: U16
    valid: Mask


def _read(members: Sequence[Member], low: int, high: int) -> _Band:
    planes = [member.planes.rows(low, high) for member in members]
    data = np.stack([plane[0] for plane in planes])
    variance = np.stack([plane[1] for plane in planes])
    mask = np.stack([plane[2] for plane in planes])
    finite = np.isfinite(data) & np.isfinite(variance) & (variance > 0)
    mask[~finite] |= np.uint16(PixelFlag.NODATA)
    data[~finite], variance[~finite] = 0.0, 0.0
    # Where a member's kernel ran off its data, others know better.
    valid = (mask & np.uint16(UNUSABLE | PixelFlag.EDGE)) == 0
    return _Band(data, variance, mask, valid)


def _outliers(
    band: _Band, members: Sequence[Member], fwhm_pix: float, clip_sigma: float
) -> tuple[Mask, Mask]:
    """Pixels and PSF-sized spots that one member has and the others have not.

    Returns
    -------
    outlying : (n_members, rows, nx) bool
        What to leave out of each member.
    changing : (rows, nx) bool
        Spots of one member that are sources: neither hits of the detector nor what its
        seeing makes of a star.
    """
    n_valid = band.valid.sum(axis=0)
    changing = np.zeros(n_valid.shape, dtype=bool)
    if len(members) < 2:
        return np.zeros_like(band.valid), changing
    ordered = np.sort(np.where(band.valid, band.data, np.inf), axis=0)
    middle = np.maximum(n_valid - 1, 0) // 2
    typical = np.take_along_axis(ordered, middle[None], axis=0)[0]
    typical[n_valid == 0] = 0.0
    # The median of n has 1.57/n of the variance of one; the fainter of two has about as much.
    own = np.where(band.valid, band.variance, 0).sum(axis=0) / np.maximum(n_valid, 1)
    median_variance = own * np.minimum(1.57 / np.maximum(n_valid, 1), 1.0)
    size = max(3, round(fwhm_pix))
    peak = np.maximum(maximum_filter(typical, size), 0.0)
    brightest = np.maximum(maximum_filter(typical, 4 * size + 1), 0.0)
    median_fwhm = float(np.median([member.fwhm_pix for member in members]))
    outlying = np.zeros_like(band.valid)
    for index, member in enumerate(members):
        photons = np.maximum(typical, 0.0) / member.gain if member.gain > 0 else 0.0
        # A peak goes as FWHM^-2, so seeing changes it by twice the change of the FWHM.
        seeing = _PSF_TOLERANCE + 2 * abs(member.fwhm_pix / median_fwhm - 1)
        light = np.where(band.valid[index], band.data[index] - typical, 0.0)
        excess = np.sign(light) * np.maximum(np.abs(light) - seeing * peak, 0.0)
        sigma = np.sqrt(band.variance[index] + median_variance + photons)
        score = excess / np.maximum(sigma, 1e-30)
        spot = uniform_filter(score, size) * size  # Σ/√N over the PSF's core
        is_spot = np.abs(spot) > clip_sigma + 1
        found = (np.abs(score) > clip_sigma) | is_spot
        changing |= is_spot & _is_source(light, brightest, size) & (n_valid > 1)
        near = binary_dilation(found, iterations=size)
        outlying[index] = found | (near & (np.abs(score) > _ANY_SCORE))
    outlying &= n_valid > 1
    return outlying, maximum_filter(changing, size)


def _is_source(light: F32, brightest: F32, size: int) -> Mask:
    """Peaks of light, of either sign, that is spread over the PSF, no more and no less."""
    core = uniform_filter(light, size)
    ratio = 9 * uniform_filter(light, 3 * size) / np.where(core == 0, np.inf, core)
    is_spread = (ratio > _SPREAD[0]) & (ratio < _SPREAD[1])
    strength = np.abs(core)
    for sides in ((size, 3 * size), (3 * size, size)):
        is_spread &= 3 * np.abs(uniform_filter(light, sides)) < _LONGEST * strength
    is_peak = strength == maximum_filter(strength, size)
    return np.asarray(is_peak & is_spread & (strength > _WING * brightest))


def _mean(
    band: _Band, keep: Mask, members: Sequence[Member], min_coverage: float
) -> tuple[F32, F32, U16]:
    """Weighted mean, its variance, and the mask of where it says little."""
    weights = np.array([member.weight for member in members], dtype=np.float32)
    weight = keep * weights[:, None, None]
    total = weight.sum(axis=0)
    none = total == 0
    # Unusable everywhere: still the best guess of the light, flagged by the union of bits.
    present = (band.mask & np.uint16(PixelFlag.NODATA)) == 0
    weight[:, none] = (present * weights[:, None, None])[:, none]
    # 1e-30 squared is 0 in float32, and the variance of an empty pixel NaN.
    summed = np.maximum(weight.sum(axis=0), 1e-15)
    data = (weight * band.data).sum(axis=0) / summed
    variance = (weight**2 * band.variance).sum(axis=0) / summed**2
    mask = np.zeros(none.shape, dtype=np.uint16)
    union = np.bitwise_or.reduce(band.mask, axis=0)
    missing = none & ~present.any(axis=0)
    mask[none] = union[none] & ~np.uint16(PixelFlag.NODATA)
    mask[missing] = np.uint16(PixelFlag.NODATA)
    variance[variance == 0] = float(np.median(variance[variance > 0])) if variance.any() else 1.0
    mask[~none & (total < min_coverage * weights.sum())] |= np.uint16(PixelFlag.EDGE)
    mask |= union & np.uint16(PixelFlag.CHANGING)
    return data.astype(np.float32), variance.astype(np.float32), mask


def _inexact_variance(light: F32, keep: Mask, members: Sequence[Member], fwhm_pix: float) -> F32:
    """Variance of the light where members are missing whose seeing is not that of the rest.

    A peak goes as FWHM^-2. Where the members kept have another mean of it than all have, the
    light is off by that share, and by the same in all such pixels of a PSF's core: n errors
    in phase weigh as much as n times their variance.
    """
    weights = np.array([member.weight for member in members], dtype=np.float32)
    peaks = np.array([member.fwhm_pix**-2 for member in members], dtype=np.float32)
    kept = np.tensordot(weights, keep.astype(np.float32), axes=1)
    sharpness = np.tensordot(weights * peaks, keep.astype(np.float32), axes=1)
    typical = np.float32(np.average(peaks, weights=weights))
    off = np.where(kept > 0, sharpness / np.maximum(kept, 1e-15) / typical - 1, np.float32(0))
    size = max(3, round(fwhm_pix))
    in_phase = uniform_filter((np.abs(off) > _EXACT).astype(np.float32), size) * size**2
    return np.asarray(in_phase * (off * light) ** 2)
