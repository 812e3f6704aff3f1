"""Where each science pixel lies on the reference, proven on matched sources.

The two WCS are believed as far as the sources confirm them; without WCS, or against a
wrong one, star patterns find the map. A map that chance, or features fixed to the
detector, could explain is an error, never a result.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from astrid_core.differencing.matching import (
    Match,
    Sources,
    assess,
    choose_order,
    refine,
    sources_of,
)
from astrid_core.differencing.patterns import propose_shifts, propose_similarities
from astrid_core.differencing.registration_config import RegistrationConfig
from astrid_core.differencing.transform import (
    Chain,
    Displaced,
    PixelMap,
    Polynomial,
    invert,
    jacobian,
    wcs_map,
)
from astrid_core.errors import NoWcsError, RegistrationError, TooFewStarsError
from astrid_core.frame import Frame

F64 = NDArray[np.float64]
Method = Literal["wcs", "pattern"]

_MIN_WCS_MATCHED = 3
"""With a true WCS three stars fix the shift that is left."""
_FIXED_PIX = 0.3
"""Displacements below this are what detector features have between two exposures."""
_MIN_BRIGHT_FRACTION = 0.25
"""Share of bright sources that a true map, or one without a shift, must explain."""
_TRY_BY_SHIFT = 12
_ENOUGH = 0.5
"""A hypothesis that explains this share of the sources ends the search."""


@dataclass(frozen=True)
class Registration:
    """The map from science to reference pixels and how well it holds.

    Attributes
    ----------
    mapping
        Science pixels → reference pixels.
    method
        ``wcs`` (refined on stars) or ``pattern``.
    n_matched
        Sources that support it.
    rms_pix
        Rms distance of the well-measured matched sources, reference pixels.
    rms_x_pix, rms_y_pix
        Error of the map itself along x and y: what the sources of a region miss together,
        and the fit's formal error. Science pixels.
    x_science, y_science, x_reference, y_reference
        (n_matched,) matched positions, brightest first.
    log_chance
        Natural logarithm of the probability that the matches arose by chance.
    shape
        (ny, nx) of the science frame.
    """

    mapping: PixelMap
    method: Method
    n_matched: int
    rms_pix: float
    rms_x_pix: float
    rms_y_pix: float
    x_science: F64
    y_science: F64
    x_reference: F64
    y_reference: F64
    log_chance: float
    shape: tuple[int, int]

    def to_reference(self, x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
        """Science pixels → reference pixels, arrays of any shape."""
        return self.mapping(x_pix, y_pix)

    def to_science(self, x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
        """Reference pixels → science pixels."""
        ny, nx = self.shape
        return invert(self.mapping, x_pix, y_pix, ((nx - 1) / 2, (ny - 1) / 2))

    def corrected(self, shift: PixelMap) -> "Registration":
        """The registration that also takes out a small shift left after a warp.

        Parameters
        ----------
        shift
            (x, y) → (dx, dy) in science pixels, as ``PhotometricMatch.shift_at``: how far
            the warped reference's sources lie from science's.
        """
        return replace(self, mapping=Chain(Displaced(shift), self.mapping))


def register(science: Frame, reference: Frame, config: RegistrationConfig) -> Registration:
    """Find and prove the map from science to reference pixels.

    Parameters
    ----------
    science, reference
        Frames with catalogues; a WCS is used where both have one.

    Raises
    ------
    TooFewStarsError
        If either frame has fewer sources than any map needs.
    RegistrationError
        If no map is supported by the sources beyond chance.
    """
    ours, theirs = sources_of(science, config), sources_of(reference, config)
    base = _predicted(science, reference)
    needed = config.min_matched if base is None else _MIN_WCS_MATCHED
    if min(len(ours), len(theirs)) < needed:
        raise TooFewStarsError(
            f"Too few sources to register {_name(science)} on {_name(reference)}",
            remedy="Check exposure, focus and masks of both frames, or choose a reference "
            "with more stars.",
            n_science=len(ours),
            n_reference=len(theirs),
            n_required=needed,
        )
    if base is not None:
        match = _by_wcs(base, ours, theirs, config)
        if match is not None:
            return _registration(match, "wcs", ours, theirs, config)
    best = _by_pattern(ours, theirs, config)
    if best is not None and _is_proven(best, ours, theirs, config):
        return _registration(best, "pattern", ours, theirs, config)
    raise _failure(science, reference, ours, theirs, best, config)


# --- with WCS -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Prediction:
    """Where two WCS say that science pixels lie, and the reference's pixel in arcsec."""

    mapping: PixelMap
    scale_arcsec: float


def _predicted(science: Frame, reference: Frame) -> _Prediction | None:
    """The map through both WCS, None where one is missing or they share no sky."""
    if science.wcs is None or reference.wcs is None:
        return None
    try:
        mapping = wcs_map(science.wcs, reference.wcs, science.shape)
    except NoWcsError:
        return None
    area = np.abs(np.linalg.det(reference.wcs.pixel_scale_matrix))
    return _Prediction(mapping, float(np.sqrt(area)) * 3600.0)


def _by_wcs(
    prediction: _Prediction, ours: Sources, theirs: Sources, config: RegistrationConfig
) -> Match | None:
    """Match around the positions that the two WCS predict; None where they are refuted."""
    base = prediction.mapping
    reach = config.wcs_error_arcsec / prediction.scale_arcsec
    mapped = np.column_stack(base(*ours.position.T))
    best: Match | None = None
    for start in _shifts_within(mapped, theirs.position, reach):
        match = refine(base, start, ours, theirs, config, 3 * config.match_radius_pix)
        if match is None or len(match) < config.min_matched:
            match = refine(base, start, ours, theirs, config, config.match_radius_pix, order=0)
        if match is not None and (best is None or match.log_chance < best.log_chance):
            best = match
    if best is None or not _is_proven(best, ours, theirs, config, _MIN_WCS_MATCHED):
        return None
    if len(best) < config.min_matched:
        return best
    return choose_order(base, best, 1, ours, theirs, config)


def _shifts_within(mapped: F64, reference: F64, reach_pix: float) -> list[Polynomial]:
    """No shift, and the commonest shifts within reach."""
    none = Polynomial.affine(np.eye(2), np.zeros(2))
    shifts = [
        shift
        for shift in propose_shifts(mapped, reference)
        if np.hypot(*(shift.terms[:, 0])) <= reach_pix
    ]
    return [none, *shifts]


# --- without WCS --------------------------------------------------------------------------


def _by_pattern(ours: Sources, theirs: Sources, config: RegistrationConfig) -> Match | None:
    """The best supported of the maps that star patterns propose."""
    best: Match | None = None
    n_tried = 0
    for start in _hypotheses(ours, theirs, config):
        n_tried += 1
        match = refine(None, start, ours, theirs, config, 3 * config.match_radius_pix)
        if match is None or _is_detector_fixed(match, ours, theirs):
            continue
        if best is None or match.log_chance < best.log_chance:
            best = match
            n_possible = min(match.n_expected, len(theirs))
            if len(match) > max(_ENOUGH * n_possible, 3 * config.min_matched):
                break
    if best is None:
        return None
    # The patterns chose among all places on the reference: each is a chance of its own.
    places = theirs.shape[0] * theirs.shape[1] / (np.pi * config.match_radius_pix**2)
    log_tries = float(np.log(n_tried) + np.log(max(places, 1.0)))
    if len(best) >= config.min_matched:
        best = choose_order(None, best, 1, ours, theirs, config)
    return replace(best, log_chance=best.log_chance + log_tries)


def _hypotheses(ours: Sources, theirs: Sources, config: RegistrationConfig) -> Iterable[Polynomial]:
    """Shifts first (cheap, and commonest), then similarities that survive a quick look."""
    yield from propose_shifts(ours.position, theirs.position, _TRY_BY_SHIFT)
    bright_s, bright_r = (side.brightest(config.patterns.n_bright) for side in (ours, theirs))
    loose = config.model_copy(update={"match_radius_pix": 3 * config.match_radius_pix})
    proposals = propose_similarities(ours.position, theirs.position, config.patterns)
    scored = [
        (assess(None, proposal, bright_s, bright_r, loose).log_chance, index)
        for index, proposal in enumerate(proposals)
    ]
    for _, index in sorted(scored)[:40]:
        yield proposals[index]


# --- proof --------------------------------------------------------------------------------


def _is_proven(
    match: Match,
    ours: Sources,
    theirs: Sources,
    config: RegistrationConfig,
    n_required: int | None = None,
) -> bool:
    """Whether neither chance nor detector features explain a match."""
    n_required = config.min_matched if n_required is None else n_required
    scatter = float(np.median(np.hypot(*match.residual.T))) if len(match) else np.inf
    return (
        len(match) >= n_required
        and match.log_chance <= np.log(config.max_chance)
        and scatter <= config.max_rms_pix
        and _is_similarity(match.mapping, ours.shape, config)
        and not _is_detector_fixed(match, ours, theirs)
    )


def _is_similarity(mapping: PixelMap, shape: tuple[int, int], config: RegistrationConfig) -> bool:
    """Whether a map keeps angles, as the sky does, and a sane scale."""
    ny, nx = shape
    large, small = np.linalg.svd(jacobian(mapping, (nx - 1) / 2, (ny - 1) / 2), compute_uv=False)
    limit = config.patterns.max_scale_change
    return bool(small > 0 and large / small < 1.2 and 1 / limit < small and large < limit)


def _is_detector_fixed(match: Match, ours: Sources, theirs: Sources) -> bool:
    """Whether the matches are features of the detector: unmoved, and few of the bright.

    Hot pixels and column ends sit at the same pixel of both frames, whatever the sky does.
    A true zero shift also explains the bright sources; a false lock does not.
    """
    moved = ours.position[match.science] - theirs.position[match.reference]
    if len(match) == 0 or float(np.median(np.hypot(*moved.T))) > _FIXED_PIX:
        return False
    n_bright = min(50, match.n_expected, len(theirs))
    fractions = [
        np.isin(np.arange(n_bright), matched).mean() for matched in (match.science, match.reference)
    ]
    return bool(max(fractions) < _MIN_BRIGHT_FRACTION)


def _failure(
    science: Frame,
    reference: Frame,
    ours: Sources,
    theirs: Sources,
    best: Match | None,
    config: RegistrationConfig,
) -> TooFewStarsError | RegistrationError:
    """The error that says what was tried and how far it got."""
    numbers = {
        "n_science": len(ours),
        "n_reference": len(theirs),
        "n_matched": 0 if best is None else len(best),
        "n_required": config.min_matched,
    }
    if best is not None:
        numbers["log10_chance"] = round(best.log_chance / np.log(10))
    pair = f"{_name(science)} on {_name(reference)}"
    if min(len(ours), len(theirs)) < 2 * config.min_matched:
        return TooFewStarsError(
            f"Too few common sources to register {pair}",
            remedy="Choose a deeper or larger reference, or give both frames a true WCS.",
            **numbers,
        )
    return RegistrationError(
        f"No map of {pair} is supported by their sources beyond chance",
        remedy="Check that both show the same field and filter; give them a true WCS if "
        "the field is very crowded or nearly empty.",
        **numbers,
    )


def _name(frame: Frame) -> str:
    return f"{frame.meta.survey}/{frame.meta.field}/{frame.meta.observation_id}"


# --- quality ------------------------------------------------------------------------------


def _registration(
    match: Match, method: Method, ours: Sources, theirs: Sources, config: RegistrationConfig
) -> Registration:
    """Summarise a proven match."""
    sigma = np.hypot(ours.sigma_pix[match.science], theirs.sigma_pix[match.reference])
    good = _well_measured(match, sigma, config)
    residual = match.residual[good]
    ny, nx = ours.shape
    to_science = np.linalg.inv(jacobian(match.mapping, (nx - 1) / 2, (ny - 1) / 2))
    position = ours.position[match.science[good]]
    errors = [_map_error(axis, position, ours.shape) for axis in (residual @ to_science.T).T]
    order = np.argsort(match.science)
    i, j = match.science[order], match.reference[order]
    return Registration(
        mapping=match.mapping,
        method=method,
        n_matched=len(match),
        rms_pix=float(np.sqrt((residual**2).sum(axis=1).mean())),
        rms_x_pix=errors[0],
        rms_y_pix=errors[1],
        x_science=ours.position[i, 0],
        y_science=ours.position[i, 1],
        x_reference=theirs.position[j, 0],
        y_reference=theirs.position[j, 1],
        log_chance=match.log_chance,
        shape=ours.shape,
    )


def _well_measured(match: Match, sigma: F64, config: RegistrationConfig) -> NDArray[np.bool_]:
    """The better measured half of the pairs (at least ten), without outliers."""
    limit = np.sort(sigma)[min(len(sigma) - 1, max(9, len(sigma) // 2))]
    distance = np.hypot(*match.residual.T)
    chosen = sigma <= limit
    spread = float(np.median(distance[chosen])) / 1.177
    chosen &= distance <= config.clip_sigma * max(spread, 1e-3)
    return np.asarray(chosen)


def _map_error(residual: F64, position: F64, shape: tuple[int, int]) -> float:
    """Error of the map along one axis: what neighbouring sources miss together, and the fit's.

    Blends scatter by much more than the map errs, each on its own; an error of the map
    moves all sources of a region. So the frame is divided into cells, and the variance of
    the cells' means beyond their own errors counts, with the formal error of the fit.
    """
    n = len(residual)
    scatter2 = (1.4826 * float(np.median(np.abs(residual)))) ** 2
    formal2 = 3 * scatter2 / n  # an affine map has three terms along each axis
    n_cells = int(np.clip(np.sqrt(n / 8), 1, 5))
    ny, nx = shape
    columns = np.clip((position[:, 0] / nx * n_cells).astype(int), 0, n_cells - 1)
    rows = np.clip((position[:, 1] / ny * n_cells).astype(int), 0, n_cells - 1)
    cell = rows * n_cells + columns
    counts = np.bincount(cell, minlength=n_cells**2)
    used = counts >= 3
    if not used.any():
        return float(np.sqrt(formal2))
    means = np.bincount(cell, weights=residual, minlength=n_cells**2)[used] / counts[used]
    systematic2 = float((means**2 - scatter2 / counts[used]).mean())
    return float(np.sqrt(formal2 + max(systematic2, 0.0)))
