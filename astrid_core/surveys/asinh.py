"""Images stored as inverse hyperbolic sines, made linear again.

What belongs here: the scaling that Pan-STARRS gives its stacks. What does not: which images
are then trusted (``ingest``, ``differencing.linearity``).
"""

import math

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

F32 = NDArray[np.float32]

SOFTENING_CARD = "BSOFTEN"
OFFSET_CARD = "BOFFSET"
_MAGNITUDES_PER_E = 2.5 * math.log10(math.e)


def is_asinh(header: fits.Header) -> bool:
    """Whether an image's values are scaled, whether or not its header says how."""
    return SOFTENING_CARD in header


def can_be_linearised(header: fits.Header) -> bool:
    """Whether a scaled image's header says how."""
    return _scaling(header) is not None


def linearised(data: F32, header: fits.Header) -> F32:
    """Values proportional to light, of an image whose header states its asinh scaling.

    Parameters
    ----------
    data : (ny, nx) float32
        Values as stored, BSCALE and BZERO applied.

    Returns
    -------
    (ny, nx) float32
        ``BOFFSET + 2 BSOFTEN sinh(data / (2.5 log10 e))``; the very array where nothing is
        scaled or the header does not say how. What float32 cannot hold is infinite.

    Notes
    -----
    The scaling is that of asinh magnitudes (Lupton, Gunn and Szalay 1999, AJ 118, 1406); the
    cards are those of STScI's page "PS1 Stack images". Its cutouts are linear already, and
    have no such cards.
    """
    scaling = _scaling(header)
    if scaling is None:
        return data
    offset, softening = scaling
    with np.errstate(over="ignore", invalid="ignore"):
        grown = np.sinh(data.astype(np.float64) / _MAGNITUDES_PER_E)
        return (offset + 2.0 * softening * grown).astype(np.float32)


def _scaling(header: fits.Header) -> tuple[float, float] | None:
    """(BOFFSET, BSOFTEN) where both are numbers that make sense."""
    offset, softening = header.get(OFFSET_CARD), header.get(SOFTENING_CARD)
    if isinstance(offset, bool) or not isinstance(offset, int | float):
        return None
    if isinstance(softening, bool) or not isinstance(softening, int | float):
        return None
    if not (math.isfinite(offset) and math.isfinite(softening) and softening > 0):
        return None
    return float(offset), float(softening)
