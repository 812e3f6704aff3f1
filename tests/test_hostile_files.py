"""One hostile file of each kind through all that touches an archive's bytes, in seconds.

``benchmarks.hostile`` takes ten thousand, in processes that may die.
"""

from pathlib import Path

from benchmarks.hostile_base import made_bases
from benchmarks.hostile_files import KINDS, hostile_file
from benchmarks.hostile_task import Gauntlet
from dbschema.session import make_engine

SEED = 7


def test_each_kind_is_processed_or_refused_and_nothing_else(
    migrated_url: str, tmp_path: Path
) -> None:
    made = made_bases(SEED)
    engine = make_engine(migrated_url)
    gauntlet = Gauntlet(engine, tmp_path)
    became = {}
    for index in range(len(KINDS)):
        verdict = gauntlet.run(hostile_file(SEED, index, made, ()))
        assert verdict.faults == [], (verdict.kind, index)
        became[verdict.kind] = verdict.outcome
    engine.dispose()
    assert set(became) == set(KINDS)
    assert "completed" in became.values(), "nothing was processed: nothing is shown"
    assert "BadFitsError" in became.values()


def test_files_are_what_seed_and_number_say() -> None:
    made = made_bases(SEED)
    one, same = (hostile_file(SEED, 3, made, ()) for _ in range(2))
    assert one == same
    assert one != hostile_file(SEED + 1, 3, made, ())
