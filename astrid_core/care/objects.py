"""Rows against the store: every object that rows name is there, and is what they say.

A run stores its objects before its rows, so that rows must be read first: what they name is
stored already. What is listed later and named by none is either on its way to a row or left
behind by a run that died; its age tells which (:class:`Grace`).
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from sqlalchemy import Connection

from astrid_core.care.naming import FOREIGN, PREFIXES, SCRATCH, named_objects, unhashed_keys
from astrid_core.care.report import Checked, Statement, checked
from astrid_core.errors import ObjectMissingError
from astrid_core.storage import ObjectEntry, ObjectStore

_LOST = (
    "Materialize the partition that wrote it again, with force: ids and bytes stay the same. "
    "Raw frames whose archive is gone, datasets and models: restore from a backup."
)
ONE_HASH = Statement(
    "one_hash", "All rows that name an object give it the same hash", "Restore from a backup."
)
HASHED = Statement(
    "hashed",
    "Every object that a row names is one whose hash another row has",
    "Materialize the partition that wrote it again, with force.",
)
PRESENT = Statement("present", "Every object that a row names is in the store", _LOST)
UNCHANGED = Statement("unchanged", "Every object has the hash that its rows give it", _LOST)
NAMED = Statement(
    "named",
    "Every object in the store is named by a row, or young enough to be on its way there",
    "Left behind by runs that died. 'astrid gc' removes it.",
    is_note=True,
)
KNOWN = Statement(
    "known_place",
    "Everything in the bucket lies where AstrID or MLflow puts things",
    "AstrID did not put it there and never removes it: give it another bucket.",
    is_note=True,
)

_THREADS = 4
_AHEAD = 64


@dataclass(frozen=True)
class Grace:
    """How old an object that no row names must be before it is called left behind.

    Attributes
    ----------
    age
        Longer than any run takes from storing an object to committing its row.
    now
        Moment that ages are counted from, by the store's clock.
    """

    age: dt.timedelta = dt.timedelta(days=2)
    now: dt.datetime | None = None

    def is_over(self, entry: ObjectEntry) -> bool:
        """Whether an object has been there for longer."""
        now = self.now or dt.datetime.now(dt.UTC)
        return now - entry.modified_at > self.age


@dataclass(frozen=True)
class NamedBy:
    """What all rows name together, from one state of the database.

    Attributes
    ----------
    sha256
        Key → recorded hash.
    unhashed
        (key, column) of objects named without a hash anywhere.
    contradictions
        Keys with two hashes, told for people.
    """

    sha256: Mapping[str, str]
    unhashed: tuple[tuple[str, str], ...]
    contradictions: tuple[str, ...]

    @classmethod
    def read(cls, connection: Connection) -> "NamedBy":
        """Read it; a few hundred bytes of memory an object."""
        sha256: dict[str, str] = {}
        contradictions = []
        for found in named_objects(connection):
            known = sha256.setdefault(found.key, found.sha256)
            if known != found.sha256:
                contradictions.append(f"{found.key}: {known}, and {found.sha256} by {found.by}")
        unhashed = tuple(unhashed_keys(connection))
        return cls(sha256, unhashed, tuple(contradictions))

    def __contains__(self, key: str) -> bool:
        return key in self.sha256 or key in self._unhashed

    @cached_property
    def _unhashed(self) -> frozenset[str]:
        return frozenset(key for key, _ in self.unhashed)


def is_left_behind(entry: ObjectEntry, named: NamedBy, grace: Grace) -> bool:
    """Whether an object lies where rows name objects, is named by none, and is no longer young."""
    return entry.key.startswith(PREFIXES) and entry.key not in named and grace.is_over(entry)


def check_objects(
    named: NamedBy,
    store: ObjectStore,
    grace: Grace,
    *,
    read_all: bool,
    report: Callable[[int, int], None] = lambda _, __: None,
) -> list[Checked]:
    """All of it.

    Parameters
    ----------
    named
        Read before; the store is listed now.
    read_all
        Whether each named object is read and hashed; else it is only looked for.
    report
        Told how many of how many objects were read.

    Raises
    ------
    StoreError
        If the store failed.
    """
    entries = {entry.key: entry for entry in store.entries()}
    n_named = len(named.sha256)
    missing = [key for key in named.sha256 if key not in entries]
    missing += [key for key, _ in named.unhashed if key not in entries]
    behind = [entry for entry in entries.values() if is_left_behind(entry, named, grace)]
    strange = [
        entry
        for entry in entries.values()
        if not entry.key.startswith((*PREFIXES, SCRATCH, FOREIGN))
    ]
    results = [
        checked(ONE_HASH, n_named, named.contradictions),
        checked(HASHED, n_named, (f"{key} by {by}" for key, by in named.unhashed)),
        checked(PRESENT, n_named, missing),
        checked(NAMED, len(entries), (e.key for e in behind), sum(e.n_bytes for e in behind)),
        checked(KNOWN, len(entries), (e.key for e in strange), sum(e.n_bytes for e in strange)),
    ]
    if read_all:
        there = {key: sha256 for key, sha256 in named.sha256.items() if key in entries}
        results.insert(3, checked(UNCHANGED, len(there), changed_objects(there, store, report)))
    return results


def changed_objects(
    wanted: Mapping[str, str],
    store: ObjectStore,
    report: Callable[[int, int], None] = lambda _, __: None,
) -> Iterator[str]:
    """Objects whose bytes have another hash than the wanted one, each read once.

    Raises
    ------
    StoreError
        If the store failed.
    """

    def look(item: tuple[str, str]) -> str | None:
        key, sha256 = item
        try:
            found = store.digest(key)
        except ObjectMissingError:
            return f"{key}: gone while it was looked for"
        return None if found == sha256 else f"{key}: {found}, recorded {sha256}"

    items = iter(wanted.items())
    done = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="audit") as pool:
        while batch := list(islice(items, _AHEAD)):
            for contradiction in pool.map(look, batch):
                done += 1
                if contradiction is not None:
                    yield contradiction
            report(done, len(wanted))
