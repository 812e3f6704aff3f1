"""Hypotheses of how two star fields lie on each other, from patterns of their stars.

A triangle's ratios of sides survive shift, rotation, scale and mirroring (Groth 1986;
Valdes et al. 1995). Each pair of alike triangles proposes a similarity; true ones agree
with each other, so proposals are ranked by how many others lie close by. In crowded fields
the commonest difference of positions is a second witness. Nothing is believed here:
``matching`` proves or refutes each hypothesis on all sources.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.spatial import cKDTree

from astrid_core.differencing.registration_config import PatternConfig
from astrid_core.differencing.transform import Polynomial

F64 = NDArray[np.float64]
Index = NDArray[np.intp]

_MIN_SIDE_PIX = 8.0
"""Shorter sides are too uncertain for ratios."""
_ALIKE = 8
"""Reference triangles compared with each science triangle."""
_BIN_PIX = 3.0
_VOTE_WIDTHS = np.array([0.02, 0.02, 4.0, 4.0])
"""ln(scale), radians, pixels, pixels: proposals within these vote for each other."""


def propose_similarities(science: F64, reference: F64, config: PatternConfig) -> list[Polynomial]:
    """Similarities science → reference from alike triangles, most voted first.

    Parameters
    ----------
    science, reference
        (n, 2) positions, brightest first.

    Returns
    -------
    At most ``config.max_hypotheses`` affine maps of either parity, distinct from each other.
    """
    science, reference = science[: config.n_bright], reference[: config.n_bright]
    triangles_s, ratios_s = _triangles(science, config.n_neighbours)
    triangles_r, ratios_r = _triangles(reference, config.n_neighbours)
    if len(triangles_s) == 0 or len(triangles_r) == 0:
        return []
    nearest = cKDTree(ratios_r).query(
        ratios_s, k=min(_ALIKE, len(ratios_r)), distance_upper_bound=config.invariant_radius
    )
    distance, alike = (np.reshape(column, (len(ratios_s), -1)) for column in nearest)
    which, column = np.nonzero(np.isfinite(distance))
    from_ = science[triangles_s[which]]
    to = reference[triangles_r[alike[which, column]]]
    centre = science.mean(axis=0)
    proposals = []
    for mirrored in (False, True):
        proposals.append(_similarities(from_, to, centre, mirrored))
    ranked = _rank(proposals, config)
    return [_as_affine(parameters, centre, mirrored) for parameters, mirrored in ranked]


def propose_shifts(science: F64, reference: F64, n_best: int = 12) -> list[Polynomial]:
    """Pure shifts at which most pairs of sources coincide, most first.

    Offsets of all pairs of the brightest 400 are counted in 3-pixel bins.
    """
    science, reference = science[:400], reference[:400]
    if len(science) == 0 or len(reference) == 0:
        return []
    offsets = (reference[None, :, :] - science[:, None, :]).reshape(-1, 2)
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    n_bins = np.maximum(np.ceil((high - low) / _BIN_PIX).astype(int), 1)
    counts, x_edges, y_edges = np.histogram2d(
        offsets[:, 0],
        offsets[:, 1],
        bins=[int(n) for n in n_bins],
        range=[(low[0], low[0] + n_bins[0] * _BIN_PIX), (low[1], low[1] + n_bins[1] * _BIN_PIX)],
    )
    # Chance pairs are commonest at small offsets: compare each bin with its surroundings.
    votes = uniform_filter(counts, 2, mode="constant") * 4
    expected = uniform_filter(counts, 41, mode="constant") * 4
    excess = (votes - expected) / np.sqrt(expected + 1.0)
    shifts = []
    for flat in np.argsort(-excess, axis=None)[:n_best]:
        i, j = np.unravel_index(flat, excess.shape)
        shift = np.array([x_edges[i], y_edges[j]])
        shifts.append(Polynomial.affine(np.eye(2), shift))
    return shifts


def _triangles(position: F64, n_neighbours: int) -> tuple[Index, F64]:
    """Triangles of each star with its neighbours, and their ratios of sides.

    Vertices are ordered by the side opposite them, longest first, so that alike triangles
    correspond vertex by vertex. Ratios are (middle, shortest) over the longest side.
    """
    if len(position) < 3:
        return np.zeros((0, 3), dtype=np.intp), np.zeros((0, 2))
    k = min(n_neighbours + 1, len(position))
    near = np.asarray(cKDTree(position).query(position, k=k)[1])
    rows = [near[:, list(pair)] for pair in combinations(range(1, k), 2)]
    own = near[:, 0]
    triples = np.concatenate([np.column_stack([own, pair]) for pair in rows])
    triples = np.unique(np.sort(triples, axis=1), axis=0)
    corners = position[triples]
    opposite = np.linalg.norm(corners[:, [1, 2, 0]] - corners[:, [2, 0, 1]], axis=2)
    order = np.argsort(-opposite, axis=1)
    sides = np.take_along_axis(opposite, order, axis=1)
    triples = np.take_along_axis(triples, order, axis=1)
    wide = sides[:, 2] > _MIN_SIDE_PIX
    sides, triples = sides[wide], triples[wide]
    return triples.astype(np.intp), sides[:, 1:] / sides[:, :1]


def _similarities(from_: F64, to: F64, centre: F64, mirrored: bool) -> F64:
    """Least-squares similarities through corresponding triangles.

    Returns
    -------
    (n, 5): ln(scale), rotation, where the centre goes (x, y), rms misfit; nan where the
    triangles are of the other parity.
    """
    z = from_[..., 0] + 1j * from_[..., 1] * (-1 if mirrored else 1)
    w = to[..., 0] + 1j * to[..., 1]
    c = centre[0] + 1j * centre[1] * (-1 if mirrored else 1)
    z_mean, w_mean = z.mean(axis=1, keepdims=True), w.mean(axis=1, keepdims=True)
    dz, dw = z - z_mean, w - w_mean
    factor = (np.conj(dz) * dw).sum(axis=1) / (np.abs(dz) ** 2).sum(axis=1)
    misfit = np.sqrt((np.abs(dw - factor[:, None] * dz) ** 2).mean(axis=1))
    at = w_mean[:, 0] + factor * (c - z_mean[:, 0])
    with np.errstate(divide="ignore"):
        table = np.column_stack(
            [np.log(np.abs(factor)), np.angle(factor), at.real, at.imag, misfit]
        )
    table[misfit > 3.0] = np.nan
    return np.asarray(table)


def _rank(proposals: list[F64], config: PatternConfig) -> list[tuple[F64, bool]]:
    """Proposals by votes, one for each cluster, both parities together."""
    limit = np.log(config.max_scale_change)
    ranked: list[tuple[int, F64, bool]] = []
    for table, mirrored in zip(proposals, (False, True), strict=True):
        sane = np.isfinite(table).all(axis=1) & (np.abs(table[:, 0]) <= limit)
        points = table[sane, :4]
        if len(points) == 0:
            continue
        # The angle wraps around: it votes as a point on the unit circle.
        wrapped = np.column_stack([points[:, :1], np.cos(points[:, 1]), np.sin(points[:, 1])])
        scaled = np.column_stack([wrapped / 0.02, points[:, 2:] / _VOTE_WIDTHS[2:]])
        tree = cKDTree(scaled)
        votes = tree.query_ball_point(scaled, 1.5, return_length=True)
        taken = np.zeros(len(points), dtype=bool)
        for index in np.argsort(-votes, kind="stable"):
            if taken[index]:
                continue
            members = tree.query_ball_point(scaled[index], 1.5)
            taken[members] = True
            ranked.append((int(votes[index]), np.median(points[members], axis=0), mirrored))
            if len(ranked) > 2 * config.max_hypotheses:
                break
    ranked.sort(key=lambda item: -item[0])
    return [(parameters, mirrored) for _, parameters, mirrored in ranked[: config.max_hypotheses]]


def _as_affine(parameters: F64, centre: F64, mirrored: bool) -> Polynomial:
    """Affine map of a proposal: rotate and scale about the centre, then place it."""
    scale, angle = np.exp(parameters[0]), parameters[1]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]])
    if mirrored:
        matrix = matrix @ np.diag([1.0, -1.0])
    return Polynomial.affine(matrix, parameters[2:4] - matrix @ centre)
