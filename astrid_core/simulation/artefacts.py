"""What detectors and the sky add that is no source: cosmic rays, bad columns, saturation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from astrid_core.flags import PixelFlag

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Artefacts:
    """How many artefacts an exposure gets.

    Attributes
    ----------
    n_cosmic_rays, n_bad_columns
        Tracks of a few to some tens of pixels; dead or bright columns at random places.
    saturation_e
        Full well in electrons; None is never full.
    """

    n_cosmic_rays: int = 0
    n_bad_columns: int = 0
    saturation_e: float | None = None


def plant_artefacts(
    electrons: F64, artefacts: Artefacts, rng: np.random.Generator, *, flag: bool
) -> NDArray[np.uint16]:
    """Plant artefacts into ``electrons`` (ny, nx), in place.

    Returns
    -------
    (ny, nx) uint16 of :class:`PixelFlag`: SATURATED always, COSMIC and BAD where ``flag``.
    """
    mask = np.zeros(electrons.shape, dtype=np.uint16)
    hits = add_cosmic_rays(electrons, artefacts.n_cosmic_rays, rng)
    columns = rng.choice(electrons.shape[1], artefacts.n_bad_columns, replace=False)
    electrons[:, columns] *= rng.uniform(0.0, 0.5, len(columns))
    if flag:
        mask[hits] |= np.uint16(PixelFlag.COSMIC)
        mask[:, columns] |= np.uint16(PixelFlag.BAD)
    if artefacts.saturation_e is not None:
        full = electrons >= artefacts.saturation_e
        electrons[full] = artefacts.saturation_e
        mask[full] |= np.uint16(PixelFlag.SATURATED)
    return mask


def add_cosmic_rays(electrons: F64, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Add ``n`` cosmic rays in place; where they hit.

    A muon crosses the silicon at a slant: a straight track of exponential length, charge
    spread evenly over it with Landau-like fluctuations, sharper than any PSF.
    """
    ny, nx = electrons.shape
    hits = np.zeros(electrons.shape, dtype=bool)
    for _ in range(n):
        x, y, angle = rng.uniform(0, nx), rng.uniform(0, ny), rng.uniform(0, np.pi)
        length = 1.0 + rng.exponential(5.0)
        per_pixel = rng.lognormal(np.log(900.0), 0.7)
        steps = np.arange(0.0, length, 0.25)
        columns = (x + steps * np.cos(angle)).astype(int)
        rows = (y + steps * np.sin(angle)).astype(int)
        inside = (columns >= 0) & (columns < nx) & (rows >= 0) & (rows < ny)
        charge = 0.25 * per_pixel * rng.lognormal(0.0, 0.3, inside.sum())
        np.add.at(electrons, (rows[inside], columns[inside]), charge)
        hits[rows[inside], columns[inside]] = True
    return hits
