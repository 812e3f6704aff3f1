"""A point-spread function that may vary over the frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Psf:
    """PSF stamps as a polynomial of position, integrated over pixels.

    ``at(x, y) = Σ_k terms[k] · u^i v^j`` with (i, j) from ``exponents(order)`` and
    u, v = position mapped to [-1, 1] over the frame.

    Attributes
    ----------
    terms
        (n_terms, n, n) float32, n odd, centred on the middle pixel. ``terms[0]`` sums to
        1, the others to 0, so that every ``at`` sums to 1.
    order
        Polynomial order; 0 is a constant PSF.
    shape
        (ny, nx) of the frame it belongs to.
    fwhm_pix
        FWHM of the PSF at the frame's centre, pixel-integrated.
    ellipticity
        1 − b/a at the frame's centre.
    n_stars
        Stars it was measured from.
    is_fallback
        True where too few stars forced a declared fallback model.
    """

    terms: F32
    order: int
    shape: tuple[int, int]
    fwhm_pix: float
    ellipticity: float
    n_stars: int
    is_fallback: bool = False

    def at(self, x_pix: float, y_pix: float) -> F32:
        """Stamp (n, n) float32, sum 1, at a position in 0-based pixels."""
        u = 2.0 * x_pix / max(self.shape[1] - 1, 1) - 1.0
        v = 2.0 * y_pix / max(self.shape[0] - 1, 1) - 1.0
        weights = np.array([u**i * v**j for i, j in exponents(self.order)], dtype=np.float32)
        return np.asarray(np.tensordot(weights, self.terms, axes=1), dtype=np.float32)

    def centre(self) -> F32:
        """Stamp at the middle of the frame."""
        ny, nx = self.shape
        return self.at((nx - 1) / 2, (ny - 1) / 2)


def exponents(order: int) -> list[tuple[int, int]]:
    """Powers (i, j) of u and v of a full two-dimensional polynomial, constant term first."""
    return [(total - j, j) for total in range(order + 1) for j in range(total + 1)]
