"""Depth by injection: sources of known S/N are planted, and the pipeline is asked for them.

They are planted into a processed science frame *before* subtraction; the reference, the
subtraction and the extraction are the night's own. What comes back is what a survey really
finds: completeness, and what it finds that was not planted. Injections are never labels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.extraction.sources import Source
from astrid_core.frame import Frame
from astrid_core.monitoring.scorr import searched_mpix, searched_pixels
from astrid_core.monitoring.surroundings import environments, special_positions
from astrid_core.simulation.injection import SPACING_PIX, inject_sources, plan_injections
from astrid_core.simulation.recovery import match_changes

DEPTH_VERSION = "1"
"""Code version of this stage: part of every depth run's id."""

PLANTED_DTYPE = np.dtype(
    [
        ("x_pix", "f8"),
        ("y_pix", "f8"),
        ("flux", "f8"),
        ("snr_true", "f8"),
        ("environment", "U5"),
        ("is_negative", "?"),
        ("is_recovered", "?"),
        ("flux_found", "f8"),
        ("snr_found", "f8"),
    ]
)
"""A planted source: 0-based position, flux in frame units, S/N_true, environment, and what
the candidate it became measured (NaN where there is none). ``is_negative`` is always False:
light can be planted, not taken away."""


class DepthConfig(BaseModel):
    """Configuration of :func:`measure_depth`, and of how much of a night it is done on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames_per_night: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="Difference images measured per night, spread over it; each costs one "
        "subtraction.",
    )
    snr_range: tuple[float, float] = Field(
        default=(3.0, 50.0), description="Range of S/N_true, drawn log-uniform."
    )
    spacing_pix: float = Field(
        default=SPACING_PIX, ge=16, le=1000, description="Least distance between injections."
    )
    special_fraction: float = Field(
        default=0.2,
        ge=0,
        le=0.5,
        description="Share of injections that goes on extended sources, and as many beside "
        "stars, as far as the frame has them.",
    )


@dataclass(frozen=True)
class DepthMeasurement:
    """What became of one frame's injections.

    Attributes
    ----------
    planted
        ``PLANTED_DTYPE`` rows of the injections outside the declared mask.
    n_masked
        Injections that fell on pixels the difference image declares unusable; not counted.
    unmatched
        Candidates that are no injection: false, or a true change of that night.
    searched_mpix
        Area outside the declared mask, 10^6 pixels.
    masked_fraction
        The rest, as a fraction of the frame.
    zero_point_mag
        The frame's; None where it has none.
    degraded_because
        Quality limits the injected difference misses.
    """

    planted: NDArray[Any]
    n_masked: int
    unmatched: tuple[Source, ...]
    searched_mpix: float
    masked_fraction: float
    zero_point_mag: float | None
    degraded_because: tuple[str, ...]


def measure_depth(
    science: Frame,
    reference: Frame,
    flux_ratio: float,
    rng: np.random.Generator,
    config: DepthConfig,
    differencing: DifferenceConfig,
    extraction: ExtractionConfig,
) -> DepthMeasurement:
    """Plant sources in a science frame, subtract, extract, and see which came back.

    Parameters
    ----------
    science, reference
        The processed frame and the reference its night subtracted.
    flux_ratio
        Science units per reference unit of the same source, as the night measured it: with
        the reference's noise it enters S/N_true.
    differencing, extraction
        The night's own configuration of these stages.

    Raises
    ------
    TooFewStarsError, RegistrationError
        As :func:`~astrid_core.differencing.subtract.subtract_frames` does.
    """
    plan = _plan(science, reference, flux_ratio, rng, config)
    injected = inject_sources(science, plan["x_pix"], plan["y_pix"], plan["flux"], rng)
    difference = subtract_frames(injected, reference, differencing)
    found = extract_candidates(difference, injected, extraction).candidates
    off_limits = ~searched_pixels(difference)
    masked = off_limits[np.rint(plan["y_pix"]).astype(int), np.rint(plan["x_pix"]).astype(int)]
    # Candidates are matched to all injections: one at the border of a masked star is still
    # an injection, and no false positive.
    positions = [(source.x_pix, source.y_pix, source.is_negative) for source in found]
    match = match_changes(plan, positions, science.psf.fwhm_pix)
    for source, index in zip(found, match, strict=True):
        if index >= 0:
            plan["is_recovered"][index] = True
            plan["flux_found"][index], plan["snr_found"][index] = source.flux, source.snr
    return DepthMeasurement(
        planted=plan[~masked],
        n_masked=int(masked.sum()),
        unmatched=tuple(s for s, index in zip(found, match, strict=True) if index < 0),
        searched_mpix=searched_mpix(difference),
        masked_fraction=float(off_limits.mean()),
        zero_point_mag=science.meta.zero_point_mag,
        degraded_because=difference.degraded_because,
    )


def _plan(
    science: Frame,
    reference: Frame,
    flux_ratio: float,
    rng: np.random.Generator,
    config: DepthConfig,
) -> NDArray[Any]:
    """Where and how bright, and in what surroundings."""
    ny, nx = science.shape
    n_special = int(config.special_fraction * nx * ny / (1.25 * config.spacing_pix) ** 2)
    drawn = plan_injections(
        science,
        rng,
        reference=reference,
        flux_ratio=flux_ratio,
        snr_range=config.snr_range,
        spacing_pix=config.spacing_pix,
        preferred=special_positions(science, n_special, rng),
    )
    plan = np.zeros(len(drawn), dtype=PLANTED_DTYPE)
    for name in ("x_pix", "y_pix", "flux", "snr_true"):
        plan[name] = drawn[name]
    plan["flux_found"] = plan["snr_found"] = np.nan
    plan["environment"] = environments(science, plan["x_pix"], plan["y_pix"], plan["flux"])
    return plan
