"""The defect map of a detector: pixels that stand out in place while the sky moves under them.

One frame cannot tell a faint warm pixel from noise, or a sharp one from the core of a star.
Several can, if their pointings differ: what stays at one pixel of the detector is of the
detector. Where all pointings are the same a star stays too, and nothing can be told.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.special import gammainccinv

from astrid_core.preprocessing.calibrate import Calibrated
from astrid_core.preprocessing.config import DefectMapConfig
from astrid_core.preprocessing.defects import blank_pixels

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

_CENTRE = 0.6
"""Weight of a pixel against its 8 neighbours (−1) and the 16 around those (the rest).

Between two evils: with 1 stars' cores stand out, with 0.5 their wings do. With 0.6 a star of
FWHM 3.2 px keeps 4 % of its peak, a single pixel 60 % of its own.
"""
_LEAST_CONTRAST = 0.25
"""Of a pixel's height above the outer ring. A star's core has 0.18 at FWHM 2.2 px and less
when it is broader: a target that every field has on the same pixel is no defect. A single
pixel has 0.6, one of a pair 0.48."""
_NOISE_CELL_PIX = 64
_SHARE = 0.01
"""Of a frame's pixels that are listed: what stands out less says nothing."""
_AGREEMENT = 0.75
"""Share of the pointings that can carry a pixel over the limit by themselves, at the least."""


@dataclass(frozen=True, eq=False)
class Standouts:
    """The pixels of one exposure that stand out of their neighbours the most.

    Attributes
    ----------
    shape
        (ny, nx) of the trimmed exposure.
    pixels
        (n,) flat indices, the most outstanding first.
    n_usable
        Pixels they were chosen from; 0 in a blank exposure.
    """

    shape: tuple[int, int]
    pixels: I64
    n_usable: int


@dataclass(frozen=True, eq=False)
class DefectMap:
    """Defective pixels of one detector.

    Attributes
    ----------
    shape
        (ny, nx) of trimmed exposures.
    pixels
        (n,) flat indices, ascending.
    """

    shape: tuple[int, int]
    pixels: I64

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of shape and pixels: equal maps are one input of a run."""
        text = f"{self.shape[0]}x{self.shape[1]}:".encode()
        return hashlib.sha256(text + self.pixels.astype("<i8").tobytes()).hexdigest()

    def plane(self) -> Mask:
        """(ny, nx) bool: True where defective."""
        plane = np.zeros(self.shape, dtype=bool)
        plane.flat[self.pixels] = True
        return plane


def find_standouts(calibrated: Calibrated) -> Standouts:
    """The hundredth of an exposure's pixels that stand out the most.

    A pixel is compared with the 8 around it and the 16 around those, in units of the noise
    of that comparison nearby. The comparison is blind to slopes, so that neither sky, nor
    nebulae, nor dust shadows stand out.
    """
    data = calibrated.raw.data
    ny, nx = data.shape
    unusable = blank_pixels(data) | calibrated.saturated
    if unusable.all():
        return Standouts((ny, nx), np.zeros(0, dtype=np.int64), 0)
    level = np.float32(np.median(data[~unusable]))
    image = np.where(unusable, np.float32(0), data - level)
    unusable = maximum_filter(unusable, 5)
    box3, box5 = uniform_filter(image, 3), uniform_filter(image, 5)
    inner, outer = (9 * box3 - image) / 8, (25 * box5 - 9 * box3) / 16
    excess = _CENTRE * image - inner + (1 - _CENTRE) * outer
    scaled = np.where(unusable, np.nan, excess)
    scaled /= _local_noise(scaled)
    if level > 0:  # the light of sources has photon noise beyond the sky's
        scaled /= np.sqrt(1 + np.maximum(box5, 0) / level)
    height = image - outer
    stands = (scaled > 0) & (height > 0) & (excess > _LEAST_CONTRAST * height)
    n_usable = int(scaled.size - unusable.sum())
    listed = np.flatnonzero(stands)
    strength = -scaled.ravel()[listed]
    most = min(len(listed), int(_SHARE * n_usable))
    if most < len(listed):
        kept = np.argpartition(strength, most)[:most]
        listed, strength = listed[kept], strength[kept]
    order = np.lexsort((listed, strength))
    return Standouts((ny, nx), listed[order].astype(np.int64), n_usable)


def find_defects(standouts: Sequence[Standouts], config: DefectMapConfig) -> I64:
    """Pixels that stand out in most of several exposures at different pointings.

    Parameters
    ----------
    standouts
        One of each pointing, all of one shape.

    Returns
    -------
    (n,) flat indices, ascending.

    Notes
    -----
    Fisher's (1925) method on ranks. If the sky alone decided, the rank of a pixel among all
    of its exposure would be uniform, p, however crowded the field, and Σ −ln p over n
    pointings would follow a gamma distribution of shape n: its tail gives the limit. No
    exposure may add more than its share of the limit, so that a cosmic ray or a star in two
    exposures is no defect. What is found is taken out of the ranks and looked for again:
    many bright defects must not hide fainter ones. Beside a defect another needs less: only
    so few pixels are asked.
    """
    n = len(standouts)
    shape = standouts[0].shape
    limit = float(gammainccinv(n, config.max_false_pixels / (shape[0] * shape[1])))
    most = limit / (_AGREEMENT * n)
    listed = np.concatenate([one.pixels for one in standouts])
    pixels, places = np.unique(listed, return_inverse=True)
    exposures = np.split(places, np.cumsum([len(one.pixels) for one in standouts])[:-1])
    is_defect = np.zeros(len(pixels), dtype=bool)
    while True:
        evidence = np.zeros(len(pixels))
        for place, one in zip(exposures, standouts, strict=True):
            rank = np.maximum(np.cumsum(~is_defect[place]), 1)
            evidence[place] += np.minimum(-np.log(rank / one.n_usable), most)
        found = (evidence >= limit) & ~is_defect
        if is_defect.any():
            chance = config.max_false_pixels / (8 * is_defect.sum())
            is_near = _beside(pixels[is_defect], shape)[pixels]
            found |= is_near & (evidence >= gammainccinv(n, chance)) & ~is_defect
        if not found.any():
            return pixels[is_defect]
        is_defect |= found


def _beside(pixels: I64, shape: tuple[int, int]) -> Mask:
    """(ny · nx,) bool: True at the given pixels and the eight around each."""
    plane = np.zeros(shape, dtype=bool)
    plane.flat[pixels] = True
    return np.asarray(maximum_filter(plane, 3).ravel())


def _local_noise(scaled: F32) -> F32:
    """(ny, nx) 1.48 times the median absolute value in cells of 64 px; NaN is left out."""
    ny, nx = scaled.shape
    rows, columns = -(-ny // _NOISE_CELL_PIX), -(-nx // _NOISE_CELL_PIX)
    noise = np.empty((rows, columns), dtype=np.float32)
    for j, i in np.ndindex(rows, columns):
        cell = scaled[_cut(j), _cut(i)]
        known = np.abs(cell[np.isfinite(cell)])
        noise[j, i] = 1.4826 * np.median(known) if len(known) else np.nan
    # A cell of equal values (integers of a deep zero) has no noise to compare with.
    noise[noise == 0] = np.nan
    whole = noise.repeat(_NOISE_CELL_PIX, axis=0).repeat(_NOISE_CELL_PIX, axis=1)
    return np.asarray(whole[:ny, :nx])


def _cut(index: int) -> slice:
    return slice(index * _NOISE_CELL_PIX, (index + 1) * _NOISE_CELL_PIX)
