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
from scipy.fft import irfft2, next_fast_len, rfft2

from astrid_core.differencing.registration_config import PhotometryConfig
from astrid_core.differencing.transform import design_matrix
from astrid_core.errors import TooFewStarsError
from astrid_core.flags import UNUSABLE
from astrid_core.frame import Frame
from astrid_core.psf import Psf, exponents

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_FIT_FWHM = 1.3
"""Radius of the pixels fitted, in FWHM of the broader PSF."""
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
    """

    terms: F64
    order: int
    shape: tuple[int, int]
    rms: float
    error: float

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
        ratio = self._ratio_image()
        gain = warped.meta.source_gain / self.flux_ratio
        return replace(
            warped,
            data=(warped.data * ratio + self.background).astype(np.float32),
            variance=(warped.variance * (ratio * ratio)).astype(np.float32),
            meta=replace(warped.meta, source_gain=gain, saturation=None),
        )

    def _ratio_image(self) -> F32:
        """(ny, nx) ratios, or (1, 1) where it is constant."""
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
    stars = _measure(science, warped, np.asarray(x_pix, float), np.asarray(y_pix, float), config)
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
    return replace(match, background=residual_background(science, match.apply(warped), config))


def residual_background(science: Frame, scaled: Frame, config: PhotometryConfig) -> F32:
    """Smooth difference of two aligned, equally scaled frames, away from sources.

    Sources are left out of the mesh while enough sky remains; in crowded fields, where it
    does not, all pixels count and the mesh's clipping has to do.
    """
    unusable = ((science.mask | scaled.mask) & np.uint16(UNUSABLE)) != 0
    difference = np.where(unusable, 0.0, science.data - scaled.data).astype(np.float32)
    noise = np.sqrt(np.maximum(scaled.variance, 0))
    is_source = scaled.data > _SOURCE_SIGMA * noise
    is_source |= science.data > _SOURCE_SIGMA * np.sqrt(np.maximum(science.variance, 0))
    sky = ~(unusable | is_source)
    excluded = ~sky if sky.mean() > _MIN_SKY_SHARE else unusable
    if excluded.all():
        return np.zeros(science.shape, dtype=np.float32)
    mesh = config.background_mesh_pix
    # sep works with tiny units badly: bring the difference to units of its noise.
    unit = float(np.median(np.abs(difference[~excluded]))) or 1.0
    background = sep.Background(
        np.ascontiguousarray(difference / np.float32(unit)), mask=excluded, bw=mesh, bh=mesh
    )
    return np.asarray(background.back(dtype=np.float32) * np.float32(unit))


# --- stars --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Stars:
    """What each star says: (n,) float64 each, ratios and shifts with their errors."""

    x: F64
    y: F64
    ratio: F64
    ratio_err: F64
    shift_x: F64
    shift_y: F64
    shift_err: F64

    def chosen(self, keep: NDArray[np.bool_]) -> "_Stars":
        return _Stars(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Stamps:
    """Stamps of one frame around each star: pixels, variance with photons, and PSFs."""

    pixels: F64
    variance: F64
    psf: F64


def _measure(science: Frame, warped: Frame, x: F64, y: F64, config: PhotometryConfig) -> _Stars:
    """Fit each star's cross-convolved stamps."""
    fwhm = max(science.psf.fwhm_pix, warped.psf.fwhm_pix)
    radius = max(2, int(np.ceil(_FIT_FWHM * fwhm)))
    half = radius + 1 + max(p.terms.shape[-1] // 2 for p in (science.psf, warped.psf))
    keep = _measurable(science, warped, x, y, half, radius)
    x, y = x[keep][: config.max_stars], y[keep][: config.max_stars]
    if len(x) == 0:
        return _Stars(*(np.zeros(0) for _ in range(7)))
    unusable = ((science.mask | warped.mask) & np.uint16(UNUSABLE)) != 0
    n = _cut(science, unusable, x, y, half)
    r = _cut(warped, unusable, x, y, half)
    a = _convolve(n.pixels, r.psf, radius + 1)
    b = _convolve(r.pixels, n.psf, radius + 1)
    columns = np.stack(
        [
            b[:, 1:-1, 1:-1],
            (b[:, 1:-1, 2:] - b[:, 1:-1, :-2]) / 2,
            (b[:, 2:, 1:-1] - b[:, :-2, 1:-1]) / 2,
            np.ones_like(b[:, 1:-1, 1:-1]),
        ],
        axis=-1,
    )
    offsets = np.arange(-radius, radius + 1)
    disc = np.hypot(offsets[:, None], offsets) <= radius
    design, target = columns[:, disc], a[:, 1:-1, 1:-1][:, disc]
    estimators: F64 = np.linalg.pinv(design).astype(np.float64)  # (n, 4, pixels)
    f, gx, gy, _ = np.einsum("nkp,np->kn", estimators, target)
    safe = np.where(np.abs(f) > 0, f, np.nan)
    errors = [_error(estimators[:, k], disc, n, r, f) for k in range(3)]
    return _Stars(
        x=x,
        y=y,
        ratio=f,
        ratio_err=errors[0],
        shift_x=gx / safe,
        shift_y=gy / safe,
        shift_err=np.hypot(errors[1], errors[2]) / np.sqrt(2) / np.abs(safe),
    )


def _measurable(
    science: Frame, warped: Frame, x: F64, y: F64, half: int, radius: int
) -> NDArray[np.bool_]:
    """Stars whose stamps lie on the frame and whose fitted pixels are usable in both."""
    ny, nx = science.shape
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    keep = (ix >= half) & (iy >= half) & (ix < nx - half) & (iy < ny - half)
    union = science.mask | warped.mask
    reach = radius + 1
    for index in np.flatnonzero(keep):
        rows = slice(iy[index] - reach, iy[index] + reach + 1)
        columns = slice(ix[index] - reach, ix[index] + reach + 1)
        keep[index] = not (union[rows, columns] & np.uint16(UNUSABLE)).any()
    return keep


def _cut(frame: Frame, unusable: NDArray[np.bool_], x: F64, y: F64, half: int) -> _Stamps:
    """Stamps of half-width ``half``; unusable pixels are 0 and certain in both frames."""
    ix, iy = np.rint(x).astype(int), np.rint(y).astype(int)
    offsets = np.arange(-half, half + 1)
    rows = (iy[:, None] + offsets)[:, :, None]
    columns = (ix[:, None] + offsets)[:, None, :]
    usable = ~unusable[rows, columns]
    pixels = np.where(usable, frame.data[rows, columns], 0.0).astype(np.float64)
    gain = frame.meta.source_gain
    photons = np.maximum(pixels, 0.0) / gain if gain > 0 else 0.0
    variance = np.where(usable, frame.variance[rows, columns] + photons, 0.0)
    return _Stamps(pixels, variance.astype(np.float64), _psf_stamps(frame.psf, x, y))


def _psf_stamps(psf: Psf, x: F64, y: F64) -> F64:
    """(n, m, m) PSFs at positions; (1, m, m) where the PSF is constant."""
    if psf.order == 0:
        return psf.centre()[None].astype(np.float64)
    return np.stack([psf.at(px, py) for px, py in zip(x, y, strict=True)]).astype(np.float64)


def _convolve(pixels: F64, kernels: F64, keep: int) -> F64:
    """Convolution of each stamp with its kernel, the central (2·keep + 1)² of it."""
    n, m = pixels.shape[-1], kernels.shape[-1]
    size = next_fast_len(n + m - 1, real=True)
    product = rfft2(pixels, (size, size)) * rfft2(kernels, (size, size))
    whole = irfft2(product, (size, size))
    middle = (n - 1) // 2 + (m - 1) // 2
    span = slice(middle - keep, middle + keep + 1)
    return np.asarray(whole[:, span, span])


def _error(estimator: F64, disc: NDArray[np.bool_], n: _Stamps, r: _Stamps, ratio: F64) -> F64:
    """Error of a linear estimator Σ e·(N ⊗ P_r − f·R ⊗ P_n), noise of both included.

    Moved onto the unconvolved pixels, whose noise is white, e becomes e ⋆ P.
    """
    weights = np.zeros((len(estimator), *disc.shape))
    weights[:, disc] = estimator
    half = n.pixels.shape[-1] // 2
    room = half - disc.shape[0] // 2
    padded = np.pad(weights, ((0, 0), (room, room), (room, room)))
    on_n = _convolve(padded, r.psf[:, ::-1, ::-1], half)
    on_r = _convolve(padded, n.psf[:, ::-1, ::-1], half)
    variance = (on_n**2 * n.variance).sum(axis=(1, 2))
    variance += ratio**2 * (on_r**2 * r.variance).sum(axis=(1, 2))
    return np.asarray(np.sqrt(variance))


# --- smooth fields ------------------------------------------------------------------------


def _normalised(x: F64, y: F64, shape: tuple[int, int]) -> tuple[F64, F64]:
    ny, nx = shape
    return 2.0 * x / max(nx - 1, 1) - 1.0, 2.0 * y / max(ny - 1, 1) - 1.0


def _fit_field(
    stars: _Stars,
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
        score = len(values) * np.log(max((scaled**2).sum(), 1e-12)) + n_terms * np.log(len(values))
        if best is None or score < best[0]:
            best = score, SmoothField(terms, order, frame.shape, rms, mean_error), used
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
