"""Mask bits of pixels, flags of candidates and measurements: one meaning each, everywhere."""

from enum import IntFlag


class PixelFlag(IntFlag):
    """Bits of a frame's mask plane (stored as ``uint16``)."""

    BAD = 1
    """Known or found detector defect: dead, hot, bad column."""
    SATURATED = 2
    """At or above saturation, grown over bleeding."""
    COSMIC = 4
    """Cosmic-ray hit."""
    EDGE = 8
    """Too close to the edge of the data for its kernel to be complete."""
    NODATA = 16
    """NaN, infinite, zero-padded or outside the warped reference."""
    TRAIL = 32
    """Satellite or aeroplane trail."""
    CHANGING = 64
    """In a reference: something is known to change here. Its light was clipped from a member,
    or an object seen changing on a member lies here. The pixel itself is usable."""


UNUSABLE = (
    PixelFlag.BAD | PixelFlag.SATURATED | PixelFlag.COSMIC | PixelFlag.NODATA | PixelFlag.TRAIL
)
"""Bits that forbid a pixel in measurements; EDGE pixels are merely incomplete."""

NOT_SEARCHED = UNUSABLE | PixelFlag.EDGE
"""Where S_corr says nothing: neither candidates nor components peak there."""


class CandidateFlag(IntFlag):
    """Flags of a candidate: what a reviewer or the U-Net should know about it."""

    DIPOLE = 1
    """Opposite signs of similar strength side by side: a registration residual."""
    NEAR_MASKED = 2
    """Masked pixels within the source's footprint."""
    NEAR_SATURATED = 4
    """On the wing of a saturated star."""
    NEAR_EDGE = 8
    """Closer to the edge of the common area than one cutout half-width."""
    ELONGATED = 16
    """Much more elongated than the PSF."""
    SHARP = 32
    """Sharper than the PSF: a cosmic-ray leftover or hot pixel."""
    TRAIL = 64
    """Part of a streak; a streak is one candidate."""
    ON_SOURCE = 128
    """On a source of the reference (host galaxy or variable star)."""
    DEGRADED_FRAME = 256
    """Its difference image is out of its quality range."""
    MULTI_PEAK = 512
    """A blend: several peaks under one detection threshold."""
    TEMPLATE_CONTAMINATED = 1024
    """Within a FWHM of where the reference is known to change: it may hold some of the light."""


class ForcedFlag(IntFlag):
    """Flags of a forced measurement: what its flux should not be trusted for, and why."""

    MASKED = 1
    """Too much of the PSF lies on unusable pixels: there is no flux."""
    NEAR_MASKED = 2
    """Some of the PSF lies on unusable pixels."""
    EDGE = 4
    """In the band where the subtraction's kernels are incomplete."""
    REFERENCE_MASKED = 8
    """The reference is unusable or ends there: there is no reference flux."""
    DEGRADED_FRAME = 16
    """Its difference image is out of its quality range."""
    TEMPLATE_CONTAMINATED = 32
    """Within a FWHM of where the reference is known to change: fluxes share an offset."""


def flag_names(flags: int, kind: type[CandidateFlag | ForcedFlag] = CandidateFlag) -> list[str]:
    """Lower-case names of the flags of a kind set in ``flags``, in bit order."""
    return [flag.name.lower() for flag in kind if flags & flag and flag.name]
