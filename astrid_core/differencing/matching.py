"""Matched sources of two frames, the map through them, and the proof that it is real."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from astrid_core.differencing.registration_config import RegistrationConfig
from astrid_core.differencing.transform import Chain, PixelMap, Polynomial
from astrid_core.frame import Frame
from astrid_core.psf import exponents

F64 = NDArray[np.float64]
Index = NDArray[np.intp]

_SHARP = 0.55
"""Sources narrower than this share of the PSF are defects: they sit still on the detector."""
_STAR_FLOOR_PIX = 0.02
_BLEND_FLOOR_PIX = 0.15
"""Centroids of clean stars, and of galaxies and blends, are not better than this."""
_ITERATIONS = 8


@dataclass(frozen=True)
class Sources:
    """Positions of a frame's sources for matching, brightest first.

    Attributes
    ----------
    position
        (n, 2) x, y in pixels.
    sigma_pix
        (n,) expected error of each coordinate.
    shape
        (ny, nx) of the frame.
    """

    position: F64
    sigma_pix: F64
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.position)

    def brightest(self, n: int) -> "Sources":
        """The first ``n``."""
        return Sources(self.position[:n], self.sigma_pix[:n], self.shape)

    @property
    def density(self) -> float:
        """Sources per square pixel."""
        return len(self) / (self.shape[0] * self.shape[1])


@dataclass(frozen=True)
class Match:
    """A map between two frames with the sources that support it.

    Attributes
    ----------
    mapping
        Science pixels → reference pixels.
    science, reference
        Indices of matched sources.
    residual
        (n, 2) mapped science position minus reference position, reference pixels.
    log_chance
        Natural logarithm of the probability of so many matches by chance.
    n_expected
        Sources of science that lie on the reference.
    """

    mapping: PixelMap
    science: Index
    reference: Index
    residual: F64
    log_chance: float
    n_expected: int

    def __len__(self) -> int:
        return len(self.science)


def sources_of(frame: Frame, config: RegistrationConfig) -> Sources:
    """Sources of a frame that may be matched: no sharp defects, finite, brightest first."""
    stars: NDArray[Any] = frame.stars
    keep = np.isfinite(stars["x_pix"]) & np.isfinite(stars["y_pix"]) & (stars["flux"] > 0)
    known_size = stars["fwhm_pix"] > 0
    keep &= ~known_size | (stars["fwhm_pix"] > _SHARP * frame.psf.fwhm_pix)
    stars = stars[keep]
    stars = stars[np.argsort(-stars["flux"], kind="stable")][: config.n_sources]
    snr = stars["flux"] / np.maximum(stars["flux_err"], 1e-30)
    width = np.where(stars["fwhm_pix"] > 0, stars["fwhm_pix"], frame.psf.fwhm_pix)
    floor = np.where(stars["is_star"] == 1, _STAR_FLOOR_PIX, _BLEND_FLOOR_PIX)
    # A centroid is about σ_PSF divided by the S/N (King 1983).
    sigma = np.hypot(width / 2.355 / np.maximum(snr, 1.0), floor)
    position = np.column_stack([stars["x_pix"], stars["y_pix"]]).astype(np.float64)
    return Sources(position, sigma.astype(np.float64), frame.shape)


def refine(
    base: PixelMap | None,
    start: Polynomial,
    science: Sources,
    reference: Sources,
    config: RegistrationConfig,
    start_radius_pix: float,
    order: int = 1,
) -> Match | None:
    """Match and fit in turn, with a shrinking radius, until the pairs stay the same.

    Parameters
    ----------
    base
        Map through two WCS; None starts from science pixels.
    start
        First polynomial, from the base's pixels to the reference's.
    start_radius_pix
        First matching radius; it shrinks to ``config.match_radius_pix``.
    order
        Of the polynomial fitted; 0 fits a shift alone.

    Returns
    -------
    None where fewer pairs remain than the polynomial has terms (three for a shift).
    """
    x, y = science.position.T
    base_x, base_y = (x, y) if base is None else base(x, y)
    tree = cKDTree(reference.position)
    polynomial, radius = start, start_radius_pix
    pairs: tuple[Index, Index] | None = None
    n_needed = max(3, len(exponents(order)))
    for iteration in range(_ITERATIONS):
        mapped = np.column_stack(polynomial(base_x, base_y))
        found = mutual_pairs(mapped, reference.position, tree, radius)
        if len(found[0]) < n_needed:
            return None
        settled = pairs is not None and radius <= config.match_radius_pix
        if settled and pairs is not None and np.array_equal(pairs[0], found[0]):
            break
        pairs = found
        at = (base_x[pairs[0]], base_y[pairs[0]])
        polynomial = _robust_fit(at, pairs, science, reference, order, config)
        if iteration:
            radius = max(radius / 2, config.match_radius_pix)
    return assess(base, polynomial, science, reference, config)


def assess(
    base: PixelMap | None,
    polynomial: Polynomial,
    science: Sources,
    reference: Sources,
    config: RegistrationConfig,
) -> Match:
    """The match that a map makes at the final radius, and its probability by chance.

    As many pairs as the polynomial has terms prove nothing: it passes through any such.
    """
    mapping: PixelMap = polynomial if base is None else Chain(base, polynomial)
    mapped = np.column_stack(mapping(*science.position.T))
    radius = config.match_radius_pix
    i, j = mutual_pairs(mapped, reference.position, cKDTree(reference.position), radius)
    ny, nx = reference.shape
    on_reference = (mapped > -0.5).all(axis=1) & (mapped[:, 0] < nx) & (mapped[:, 1] < ny)
    n_expected = int(on_reference.sum())
    by_chance = 1.0 - np.exp(-np.pi * radius**2 * reference.density)
    n_fixed = len(exponents(polynomial.order)) if base is None or polynomial.order else 1
    return Match(
        mapping=mapping,
        science=i,
        reference=j,
        residual=mapped[i] - reference.position[j],
        log_chance=log_chance(
            len(i) - n_fixed, max(n_expected, len(i)) - n_fixed, float(by_chance)
        ),
        n_expected=n_expected,
    )


def log_chance(n_matched: int, n_tried: int, probability: float) -> float:
    """Upper bound on the logarithm of P(at least ``n_matched`` of ``n_tried`` by chance).

    Chernoff's bound n·KL(k/n ‖ p), which stays finite where the binomial underflows.
    """
    if n_matched <= max(probability * n_tried, 0):
        return 0.0
    p = min(max(probability, 1e-300), 1 - 1e-12)
    q = n_matched / n_tried
    divergence = q * np.log(q / p)
    if q < 1:
        divergence += (1 - q) * np.log((1 - q) / (1 - p))
    return float(-n_tried * divergence)


def mutual_pairs(
    mapped: F64, reference: F64, tree: cKDTree, radius_pix: float
) -> tuple[Index, Index]:
    """Indices (science, reference) of mutual nearest neighbours within a radius."""
    if len(mapped) == 0 or len(reference) == 0:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    distance, nearest = map(np.asarray, tree.query(mapped, distance_upper_bound=radius_pix))
    near = np.flatnonzero(np.isfinite(distance))
    if len(near) == 0:
        return near, near
    back = cKDTree(mapped[near]).query(reference[nearest[near]])[1]
    mutual = back == np.arange(len(near))
    return near[mutual], nearest[near[mutual]]


def choose_order(
    base: PixelMap | None,
    match: Match,
    polynomial_order: int,
    science: Sources,
    reference: Sources,
    config: RegistrationConfig,
) -> Match:
    """Raise the polynomial's order while the stars pay for it (Bayesian information)."""
    best, best_score = match, np.inf
    for order in range(polynomial_order, config.max_order + 1):
        n_terms = len(exponents(order))
        if order > polynomial_order and len(match) < config.min_stars_per_term * n_terms:
            break
        fitted = _refit(base, match, order, science, reference, config)
        sigma = _sigma(fitted.science, fitted.reference, science, reference)
        scaled = np.abs(fitted.residual / sigma[:, None])
        # Robust sum of squares: a variable blend must not buy a term.
        chi2 = float(np.minimum(scaled, config.clip_sigma).__pow__(2).sum())
        n = 2 * len(fitted)
        score = n * np.log(max(chi2, 1e-12) / n) + 2 * n_terms * np.log(n)
        if score < best_score:
            best, best_score = fitted, score
    return best


def _refit(
    base: PixelMap | None,
    match: Match,
    order: int,
    science: Sources,
    reference: Sources,
    config: RegistrationConfig,
) -> Match:
    x, y = science.position[match.science].T
    at = (x, y) if base is None else base(x, y)
    pairs = match.science, match.reference
    polynomial = _robust_fit(at, pairs, science, reference, order, config)
    return assess(base, polynomial, science, reference, config)


def _sigma(i: Index, j: Index, science: Sources, reference: Sources) -> F64:
    return np.asarray(np.hypot(science.sigma_pix[i], reference.sigma_pix[j]))


def _robust_fit(
    at: tuple[F64, F64],
    pairs: tuple[Index, Index],
    science: Sources,
    reference: Sources,
    order: int,
    config: RegistrationConfig,
) -> Polynomial:
    """Fit by inverse variance, pairs beyond ``clip_sigma`` of the scatter left out."""
    target = reference.position[pairs[1]]
    sigma = _sigma(*pairs, science, reference)
    n_needed = max(3, len(exponents(order)))
    kept = np.ones(len(target), dtype=bool)
    for _ in range(4):
        x, y = at[0][kept], at[1][kept]
        weights = 1.0 / sigma[kept] ** 2
        fitted = _fit(x, y, target[kept], order, weights)
        mapped = np.column_stack(fitted(*at))
        scaled = np.hypot(*(mapped - target).T) / sigma
        # A Rayleigh variable has median 1.177 σ.
        limit = config.clip_sigma * max(float(np.median(scaled[kept])) / 1.177, 1.0)
        now = scaled < limit
        if now.sum() < n_needed or np.array_equal(now, kept):
            break
        kept = now
    return fitted


def _fit(x: F64, y: F64, target: F64, order: int, weights: F64) -> Polynomial:
    if order > 0:
        return Polynomial.fit(x, y, target[:, 0], target[:, 1], order, weights)
    shift = np.average(target - np.column_stack([x, y]), axis=0, weights=weights)
    return Polynomial.affine(np.eye(2), shift)
