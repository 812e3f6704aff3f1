"""The true PSF of simulated images: an elliptical Moffat that varies over the frame.

Moffat (1969): I(r) = (β − 1) / (π a b) · (1 + r²)^−β with r² the elliptical radius in
units of the core widths a, b. It is evaluated analytically and integrated over pixels, so
simulated images share no interpolation with the code they test.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_core.psf import Psf, exponents

F64 = NDArray[np.float64]

TRUNCATED_FRACTION = 1e-4
"""Share of a PSF's flux that may fall outside the stamp it is rendered on."""

# Three-point Gauss-Legendre rule on a pixel [-1/2, 1/2]: exact to 1e-5 for FWHM ≥ 2 px.
_NODES = (-0.5 * np.sqrt(0.6), 0.0, 0.5 * np.sqrt(0.6))
_WEIGHTS = (5 / 18, 8 / 18, 5 / 18)


@dataclass(frozen=True)
class MoffatPsf:
    """A PSF over a frame.

    Attributes
    ----------
    shape
        (ny, nx) of the frame.
    fwhm_pix
        Geometric mean FWHM of the profile at the frame's centre, before pixel integration.
    beta
        Moffat exponent, > 1.
    ellipticity, angle_deg
        1 − b/a at the centre and the major axis' angle from +x towards +y.
    fwhm_tilt
        Relative change of the FWHM from the centre to the right and to the upper edge.
    fwhm_bowl
        Relative change of the FWHM from the centre to the middle of an edge, quadratic.
    shear
        Radial ellipticity at the middle of an edge (coma-like optics).
    """

    shape: tuple[int, int]
    fwhm_pix: float
    beta: float = 4.0
    ellipticity: float = 0.0
    angle_deg: float = 0.0
    fwhm_tilt: tuple[float, float] = (0.0, 0.0)
    fwhm_bowl: float = 0.0
    shear: float = 0.0

    @property
    def varies(self) -> bool:
        """Whether the PSF differs over the frame."""
        return any((*self.fwhm_tilt, self.fwhm_bowl, self.shear))

    def quadratic_forms(self, x_pix: F64, y_pix: F64) -> F64:
        """(n, 2, 2) matrices Q of the elliptical radius r² = dᵀ Q d at n positions."""
        u, v = _normalised(self.shape, x_pix, y_pix)
        tilt = self.fwhm_tilt[0] * u + self.fwhm_tilt[1] * v
        fwhm = self.fwhm_pix * (1 + tilt + self.fwhm_bowl * (u**2 + v**2))
        # e = (1 − b/a)·exp(2iθ); a radial pattern of strength `shear` is (u + iv)².
        e = self.ellipticity * np.exp(2j * np.radians(self.angle_deg))
        e = e + self.shear * (u + 1j * v) ** 2
        axis_ratio = 1 - np.clip(np.abs(e), 0.0, 0.6)
        angle = np.angle(e) / 2
        core = fwhm / (2 * np.sqrt(2 ** (1 / self.beta) - 1))
        along, across = axis_ratio / core**2, 1 / (axis_ratio * core**2)
        cos, sin = np.cos(angle), np.sin(angle)
        forms = np.empty((len(u), 2, 2))
        forms[:, 0, 0] = along * cos**2 + across * sin**2
        forms[:, 1, 1] = along * sin**2 + across * cos**2
        forms[:, 0, 1] = forms[:, 1, 0] = (along - across) * sin * cos
        return forms

    def half_width(self, faintest: float = 1.0) -> int:
        """Half width in pixels of a stamp that holds the PSF.

        Parameters
        ----------
        faintest
            Surface brightness per flux (1/px²) that may be cut off, besides
            ``TRUNCATED_FRACTION`` of the flux.
        """
        core = self.fwhm_pix / (2 * np.sqrt(2 ** (1 / self.beta) - 1))
        by_flux = TRUNCATED_FRACTION ** (1 / (1 - self.beta))
        peak = (self.beta - 1) / (np.pi * core**2)
        by_brightness = max(peak / faintest, 1.0) ** (1 / self.beta)
        return int(np.ceil(core * np.sqrt(max(by_flux, by_brightness))))

    def stamps(self, x_pix: F64, y_pix: F64, half_width: int) -> F64:
        """(n, s, s) pixel-integrated stamps around the pixels nearest to n positions.

        s = 2·half_width + 1; the sub-pixel part of the position is kept; the flux of the
        untruncated profile is 1.
        """
        forms = self.quadratic_forms(x_pix, y_pix)
        grid = np.arange(-half_width, half_width + 1, dtype=float)
        dx = grid[None, None, :] - (x_pix - np.rint(x_pix))[:, None, None]
        dy = grid[None, :, None] - (y_pix - np.rint(y_pix))[:, None, None]
        return self.pixels(forms, dx, dy)

    def pixels(self, forms: F64, dx: F64, dy: F64) -> F64:
        """Profile of unit flux integrated over pixels; see :func:`moffat_pixels`."""
        return moffat_pixels(forms, self.beta, dx, dy)

    def points(self, x_pix: float, y_pix: float, offsets_pix: F64) -> F64:
        """(n, n) profile of the PSF at a position, at points (n,) apart from its centre, 1/px²."""
        form = self.quadratic_forms(np.array([x_pix]), np.array([y_pix]))[0]
        x, y = offsets_pix[None, :], offsets_pix[:, None]
        radius = 1 + form[0, 0] * x**2 + 2 * form[0, 1] * x * y + form[1, 1] * y**2
        norm = (self.beta - 1) / np.pi * np.sqrt(np.linalg.det(form))
        return np.asarray(norm * radius**-self.beta)

    def to_psf(self, n_stars: int = 0) -> Psf:
        """The same PSF as an AstrID :class:`Psf`: pixel-integrated stamps, polynomial of order 4.

        The polynomial is fitted to a 7 × 7 grid of exact stamps; for a varying PSF it is
        true to about 3e-4 of the peak.
        """
        ny, nx = self.shape
        half = self.half_width()
        order = 4 if self.varies else 0
        steps = np.linspace(0, 1, 7 if self.varies else 1) if self.varies else np.array([0.5])
        x, y = (axis.ravel() for axis in np.meshgrid(steps * (nx - 1), steps * (ny - 1)))
        x, y = np.rint(x), np.rint(y)
        stamps = self.stamps(x, y, half)
        stamps /= stamps.sum(axis=(1, 2), keepdims=True)
        u, v = _normalised(self.shape, x, y)
        design = np.stack([u**i * v**j for i, j in exponents(order)], axis=1)
        terms = np.linalg.lstsq(design, stamps.reshape(len(x), -1), rcond=None)[0]
        terms = terms.reshape(-1, 2 * half + 1, 2 * half + 1)
        return Psf(
            terms=terms.astype(np.float32),
            order=order,
            shape=self.shape,
            fwhm_pix=self.integrated_fwhm(),
            ellipticity=self.ellipticity,
            n_stars=n_stars,
        )

    def integrated_fwhm(self) -> float:
        """FWHM of the pixel-integrated PSF at the frame's centre, geometric mean of the axes."""
        ny, nx = self.shape
        forms = self.quadratic_forms(np.array([(nx - 1) / 2]), np.array([(ny - 1) / 2]))
        radius = np.linspace(0, 2 * self.fwhm_pix, 400)
        widths = []
        for angle in np.radians(self.angle_deg) + np.array([0, np.pi / 2]):
            dx, dy = radius * np.cos(angle), radius * np.sin(angle)
            profile = moffat_pixels(forms, self.beta, dx[None, None], dy[None, None])[0, 0]
            widths.append(2 * np.interp(-profile[0] / 2, -profile, radius))
        return float(np.sqrt(widths[0] * widths[1]))


def moffat_pixels(forms: F64, beta: float, dx: F64, dy: F64) -> F64:
    """Moffat of unit flux integrated over unit pixels at offsets from its centre.

    Parameters
    ----------
    forms
        (n, 2, 2) quadratic forms.
    dx, dy
        Offsets of pixel centres, broadcastable to (n, ny, nx).
    """
    qxx, qyy = forms[:, 0, 0, None, None], forms[:, 1, 1, None, None]
    qxy = forms[:, 0, 1, None, None]
    total = np.zeros(np.broadcast_shapes(dx.shape, dy.shape, qxx.shape))
    for node_y, weight_y in zip(_NODES, _WEIGHTS, strict=True):
        y = dy + node_y
        across, cross = 1 + qyy * y**2, 2 * qxy * y
        for node_x, weight_x in zip(_NODES, _WEIGHTS, strict=True):
            x = dx + node_x
            radius = across + (qxx * x**2 + cross * x)
            total += (weight_x * weight_y) * _negative_power(radius, beta)
    norm = (beta - 1) / np.pi * np.sqrt(np.linalg.det(forms))
    return np.asarray(norm[:, None, None] * total)


def _negative_power(base: F64, beta: float) -> F64:
    """base^−β; several times faster than ``**`` where β is 3 or 4."""
    if beta == 4.0:
        square = base * base
        return 1.0 / (square * square)
    if beta == 3.0:
        return 1.0 / (base * base * base)
    return base**-beta


def _normalised(shape: tuple[int, int], x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
    """Positions mapped to [-1, 1] over the frame, as :class:`Psf` does."""
    ny, nx = shape
    u = 2.0 * np.asarray(x_pix, float) / max(nx - 1, 1) - 1.0
    v = 2.0 * np.asarray(y_pix, float) / max(ny - 1, 1) - 1.0
    return u, v
