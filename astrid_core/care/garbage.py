"""Removing from the store what no row names and no run needs.

Why nothing that is needed is ever removed, though the pipeline runs meanwhile:

* Objects are stored before the rows that name them. One that no row names is removed only
  when it is older than any run takes from the one to the other (:class:`Grace`).
* A run may *find* its object there, left by a run that died, and not store it again. The
  store writes an equal object anew when it is older than a day
  (:attr:`~astrid_core.storage.ObjectStore.refresh_after_s`): whatever a run counts on is young.
* Nights that an unfinished run is about are left alone altogether (:class:`Busy`).
* Right before it is removed, rows, runs and the object's age are looked at once more.

Weights of models are never removed: MLflow's registry may name what no row does yet.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from astrid_core.care.naming import SCRATCH, named_among
from astrid_core.care.objects import Grace, NamedBy, is_left_behind
from astrid_core.storage import ObjectEntry, ObjectStore
from dbschema.transactions import snapshot, transaction

_MODELS = "models/"
_BATCH = 100
"""Objects removed between two looks at rows and runs."""

WITHOUT_ROW = "objects without a row"
STALE_SCRATCH = "scratch of runs that ended"


@dataclass(frozen=True)
class Busy:
    """What unfinished runs are about.

    Attributes
    ----------
    run_ids
        All of them.
    surveys
        Surveys that runs are about as a whole, references say.
    nights
        (survey, night) that runs are about.
    is_anything
        Whether some run does not say what it is about: it may be about anything.
    """

    run_ids: frozenset[str] = frozenset()
    surveys: frozenset[str] = frozenset()
    nights: frozenset[tuple[str, str]] = frozenset()
    is_anything: bool = False

    def needs(self, key: str) -> bool:
        """Whether a run may need the object of a key."""
        folder, _, rest = key.partition("/")
        if f"{folder}/" == SCRATCH:
            return rest.partition("/")[0] in self.run_ids
        if self.is_anything:
            return True
        parts = rest.split("/")
        if len(parts) < 3:  # training samples lie in no night
            return bool(self.run_ids)
        return parts[0] in self.surveys or (parts[0], parts[1]) in self.nights


@dataclass
class Swept:
    """What was removed, or would be, by kind.

    Attributes
    ----------
    spared
        Objects that were looked at a second time and left, because they are needed now.
    """

    n_objects: Counter[str] = field(default_factory=Counter)
    n_bytes: Counter[str] = field(default_factory=Counter)
    spared: int = 0

    def add(self, kind: str, n_objects: int, n_bytes: int) -> None:
        """Count more of a kind."""
        self.n_objects[kind] += n_objects
        self.n_bytes[kind] += n_bytes


def sweep_objects(
    engine: Engine,
    store: ObjectStore,
    grace: Grace,
    busy: Callable[[], Busy],
    *,
    dry_run: bool,
    report: Callable[[int, int], None] = lambda _, __: None,
) -> Swept:
    """Remove what no row names and no run needs; harmless while runs go on, and when repeated.

    Parameters
    ----------
    grace
        How old an object must be.
    busy
        Asked again and again what runs are unfinished.
    dry_run
        Only count.
    report
        Told how many of how many objects were removed.

    Raises
    ------
    DatabaseError, StoreError
        If database or store failed; what was removed until then was not needed.
    """
    with snapshot(engine) as connection:
        named = NamedBy.read(connection)
    now_busy = busy()
    found = [entry for entry in store.entries() if is_garbage(entry, named, grace, now_busy)]
    swept = Swept()
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        for entry in batch if dry_run else _still(engine, store, batch, grace, busy()):
            if not dry_run:
                store.delete(entry.key)
            swept.add(kind_of(entry), 1, entry.n_bytes)
        report(start + len(batch), len(found))
    swept.spared = 0 if dry_run else len(found) - swept.n_objects.total()
    return swept


def is_garbage(entry: ObjectEntry, named: NamedBy, grace: Grace, busy: Busy) -> bool:
    """Whether nothing needs an object."""
    if entry.key.startswith(_MODELS) or busy.needs(entry.key):
        return False
    if entry.key.startswith(SCRATCH):
        return grace.is_over(entry)
    return is_left_behind(entry, named, grace)


def kind_of(entry: ObjectEntry) -> str:
    """What it is called where it is counted."""
    return STALE_SCRATCH if entry.key.startswith(SCRATCH) else WITHOUT_ROW


def _still(
    engine: Engine, store: ObjectStore, batch: Sequence[ObjectEntry], grace: Grace, busy: Busy
) -> Iterator[ObjectEntry]:
    """Those that nothing needs now either."""
    with transaction(engine) as connection:
        named = named_among(connection, [entry.key for entry in batch])
    for before in batch:
        if before.key in named or busy.needs(before.key):
            continue
        entry = store.entry(before.key)
        if entry is not None and grace.is_over(entry):
            yield entry


def busy_with(runs: Iterable[tuple[str, str | None]], surveys: Iterable[str]) -> Busy:
    """What runs are about, by their partitions.

    Parameters
    ----------
    runs
        (run id, partition key) of each unfinished run.
    surveys
        Names of all surveys.
    """
    known = frozenset(surveys)
    ids: set[str] = set()
    whole: set[str] = set()
    nights: set[tuple[str, str]] = set()
    is_anything = False
    for run_id, partition in runs:
        ids.add(run_id)
        night, _, survey = (partition or "").partition("|")
        if survey in known:
            nights.add((survey, night))
        elif partition in known:
            whole.add(str(partition))
        else:
            is_anything = True
    return Busy(frozenset(ids), frozenset(whole), frozenset(nights), is_anything)
