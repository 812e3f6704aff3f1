"""Where on a frame a source lies: blank sky, on an extended source, near a star."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from astrid_core.flags import PixelFlag
from astrid_core.frame import Frame

F64 = NDArray[np.float64]

Environment = Literal["blank", "host", "star"]
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)

_STAR_REACH_FWHM = 3.0
"""As in the simulator's truth: nearer than this to a brighter star is near a star."""
_HOST_REACH = 1.5
"""In the host's own FWHM: about three scale lengths of an exponential disc."""
_EXTENDED = 1.25
"""A source this much wider than the PSF is no point source."""
_HOST_SNR, _STAR_SNR = 10.0, 50.0


def environments(frame: Frame, x_pix: F64, y_pix: F64, flux: F64) -> NDArray[np.str_]:
    """Environment of each position, by the frame's own catalogue and mask.

    Parameters
    ----------
    x_pix, y_pix, flux
        (n,) of the sources asked about; only a *brighter* star's neighbourhood counts.

    Returns
    -------
    (n,) of ``star`` within 3 FWHM of a brighter point source or of saturation, else
    ``host`` within 1.5 of its own FWHM of an extended one, else ``blank``.
    """
    result = np.full(len(x_pix), "blank", dtype="U5")
    points = np.column_stack([x_pix, y_pix])
    hosts, stars = extended_sources(frame), point_sources(frame)
    for index, near in _pairs(points, hosts, _HOST_REACH * _largest(hosts["fwhm_pix"])):
        gap = np.hypot(hosts["x_pix"][near] - x_pix[index], hosts["y_pix"][near] - y_pix[index])
        if (gap < _HOST_REACH * hosts["fwhm_pix"][near]).any():
            result[index] = "host"
    reach = _STAR_REACH_FWHM * frame.psf.fwhm_pix
    for index, near in _pairs(points, stars, reach):
        if (stars["flux"][near] > flux[index]).any():
            result[index] = "star"
    result[_near_saturation(frame, points, reach)] = "star"
    return result


def extended_sources(frame: Frame) -> NDArray[Any]:
    """Catalogue rows wider than the PSF that are no clean stars."""
    stars = frame.stars
    is_wide = stars["fwhm_pix"] > _EXTENDED * frame.psf.fwhm_pix
    return stars[
        (stars["is_star"] == 0) & is_wide & (stars["flux"] > _HOST_SNR * stars["flux_err"])
    ]


def point_sources(frame: Frame) -> NDArray[Any]:
    """Catalogue rows that are as sharp as the PSF, alone or not."""
    stars = frame.stars
    return stars[(stars["is_star"] == 1) | (stars["fwhm_pix"] <= _EXTENDED * frame.psf.fwhm_pix)]


def special_positions(frame: Frame, n_each: int, rng: np.random.Generator) -> F64:
    """Positions on extended sources and beside stars, by turns, at most ``n_each`` of either.

    Returns
    -------
    (n, 2) x, y: scattered over a host as its light is, or 1 to 3 FWHM from a star.
    """
    hosts, stars = extended_sources(frame), point_sources(frame)
    stars = stars[stars["flux"] > _STAR_SNR * stars["flux_err"]]
    hosts, stars = (rng.permutation(table)[:n_each] for table in (hosts, stars))
    scatter = rng.normal(0.0, 1.0, (len(hosts), 2)) * hosts["fwhm_pix"][:, None] / 2.355
    radius = rng.uniform(1.0, _STAR_REACH_FWHM, len(stars)) * frame.psf.fwhm_pix
    angle = rng.uniform(0.0, 2 * np.pi, len(stars))
    ring = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    on_hosts, by_stars = _positions(hosts) + scatter, _positions(stars) + ring
    n = min(len(on_hosts), len(by_stars))
    by_turns = np.stack([on_hosts[:n], by_stars[:n]], axis=1).reshape(-1, 2)
    return np.concatenate([by_turns, on_hosts[n:], by_stars[n:]])


def _positions(table: NDArray[Any]) -> F64:
    return np.column_stack([table["x_pix"], table["y_pix"]]).astype(np.float64)


def _largest(values: NDArray[Any]) -> float:
    return float(values.max()) if len(values) else 0.0


def _pairs(points: F64, table: NDArray[Any], reach: float) -> list[tuple[int, list[int]]]:
    """Points that have rows of a table within reach, with those rows."""
    if not len(table) or not len(points):
        return []
    near: Any = cKDTree(_positions(table)).query_ball_point(points, reach)
    return [(index, rows) for index, rows in enumerate(near) if rows]


def _near_saturation(frame: Frame, points: F64, reach: float) -> NDArray[np.bool_]:
    full = (frame.mask & int(PixelFlag.SATURATED)) != 0
    if not full.any() or not len(points):
        return np.zeros(len(points), dtype=bool)
    distance = distance_transform_edt(~full)
    ny, nx = frame.shape
    column = np.clip(np.rint(points[:, 0]).astype(int), 0, nx - 1)
    row = np.clip(np.rint(points[:, 1]).astype(int), 0, ny - 1)
    return np.asarray(distance[row, column] < reach)
