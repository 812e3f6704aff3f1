"""The leak audit: proof that what a dataset tests by was not learnt from.

Splits are made so that nothing leaks; the audit looks at the result, knowing nothing of how it
was made, so that a fault there, or two names for one image, is found.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.training.samples import IMAGE_PLANES, SIDE_PIX, SampleRecord
from astrid_core.training.splits import Place, overlapping

F32 = NDArray[np.float32]

SAME_NOISE = 0.5
"""Correlation of two samples' sky from which it is one image: of independent noise it is below
0.15 in a million pairs."""

_BIN = 2
_CENTRE_BINS = 7
_BLOCK = 1024


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    n_found
        Samples that the check objects to.
    blocks
        Whether training on the dataset must not begin where it objects.
    detail
        What it is about, for people.
    """

    check: str
    n_found: int
    blocks: bool
    detail: str

    @property
    def passed(self) -> bool:
        """Whether it found nothing."""
        return self.n_found == 0


@dataclass(frozen=True)
class KnownModel:
    """A model, and what it was trained on as its card tells.

    Attributes
    ----------
    groups
        Sky cells trained on.
    seeds
        Seeds of simulated skies trained on.
    """

    name: str
    groups: frozenset[str]
    seeds: frozenset[int]

    @classmethod
    def of(cls, name: str, card: Mapping[str, Any]) -> "KnownModel":
        """A model by its card."""
        data = card.get("data", {})
        first, skies = data.get("first_seed"), data.get("skies", {})
        # Of the skies of the bootstrap, those of validation and test were not learnt from, but
        # thresholds and the decision to ship it were.
        seeds = range(first, first + sum(skies.values())) if first is not None else ()
        return cls(name, groups_learnt(data), frozenset(seeds))


def groups_learnt(data: Mapping[str, Any]) -> frozenset[str]:
    """Groups of sky that a model was trained on, its ancestors included, by its card's data."""
    return frozenset(data.get("dataset", {}).get("groups", ()))


def audit(
    records: Sequence[SampleRecord],
    places: Sequence[Place],
    sky: F32,
    models: Sequence[KnownModel],
    seeds: Mapping[str, int],
) -> list[Finding]:
    """Look for leaks between what is learnt and what is measured by.

    Parameters
    ----------
    places, sky
        Of the records, in their order; ``sky`` from :func:`sky_of`.
    models
        The champion and others that the dataset will be used to compare with.
    seeds
        Simulated survey → its seed.
    """
    return [
        _divided("sky cells", "group", records, lambda r, _: (r.group_key,), places),
        _nights(records),
        _divided("objects and trajectories", "object", records, lambda _, p: p.ties, places),
        _overlaps(records, places),
        _duplicates(records, sky),
        *_seen_by_models(records, models, seeds),
    ]


def sky_of(images: F32) -> F32:
    """What tells a sample's image from all others (n, 1600): its noise around the source.

    D in 2 × 2 bins with the centre left out, of mean 0 and length 1: stars cancel in D, and the
    noise that is left is like no other image's.
    """
    side = SIDE_PIX // _BIN
    d = images[:, IMAGE_PLANES.index("difference")]
    binned = d.reshape(len(d), side, _BIN, side, _BIN).mean(axis=(2, 4), dtype=np.float32)
    middle = slice(side // 2 - _CENTRE_BINS, side // 2 + _CENTRE_BINS)
    # Whatever is bright says where a source is, not which noise it is in.
    binned = np.clip(binned, -2.0, 2.0)
    binned[:, middle, middle] = 0
    flat = binned.reshape(len(d), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6), dtype=np.float32)


def _divided(
    what: str,
    one: str,
    records: Sequence[SampleRecord],
    keys_of: Callable[[SampleRecord, Place], tuple[Hashable, ...]],
    places: Sequence[Place],
) -> Finding:
    """Samples whose key is in more than one split."""
    splits: dict[Hashable, set[str]] = defaultdict(set)
    keys = [keys_of(record, place) for record, place in zip(records, places, strict=True)]
    for record, own in zip(records, keys, strict=True):
        for key in own:
            splits[key].add(record.split)
    n = sum(any(len(splits[key]) > 1 for key in own) for own in keys)
    return Finding(f"{what} are in one split each", n, True, f"samples whose {one} is in several")


def _nights(records: Sequence[SampleRecord]) -> Finding:
    tested = {_night(record) for record in records if record.split == "test"}
    n = sum(_night(record) in tested for record in records if record.split != "test")
    return Finding(
        "test nights are held out", n, True, "train and validation samples of a night tested by"
    )


def _night(record: SampleRecord) -> tuple[str, str]:
    return str(record.metadata["survey"]), str(record.metadata["night"])


def _overlaps(records: Sequence[SampleRecord], places: Sequence[Place]) -> Finding:
    n = 0
    for split in ("train", "val"):
        mine = [p for p, r in zip(places, records, strict=True) if r.split == split]
        stricter = ("test",) if split == "val" else ("test", "val")
        theirs = [p for p, r in zip(places, records, strict=True) if r.split in stricter]
        n += len(overlapping(mine, theirs))
    return Finding("cutouts of different splits do not overlap", n, True, "samples that do")


def _duplicates(records: Sequence[SampleRecord], sky: F32) -> Finding:
    """Samples of train that are an image of test or validation, turned or mirrored or not."""
    splits = np.array([record.split for record in records])
    learnt, held = sky[splits == "train"], sky[splits != "train"]
    pairs = [(learnt, held), (sky[splits == "val"], sky[splits == "test"])]
    n = sum(_n_alike(one, other) for one, other in pairs)
    return Finding(
        "no image is in two splits",
        n,
        True,
        f"samples whose sky correlates by {SAME_NOISE} or more with one of a stricter split",
    )


def _n_alike(some: F32, others: F32) -> int:
    if not len(some) or not len(others):
        return 0
    n = 0
    for start in range(0, len(some), _BLOCK):
        block = some[start : start + _BLOCK]
        alike = np.zeros(len(block), dtype=bool)
        for turned in _turned(others):
            for first in range(0, len(turned), _BLOCK):
                alike |= (block @ turned[first : first + _BLOCK].T).max(axis=1) >= SAME_NOISE
        n += int(alike.sum())
    return n


def _turned(sky: F32) -> Iterator[F32]:
    """The eight symmetries of the square."""
    side = SIDE_PIX // _BIN
    square = sky.reshape(len(sky), side, side)
    for turns in range(4):
        turned = np.rot90(square, turns, axes=(1, 2))
        yield np.ascontiguousarray(turned).reshape(len(sky), -1)
        yield np.ascontiguousarray(turned[:, :, ::-1]).reshape(len(sky), -1)


def _seen_by_models(
    records: Sequence[SampleRecord], models: Sequence[KnownModel], seeds: Mapping[str, int]
) -> list[Finding]:
    """Test samples of sky that models were trained on: to be told, and kept from comparisons."""
    tests = [record for record in records if record.split == "test"]
    return [
        Finding(
            f"model {model.name} was not trained on what it is tested by",
            sum(
                record.group_key in model.groups
                or seeds.get(str(record.metadata["survey"])) in model.seeds
                for record in tests
            ),
            False,
            "test samples of sky it was trained on; no promotion compares it by them",
        )
        for model in models
    ]
