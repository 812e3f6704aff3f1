"""Flux ratio, residual shift and residual background between two aligned frames.

Each star's stamps are brought to one PSF by convolving each with the *other* frame's PSF
(as Gal-Yam et al. 2008 compare images). Seeing, wings and neighbours are then the same on
both sides, crowded fields included, and one linear fit of a star's pixels gives its flux
ratio and shift: A = f·B + g·∇B + b with A = N ⊗ P_r, B = R ⊗ P_n. Smooth functions of
position through many stars are what differencing uses.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray

from astrid_core.differencing.registration_config import PhotometryConfig
from astrid_core.differencing.starratio import StarRatios, measure_stars
from astrid_core.differencing.transform import design_matrix
from astrid_core.errors import TooFewStarsError
from astrid_core.flags import UNUSABLE
from astrid_core.frame import Frame
from astrid_core.psf import exponents

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_RATIO_FLOOR = 0.003
"""Flux ratios of single bright stars are not better than this: flat fields, blends."""
_SHIFT_FLOOR_PIX = 0.01
_SOURCE_SIGMA = 4.0
"""Pixels this far above the noise do not tell the background while others do."""
_MIN_SKY_SHARE = 0.15


@dataclass(frozen=True)
class SmoothField:
    """A polynomial of position over a frame.

    Attributes
    ----------
    terms
        (n_terms,) coefficients; powers as in :func:`astrid_core.psf.exponents`.
    shape
        (ny, nx) of the frame; position is mapped to [−1, 1].
    rms
        Robust scatter of the stars about it.
    error
        Standard error of its mean over the stars.
    excess
        Scatter of the stars beyond their own errors.
    """

    terms: F64
    order: int
    shape: tuple[int, int]
    rms: float
    error: float
    excess: float

    @property
    def astrometric_sigma(self) -> float:
        """Uncertainty of the field for a single star."""
        return float(np.hypot(self.error * np.sqrt(len(self.terms)), self.excess))

    def __call__(self, x: NDArray[Any], y: NDArray[Any]) -> F64:
        """Value at positions of any shape."""
        u, v = _normalised(np.asarray(x, dtype=np.float64), np.asarray(y, float), self.shape)
        powers = exponents(self.order)
        total = np.full(np.broadcast(u, v).shape, self.terms[0])
        for term, (i, j) in zip(self.terms[1:], powers[1:], strict=True):
            total = total + term * u**i * v**j
        return np.asarray(total)


@dataclass(frozen=True)
class PhotometricMatch:
    """How a warped reference must be changed to look like science.

    Attributes
    ----------
    ratio
        Science over reference flux by position.
    shift_x, shift_y
        Where the warped reference's stars lie from science's, science pixels.
    background
        (ny, nx) float32: science minus scaled reference where neither has sources.
    n_stars
        Stars behind the flux ratio.
    star_x, star_y, star_ratio, star_ratio_err
        The stars measured, outliers (variables) included.
    """

    ratio: SmoothField
    shift_x: SmoothField
    shift_y: SmoothField
    background: F32
    n_stars: int
    star_x: F64
    star_y: F64
    star_ratio: F64
    star_ratio_err: F64

    @property
    def flux_ratio(self) -> float:
        """Science over reference flux at the frame's centre."""
        ny, nx = self.background.shape
        return float(self.ratio(np.array((nx - 1) / 2), np.array((ny - 1) / 2)))

    @property
    def flux_ratio_err(self) -> float:
        """Standard error of the mean ratio."""
        return self.ratio.error

    def ratio_at(self, x_pix: NDArray[Any], y_pix: NDArray[Any]) -> F64:
        """Science over reference flux at positions."""
        return self.ratio(x_pix, y_pix)

    def shift_at(self, x_pix: NDArray[Any], y_pix: NDArray[Any]) -> tuple[F64, F64]:
        """(dx, dy) of the warped reference from science at positions, for
        :meth:`~astrid_core.differencing.registration.Registration.corrected`.
        """
        return self.shift_x(x_pix, y_pix), self.shift_y(x_pix, y_pix)

    @property
    def shift_sigma_pix(self) -> tuple[float, float]:
        """(x, y) error of the alignment at a source: the fields' errors, and how far single
        stars stray from them beyond their own errors (the atmosphere's doing).
        """
        return self.shift_x.astrometric_sigma, self.shift_y.astrometric_sigma

    @property
    def largest_shift_pix(self) -> float:
        """Largest residual shift over the frame: above some .03 px, warp again."""
        ny, nx = self.background.shape
        y, x = np.meshgrid(np.linspace(0, ny - 1, 9), np.linspace(0, nx - 1, 9), indexing="ij")
        return float(np.hypot(*self.shift_at(x, y)).max())

    def apply(self, warped: Frame) -> Frame:
        """The warped reference on science's flux scale and background.

        ``data·ratio + background``, ``variance·ratio²``; ``meta.source_gain`` becomes the
        electrons per scaled unit, ``meta.unit`` stays.
        """
        ratio = self.ratio_image()
        gain = warped.meta.source_gain / self.flux_ratio
        data = warped.data * ratio
        data += self.background
        return replace(
            warped,
            data=data,
            variance=warped.variance * (ratio * ratio),
            meta=replace(warped.meta, source_gain=gain, saturation=None),
        )

    def ratio_image(self) -> F32:
        """(ny, nx) float32 ratios, or (1, 1) where they are constant."""
        if self.ratio.order == 0:
            return np.full((1, 1), self.ratio.terms[0], dtype=np.float32)
        ny, nx = self.background.shape
        return self.ratio(np.arange(nx)[None, :], np.arange(ny)[:, None]).astype(np.float32)


def match_photometry(
    science: Frame,
    warped: Frame,
    x_pix: NDArray[Any],
    y_pix: NDArray[Any],
    config: PhotometryConfig,
) -> PhotometricMatch:
    """Measure flux ratio, shift and background of a warped reference against science.

    Parameters
    ----------
    science, warped
        Frames on one grid. ``warped.psf`` must be the PSF of the warped pixels, measured
        on them.
    x_pix, y_pix
        Positions of stars in science pixels, brightest first: a registration's
        ``x_science``, ``y_science``.

    Raises
    ------
    TooFewStarsError
        If fewer than ``config.min_stars`` are measurable in both frames.
    """
    stars = measure_stars(
        science, warped, np.asarray(x_pix, float), np.asarray(y_pix, float), config
    )
    good = (stars.ratio > 0) & (stars.ratio / stars.ratio_err > config.min_snr)
    if int(good.sum()) < config.min_stars:
        raise TooFewStarsError(
            f"Too few common stars to scale a reference to {science.meta.observation_id}",
            remedy="Choose a reference of the same filter and similar depth, or lower "
            "min_snr for this survey.",
            n_stars=int(good.sum()),
            n_required=config.min_stars,
            n_given=len(x_pix),
        )
    stars = stars.chosen(good)
    error = np.hypot(stars.ratio_err, _RATIO_FLOOR * stars.ratio)
    ratio, used = _fit_field(stars, stars.ratio, error, config.ratio_max_order, science, config)
    steady = stars.chosen(used)  # a variable star's shift is measured on too little light
    shift_x, shift_y = (
        _fit_field(
            steady,
            getattr(steady, name),
            np.hypot(steady.shift_err, _SHIFT_FLOOR_PIX),
            config.shift_max_order,
            science,
            config,
        )[0]
        for name in ("shift_x", "shift_y")
    )
    match = PhotometricMatch(
        ratio=ratio,
        shift_x=shift_x,
        shift_y=shift_y,
        background=np.zeros(science.shape, dtype=np.float32),
        n_stars=int(used.sum()),
        star_x=stars.x,
        star_y=stars.y,
        star_ratio=stars.ratio,
        star_ratio_err=stars.ratio_err,
    )
    background = residual_background(science, warped, match.ratio_image(), config)
    return replace(match, background=background)


def residual_background(science: Frame, warped: Frame, ratio: F32, config: PhotometryConfig) -> F32:
    """Smooth difference of two aligned frames, the second times ``ratio``, off sources.

    Sources are left out of the mesh while enough sky remains; in crowded fields, where it
    does not, all pixels count and the mesh's clipping has to do.
    """
    unusable = ((science.mask | warped.mask) & np.uint16(UNUSABLE)) != 0
    excluded = unusable | _is_source(science) | _is_source(warped)
    if 1 - excluded.mean() < _MIN_SKY_SHARE:
        excluded = unusable
    if excluded.all():
        return np.zeros(science.shape, dtype=np.float32)
    difference = warped.data * ratio
    np.subtract(science.data, difference, out=difference)
    difference[unusable] = 0.0
    # sep works with tiny units badly: bring the difference to units of its noise.
    unit = np.float32(np.median(np.abs(difference[~excluded])) or 1.0)
    difference /= unit
    mesh = config.background_mesh_pix
    background = sep.Background(difference, mask=excluded, bw=mesh, bh=mesh)
    smooth: F32 = background.back(dtype=np.float32)
    smooth *= unit
    return smooth


def _is_source(frame: Frame) -> NDArray[np.bool_]:
    """Pixels well above the noise."""
    threshold = np.sqrt(np.maximum(frame.variance, 0))
    threshold *= np.float32(_SOURCE_SIGMA)
    return np.asarray(frame.data > threshold)


# --- smooth fields ------------------------------------------------------------------------


def _normalised(x: F64, y: F64, shape: tuple[int, int]) -> tuple[F64, F64]:
    ny, nx = shape
    return 2.0 * x / max(nx - 1, 1) - 1.0, 2.0 * y / max(ny - 1, 1) - 1.0


def _fit_field(
    stars: StarRatios,
    values: F64,
    errors: F64,
    max_order: int,
    frame: Frame,
    config: PhotometryConfig,
) -> tuple[SmoothField, NDArray[np.bool_]]:
    """Robust polynomial of the order that the stars pay for, and the stars it used."""
    u, v = _normalised(stars.x, stars.y, frame.shape)
    best: tuple[float, SmoothField, NDArray[np.bool_]] | None = None
    for order in range(max_order + 1):
        n_terms = len(exponents(order))
        if order > 0 and len(values) < config.stars_per_term * n_terms:
            break
        design = design_matrix(u, v, order)
        terms, used = _robust_terms(design, values, errors, config.clip_sigma)
        residual = values - design @ terms
        rms = 1.4826 * float(np.median(np.abs(residual)))
        scaled = np.minimum(np.abs(residual) / errors, config.clip_sigma)
        spread = max(float(np.sqrt((scaled[used] ** 2).mean())), 1.0)
        mean_error = spread / float(np.sqrt((errors[used] ** -2).sum()))
        # Twice the Bayesian penalty: the corners extrapolate what few stars there say.
        penalty = 2 * n_terms * np.log(len(values))
        score = len(values) * np.log(max((scaled**2).sum(), 1e-12)) + penalty
        if best is None or score < best[0]:
            excess = _excess(residual, errors)
            best = score, SmoothField(terms, order, frame.shape, rms, mean_error, excess), used
    if best is None:
        raise AssertionError("order 0 always fits")
    return best[1], best[2]


def _robust_terms(
    design: F64, values: F64, errors: F64, clip_sigma: float
) -> tuple[F64, NDArray[np.bool_]]:
    """Least squares by inverse variance, started from the median, outliers left out."""
    used = np.ones(len(values), dtype=bool)
    residual = values - np.median(values)
    terms: NDArray[Any] = np.zeros(design.shape[1])
    for _ in range(8):
        spread = 1.4826 * float(np.median(np.abs(residual[used])))
        allowed = clip_sigma * np.maximum(errors, min(spread, 3 * float(np.median(errors))))
        now = np.abs(residual) <= allowed
        if now.sum() < max(design.shape[1], len(values) // 3):
            now = np.abs(residual) <= np.median(np.abs(residual))
        root = 1.0 / errors[now]
        terms = np.linalg.lstsq(design[now] * root[:, None], values[now] * root, rcond=None)[0]
        residual = values - design @ terms
        if np.array_equal(now, used):
            break
        used = now
    return np.asarray(terms), used


def _excess(residual: F64, errors: F64) -> float:
    """Robust scatter of the better measured half beyond its errors."""
    good = errors <= np.median(errors)
    scatter = 1.4826 * float(np.median(np.abs(residual[good])))
    return float(np.sqrt(max(scatter**2 - float(np.median(errors[good])) ** 2, 0.0)))
