"""Where pixels look: similarity transforms between pixel grids, and TAN WCS."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_core.simulation.moffat import moffat_pixels

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """Shift, rotation and scale between two pixel grids: p′ = s·R(θ)·p + b.

    Attributes
    ----------
    scale
        Target pixels per source pixel.
    rotation_deg
        Counter-clockwise in pixel coordinates.
    offset
        b, target pixels.
    """

    scale: float
    rotation_deg: float
    offset: tuple[float, float]

    @classmethod
    def identity(cls) -> "Similarity":
        """The transform that changes nothing."""
        return cls(1.0, 0.0, (0.0, 0.0))

    @classmethod
    def about_centre(
        cls,
        shape: tuple[int, int],
        shift_pix: tuple[float, float],
        rotation_deg: float,
        scale: float = 1.0,
    ) -> "Similarity":
        """Rotate and scale about the centre of a frame of ``shape``, then shift."""
        centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
        turned = cls(scale, rotation_deg, (0.0, 0.0)).matrix @ centre
        offset = centre + np.asarray(shift_pix) - turned
        return cls(scale, rotation_deg, (float(offset[0]), float(offset[1])))

    @property
    def matrix(self) -> F64:
        """(2, 2) linear part."""
        angle = np.radians(self.rotation_deg)
        cos, sin = np.cos(angle), np.sin(angle)
        return self.scale * np.array([[cos, -sin], [sin, cos]])

    def apply(self, x_pix: F64, y_pix: F64) -> tuple[F64, F64]:
        """Transform positions."""
        matrix = self.matrix
        x = matrix[0, 0] * x_pix + matrix[0, 1] * y_pix + self.offset[0]
        y = matrix[1, 0] * x_pix + matrix[1, 1] * y_pix + self.offset[1]
        return x, y

    def inverse(self) -> "Similarity":
        """The transform back."""
        back = Similarity(1.0 / self.scale, -self.rotation_deg, (0.0, 0.0))
        b = -back.matrix @ np.asarray(self.offset)
        return Similarity(back.scale, back.rotation_deg, (float(b[0]), float(b[1])))

    def apply_table(self, table: NDArray[Any]) -> NDArray[Any]:
        """Copy of a source table seen through the transform: positions, sizes, angles."""
        seen = table.copy()
        seen["x_pix"], seen["y_pix"] = self.apply(table["x_pix"], table["y_pix"])
        names = seen.dtype.names or ()
        if "scale_pix" in names:
            seen["scale_pix"] *= self.scale
            seen["angle_deg"] += self.rotation_deg
        return seen

    def psf_stamp(self, forms: F64, beta: float, half_width: int) -> F64:
        """Stamp on the source grid of a Moffat of the target grid, integrated over source pixels.

        Parameters
        ----------
        forms
            (1, 2, 2) quadratic form in target pixels.
        """
        here = self.matrix.T @ forms[0] @ self.matrix
        grid = np.arange(-half_width, half_width + 1, dtype=float)
        return moffat_pixels(here[None], beta, grid[None, None, :], grid[None, :, None])[0]


def tan_wcs(
    sky_deg: tuple[float, float],
    pixel: tuple[float, float],
    pixel_scale_arcsec: float,
    transform: Similarity | None = None,
) -> WCS:
    """TAN WCS, north up and east left, carried through a transform of the pixel grid.

    Parameters
    ----------
    sky_deg
        (ra, dec) seen at ``pixel`` (0-based x, y), both before the transform.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = sky_deg
    step = pixel_scale_arcsec / 3600.0
    cd = np.array([[-step, 0.0], [0.0, step]])
    x, y = pixel
    if transform is not None:
        cd = cd @ np.linalg.inv(transform.matrix)
        x, y = (float(v[0]) for v in transform.apply(np.array([x]), np.array([y])))
    wcs.wcs.cd = cd
    wcs.wcs.crpix = (x + 1.0, y + 1.0)
    wcs.wcs.set()
    return wcs
