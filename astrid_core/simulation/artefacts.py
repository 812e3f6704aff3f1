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


@dataclass(frozen=True)
class Detector:
    """Defects fixed in detector coordinates.

    Attributes
    ----------
    response
        (ny, nx) factor on the light: bad columns respond little.
    excess_e
        (ny, nx) electrons that hot pixels and a bright column add to every exposure.
    """

    response: F64
    excess_e: F64


def draw_detector(
    rng: np.random.Generator,
    shape: tuple[int, int],
    n_bad_columns: int,
    n_hot_pixels: int,
    exposure_s: float,
) -> Detector:
    """Draw a detector's defects: whole and partial bad columns, and hot pixels."""
    ny, nx = shape
    response, excess = np.ones(shape), np.zeros(shape)
    for column in rng.choice(nx, n_bad_columns, replace=False):
        start = int(rng.integers(0, ny // 2)) if rng.random() < 0.5 else 0
        if rng.random() < 0.8:
            response[start:, column] = rng.uniform(0.0, 0.5)
        else:
            excess[start:, column] = rng.uniform(200.0, 1500.0)
    rows, columns = rng.integers(0, ny, n_hot_pixels), rng.integers(0, nx, n_hot_pixels)
    # Dark current of hot pixels spans decades: a few saturate, most are a nuisance.
    excess[rows, columns] += exposure_s * rng.lognormal(np.log(25.0), 1.3, n_hot_pixels)
    return Detector(response, excess)


def add_trail(light: F64, rng: np.random.Generator, fwhm_pix: float) -> None:
    """Add a satellite's trail in place: a straight line as wide as the seeing, edge to edge."""
    ny, nx = light.shape
    x0, y0 = rng.uniform(0.15, 0.85) * nx, rng.uniform(0.15, 0.85) * ny
    angle = rng.uniform(0, np.pi)
    y, x = np.ogrid[:ny, :nx]
    across = (x - x0) * np.sin(angle) - (y - y0) * np.cos(angle)
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    sigma = fwhm_pix / 2.355
    peak = np.exp(rng.uniform(np.log(60.0), np.log(1200.0)))
    # Tumbling: the brightness varies slowly along the trail.
    glint = 1 + rng.uniform(0, 0.5) * np.sin(2 * np.pi * along / (rng.uniform(1, 4) * nx))
    light += peak * glint * np.exp(-0.5 * (across / sigma) ** 2)


def bleed(electrons: F64, full_well_e: float) -> None:
    """Spill charge over full well along columns, in place, half up and half down.

    Charge is conserved until it reaches the end of the column.
    """
    for column in np.flatnonzero((electrons > full_well_e).any(axis=0)):
        charge = electrons[:, column]
        for step in (1, -1):
            spilling = charge[::step]
            carried = 0.0
            for row in range(len(spilling)):
                over = spilling[row] + carried - full_well_e
                if spilling[row] > full_well_e:
                    # The first pass takes half of the excess, the second all that is left.
                    share = 0.5 if step == 1 else 1.0
                    own = share * (spilling[row] - full_well_e)
                    spilling[row] -= own
                    carried += own
                elif carried > 0:
                    taken = carried if over <= 0 else full_well_e - spilling[row]
                    spilling[row] += taken
                    carried -= taken
