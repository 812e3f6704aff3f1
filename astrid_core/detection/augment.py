"""Windows as the network is taught them: cut, turned, roles exchanged. No torch here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Windows:
    """A batch: planes (n, 4, w, w) float32, labels (n, w, w) uint8, sources (n, w, w) bool."""

    planes: NDArray[np.float32]
    labels: NDArray[np.uint8]
    sources: NDArray[np.bool_]


def augmented(
    planes: NDArray[Any],
    labels: NDArray[np.uint8],
    sources: NDArray[np.bool_],
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.bool_]]:
    """One window with a flip, a rotation and an exchange of roles of its own."""
    if rng.random() < 0.5:
        planes = exchange_roles(planes)
    turn = symmetry(int(rng.integers(8)))
    return turn(planes), turn(labels), turn(sources)


def exchange_roles(planes: NDArray[Any]) -> NDArray[Any]:
    """Planes with science and reference exchanged: what brightened has now faded.

    D of the exchanged pair is −D, so a network taught on both treats either sign alike.
    """
    exchanged = planes[[1, 0, 2, 3]]
    exchanged[2] *= -1
    return exchanged


def window(image: NDArray[Any], x0: int, y0: int, size: int, fill: int | bool) -> NDArray[Any]:
    """Square of the last two axes from (x0, y0), filled beyond the image."""
    ny, nx = image.shape[-2:]
    out = np.full((*image.shape[:-2], size, size), fill, dtype=image.dtype)
    ya, yb, xa, xb = max(y0, 0), min(y0 + size, ny), max(x0, 0), min(x0 + size, nx)
    if ya < yb and xa < xb:
        out[..., ya - y0 : yb - y0, xa - x0 : xb - x0] = image[..., ya:yb, xa:xb]
    return out


def symmetry(index: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """One of the eight symmetries of the square, on the last two axes."""

    def turn(image: NDArray[Any]) -> NDArray[Any]:
        turned = np.rot90(image, index % 4, axes=(-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if index >= 4 else turned)

    return turn
