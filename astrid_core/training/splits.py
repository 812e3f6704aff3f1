"""Who may learn from what: splits of the sky and of the nights that leak nothing.

A *group* is what is never divided: a HEALPix cell larger than a cutout, merged with those that
one object, or what moves, lies in too. A group's split is decided once and kept for all
datasets to come, and so is whether a night is held out. A sample is a test sample where a
held-out cell meets a held-out night. Held-out cells on other nights, and other cells on
held-out nights, serve nobody: they are dropped, and counted. So are samples whose cutout
overlaps one of a stricter split.

Everything here is a pure function; ``dbschema.models.TrainingGroup`` keeps what was decided.
"""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import astropy.units as u
import numpy as np
from astropy_healpix import HEALPix
from scipy.cluster.hierarchy import DisjointSet
from scipy.spatial import cKDTree

from astrid_core.errors import TooFewGroupsError
from astrid_core.sky import unit_vectors
from astrid_core.training.samples import SIDE_PIX, Split

FINEST_ORDER = 8
"""Cells of 13.7 arcmin. Coarser where two cutouts would not fit into one."""

SHARES: Mapping[Split, float] = {"train": 0.55, "val": 0.15, "test": 0.30}
"""Of groups."""

HELD_OUT_NIGHTS = 0.25
"""Share of nights that are held out."""

MIN_GROUPS = 5
MIN_NIGHTS = 2

_CELL_DEG = 58.6323
"""Square root of the area of a cell of order 0, in degrees."""

Kind = Literal["cell", "night"]
Decided = Mapping[tuple[Kind, str], Split]
"""(kind, key) → split; of a night ``test`` says that it is held out, ``train`` that it is not."""

_STRICTEST: tuple[Split, ...] = ("test", "val", "train")


@dataclass(frozen=True)
class Place:
    """Where and when a sample is, as far as splits are concerned.

    Attributes
    ----------
    ra, dec
        Degrees ICRS; None without WCS.
    scale_arcsec
        Arcsec per pixel; None without WCS.
    ties
        What ties its cell to others: its object, its trajectory.
    """

    survey: str
    field: str
    night: str
    ra: float | None
    dec: float | None
    scale_arcsec: float | None
    ties: tuple[Hashable, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """The split of each sample.

    Attributes
    ----------
    splits
        One per place; None where the sample is dropped.
    cells
        Group key of each place.
    decided
        What is new of cells and nights, to be kept.
    dropped
        Why how many were dropped.
    """

    splits: Sequence[Split | None]
    cells: Sequence[str]
    decided: Decided
    dropped: Mapping[str, int]


def assign(places: Sequence[Place], known: Decided) -> Assignment:
    """Split samples by sky cell and night.

    Parameters
    ----------
    known
        What was decided before, for other datasets.

    Raises
    ------
    TooFewGroupsError
        If there are fewer than ``MIN_GROUPS`` groups or ``MIN_NIGHTS`` nights, or no sample
        is left in train or test.
    """
    cells = [cell_of(place) for place in places]
    nights = [f"{place.survey}|{place.night}" for place in places]
    groups = merged(cells, [place.ties for place in places])
    _require_enough(len(set(groups.values())), len(set(nights)))
    decided = _decide_cells(groups, known) | _decide_nights(set(nights), known)
    split_of = dict(known) | decided
    dropped: Counter[str] = Counter()
    splits: list[Split | None] = []
    for cell, night in zip(cells, nights, strict=True):
        split = _meet(split_of["cell", cell], split_of["night", night])
        if split is None:
            dropped["held-out cell or night, but not both"] += 1
        splits.append(split)
    splits = _without_divided_ties(places, splits, dropped)
    splits = _without_overlaps(places, splits, dropped)
    _require_samples(splits, len(set(groups.values())), len(set(nights)))
    return Assignment(splits, cells, decided, dict(dropped))


def cell_of(place: Place) -> str:
    """Group key of a place: its HEALPix cell, larger than two cutouts; without WCS its field."""
    if place.ra is None or place.dec is None or place.scale_arcsec is None:
        return f"field:{place.survey}:{place.field}"
    order = cell_order(place.scale_arcsec)
    grid = HEALPix(nside=2**order, order="nested")
    return f"healpix:{order}:{int(grid.lonlat_to_healpix(place.ra * u.deg, place.dec * u.deg))}"


def cell_order(scale_arcsec: float) -> int:
    """Finest order, at most ``FINEST_ORDER``, whose cells are wider than two cutouts."""
    widest = 2 * SIDE_PIX * scale_arcsec / 3600.0
    return max(0, min(FINEST_ORDER, math.floor(math.log2(_CELL_DEG / widest))))


def merged(cells: Sequence[str], ties: Sequence[tuple[Hashable, ...]]) -> dict[str, str]:
    """Cell → its group's name, the smallest of its cells.

    Cells are one group where a tie is in both, and where one lies in the other.
    """
    together: DisjointSet = DisjointSet(sorted(set(cells)))
    first: dict[Hashable, str] = {}
    for cell, tied in zip(cells, ties, strict=True):
        for tie in tied:
            together.merge(first.setdefault(tie, cell), cell)
    for fine, coarse in _nested(set(cells)):
        together.merge(fine, coarse)
    return {cell: min(subset) for subset in together.subsets() for cell in subset}


def _nested(cells: set[str]) -> Iterable[tuple[str, str]]:
    """Pairs of cells of which the second holds the first."""
    parsed = [cell.split(":") for cell in cells if cell.startswith("healpix:")]
    orders = sorted({int(order) for _, order, _ in parsed})
    for _, order, index in parsed:
        for coarser in (other for other in orders if other < int(order)):
            parent = f"healpix:{coarser}:{int(index) >> 2 * (int(order) - coarser)}"
            if parent in cells:
                yield f"healpix:{order}:{index}", parent


def _decide_cells(groups: Mapping[str, str], known: Decided) -> dict[tuple[Kind, str], Split]:
    """Splits of cells that have none: their group's if it has one, else what is short most."""
    members: dict[str, list[str]] = defaultdict(list)
    for cell, group in groups.items():
        members[group].append(cell)
    counts: Counter[Split] = Counter(split for (kind, _), split in known.items() if kind == "cell")
    decided: dict[tuple[Kind, str], Split] = {}
    for group in sorted(members, key=_hash):
        before = [known["cell", cell] for cell in sorted(members[group]) if ("cell", cell) in known]
        split = before[0] if before else _shortest(counts)
        for cell in members[group]:
            if ("cell", cell) not in known:
                decided["cell", cell] = split
                counts[split] += 1
    return decided


def _shortest(counts: Mapping[Split, int]) -> Split:
    """The split that is farthest below its share."""
    total = sum(counts.values()) + 1
    return max(_STRICTEST, key=lambda split: SHARES[split] * total - counts.get(split, 0))


def _decide_nights(nights: set[str], known: Decided) -> dict[tuple[Kind, str], Split]:
    """Which nights are held out, of each survey apart."""
    decided: dict[tuple[Kind, str], Split] = {}
    for survey in sorted({night.rpartition("|")[0] for night in nights}):
        before = [
            s
            for (kind, key), s in known.items()
            if kind == "night" and key.rpartition("|")[0] == survey
        ]
        n_out, n_all = before.count("test"), len(before)
        new = [n for n in nights if n.rpartition("|")[0] == survey and ("night", n) not in known]
        for night in sorted(new, key=_hash):
            n_all += 1
            is_out = n_out < HELD_OUT_NIGHTS * n_all
            n_out += is_out
            decided["night", night] = "test" if is_out else "train"
    return decided


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _meet(cell: Split, night: Split) -> Split | None:
    """Split of a sample in a cell on a night."""
    if (cell == "test") != (night == "test"):
        return None
    return cell


def _without_divided_ties(
    places: Sequence[Place], splits: Sequence[Split | None], dropped: Counter[str]
) -> list[Split | None]:
    """Keep of what is tied the samples of the strictest split it is in.

    It happens where an object turns out to lie in cells that were decided apart before.
    """
    strictest: dict[Hashable, Split] = {}
    for split in reversed(_STRICTEST):
        for place, own in zip(places, splits, strict=True):
            if own == split:
                strictest |= dict.fromkeys(place.ties, split)
    kept: list[Split | None] = []
    for place, own in zip(places, splits, strict=True):
        divided = own is not None and any(strictest[tie] != own for tie in place.ties)
        dropped["object or trajectory in another split"] += divided
        kept.append(None if divided else own)
    return kept


def _without_overlaps(
    places: Sequence[Place], splits: Sequence[Split | None], dropped: Counter[str]
) -> list[Split | None]:
    """Drop samples whose cutout overlaps one of a stricter split, on any night."""
    kept = list(splits)
    for stricter, looser in (("test", "val"), ("test", "train"), ("val", "train")):
        mine = [i for i, split in enumerate(kept) if split == looser]
        theirs = [i for i, split in enumerate(kept) if split == stricter]
        for i in overlapping([places[i] for i in mine], [places[i] for i in theirs]):
            kept[mine[i]] = None
            dropped["cutout overlaps another split"] += 1
    return kept


def overlapping(some: Sequence[Place], others: Sequence[Place]) -> list[int]:
    """Indices of those of some places whose cutout may overlap that of another place."""
    mine, theirs = _on_sky(some), _on_sky(others)
    if not mine or not theirs:
        return []
    tree = cKDTree(unit_vectors(*_radec([others[i] for i in theirs])))
    here = unit_vectors(*_radec([some[i] for i in mine]))
    scale = max(others[i].scale_arcsec or 0.0 for i in theirs)
    found = []
    for index, vector in zip(mine, here, strict=True):
        # Two squares of any orientation: half a diagonal of each.
        reach_arcsec = SIDE_PIX / math.sqrt(2) * ((some[index].scale_arcsec or 0.0) + scale)
        if tree.query_ball_point(vector, math.radians(reach_arcsec / 3600.0), return_length=True):
            found.append(index)
    return found


def _on_sky(places: Sequence[Place]) -> list[int]:
    return [i for i, place in enumerate(places) if place.ra is not None]


def _radec(places: Sequence[Place]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p.ra for p in places]), np.array([p.dec for p in places])


def _require_enough(n_groups: int, n_nights: int) -> None:
    if n_groups < MIN_GROUPS or n_nights < MIN_NIGHTS:
        raise TooFewGroupsError(
            f"The detections lie in {n_groups} groups of sky and {n_nights} nights; splits that "
            f"leak nothing need at least {MIN_GROUPS} groups and {MIN_NIGHTS} nights.",
            remedy="Take a longer window or more fields.",
            n_groups=n_groups,
            n_nights=n_nights,
        )


def _require_samples(splits: Sequence[Split | None], n_groups: int, n_nights: int) -> None:
    missing = [split for split in ("train", "test") if split not in splits]
    if missing:
        raise TooFewGroupsError(
            f"No sample is left for {' and '.join(missing)}: {n_groups} groups of sky (at least "
            f"{MIN_GROUPS} are needed) and {n_nights} nights (at least {MIN_NIGHTS}), but no "
            "held-out group was seen on a held-out night.",
            remedy="Take a longer window or more fields, or have more detections judged.",
            n_groups=n_groups,
            n_nights=n_nights,
        )
