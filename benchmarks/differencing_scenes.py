"""The simulated pairs that differencing is measured on, and the two ways they are subtracted.

*True*: the PSFs, the alignment and the flux ratio are those that were simulated. *Measured*:
only the pixels, their noise and the header's WCS are given; background, catalogues, PSFs,
alignment and ratio are measured, as the pipeline does it.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.differencing.aligned import AlignedPair
from astrid_core.differencing.assemble import AlignmentQuality, assemble_difference
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.differencing.warp import warp_frame
from astrid_core.flags import UNUSABLE
from astrid_core.frame import Frame
from astrid_core.preprocessing.background import estimate_background
from astrid_core.preprocessing.catalogue import find_stars
from astrid_core.preprocessing.config import BackgroundConfig, CatalogueConfig, PsfConfig
from astrid_core.preprocessing.psf import measure_psf
from astrid_core.psf import Psf, exponents
from astrid_core.simulation.geometry import Similarity
from astrid_core.simulation.pair import PairConfig, SimulatedPair

F64 = NDArray[np.float64]

CONFIG = DifferenceConfig()
_PER_512 = {"n_stars": 300, "n_transients": 90}
"""On 512 × 512 px; as many changes as fit 34 px apart."""

WARPED: dict[str, Any] = {"shift_pix": (11.3, -7.6), "rotation_deg": 0.3, "flux_ratio": 1.25}

SCENES: dict[str, dict[str, Any]] = {
    "ideal": {},
    "warped": WARPED,
    "jitter .05 px": WARPED | {"jitter_pix": 0.05},
    "varying PSF": WARPED | {"psf_variation": 0.08},
    "crowded": WARPED | {"n_stars": 3000},
    "galaxies": WARPED | {"n_galaxies": 120, "host_fraction": 0.5},
    "gradient": WARPED | {"gradient_e": 120.0},
    "defects": WARPED
    | {"saturation_e": 1.5e4, "n_cosmic_rays": 15, "n_bad_columns": 1, "with_wcs": False},
}
"""Every scene but ``ideal`` is shifted, rotated and scaled in flux."""

SHORT_SCENES = ("ideal", "warped", "varying PSF", "galaxies")


def scene(name: str, side: int, seed: int) -> PairConfig:
    """Configuration of a scene on ``side`` × ``side`` px."""
    options = _PER_512 | SCENES[name]
    area = (side / 512) ** 2
    for count in ("n_stars", "n_transients", "n_galaxies", "n_cosmic_rays"):
        options[count] = round(options.get(count, 0) * area)
    return PairConfig(seed=seed, shape=(side, side), **options)


# --- with truth ---------------------------------------------------------------------------


@dataclass(frozen=True)
class TrueMap:
    """The simulated alignment as a warp wants it."""

    similarity: Similarity

    def to_reference(self, x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
        """Science pixels → reference pixels."""
        return self.similarity.apply(x_pix, y_pix)

    def to_science(self, x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
        """Reference pixels → science pixels."""
        return self.similarity.inverse().apply(x_pix, y_pix)


def true_pair(pair: SimulatedPair, config: PairConfig) -> AlignedPair:
    """Science and the reference on its grid and flux scale, by the simulated truth.

    The warped reference's PSF is the reference's own, carried to the science grid: the warp
    leaves it as it is to .001 of its peak (at FWHM 2.8 px).
    """
    reference, correlation = pair.reference, None
    if pair.to_reference != Similarity.about_centre(config.shape, (0.0, 0.0), 0.0):
        warped = warp_frame(pair.reference, TrueMap(pair.to_reference), config.shape)
        psf = carried_psf(pair.reference.psf, pair.to_reference, config.shape)
        reference = warped.as_frame(pair.reference, psf, pair.science.wcs)
        correlation = warped.kernel_autocovariance
    ratio = np.float32(config.flux_ratio)
    scaled = replace(
        reference,
        data=reference.data * ratio,
        variance=reference.variance * ratio**2,
        meta=replace(reference.meta, source_gain=reference.meta.source_gain / config.flux_ratio),
    )
    return AlignedPair(
        pair.science,
        scaled,
        correlation_r=correlation,
        shift_sigma_pix=(config.jitter_pix, config.jitter_pix),
    )


def carried_psf(psf: Psf, similarity: Similarity, shape: tuple[int, int]) -> Psf:
    """A reference's PSF where science pixels see it; its small rotation is neglected."""
    if psf.order == 0:
        return replace(psf, shape=shape)
    ny, nx = shape
    x, y = (
        axis.ravel() for axis in np.meshgrid(np.linspace(0, nx - 1, 7), np.linspace(0, ny - 1, 7))
    )
    stamps = np.stack([psf.at(*at) for at in zip(*similarity.apply(x, y), strict=True)])
    u, v = 2 * x / (nx - 1) - 1, 2 * y / (ny - 1) - 1
    design = np.stack([u**i * v**j for i, j in exponents(psf.order)], axis=1)
    terms = np.linalg.lstsq(design, stamps.reshape(len(x), -1), rcond=None)[0]
    return replace(psf, terms=terms.reshape(psf.terms.shape).astype(np.float32), shape=shape)


def subtract_with_truth(pair: SimulatedPair, config: PairConfig) -> DifferenceImage:
    """ZOGY with everything known."""
    alignment = AlignmentQuality(
        flux_ratio=config.flux_ratio, n_matched=len(pair.science.stars), registration_rms_pix=0.0
    )
    return assemble_difference(true_pair(pair, config), alignment, CONFIG)


# --- as measured --------------------------------------------------------------------------


def measured(frame: Frame) -> Frame:
    """The frame less its measured background, with the catalogue and PSF of its own pixels."""
    bad = (frame.mask & int(UNUSABLE)) != 0
    background, _ = estimate_background(frame.data, bad, BackgroundConfig())
    frame = replace(frame, data=frame.data - background)
    planes = frame.data, frame.variance, frame.mask
    stars = find_stars(*planes, CatalogueConfig(), frame.meta.source_gain)
    psf = measure_psf(*planes, stars, PsfConfig(), frame.meta.source_gain)
    return replace(frame, stars=stars, psf=psf)


def subtract_as_measured(pair: SimulatedPair) -> tuple[Frame, DifferenceImage]:
    """The measured science frame, and what the pipeline makes of the pair."""
    science = measured(pair.science)
    return science, subtract_frames(science, measured(pair.reference), CONFIG)
