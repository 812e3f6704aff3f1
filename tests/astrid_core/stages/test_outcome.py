"""The boundary of one frame: whatever happens inside becomes a row."""

from pathlib import Path

import pytest

from astrid_core.errors import TooFewStarsError
from astrid_core.stages.outcome import Outcome, StagedObject, Success, attempt, failure_row

ROW = {"run_id": "r", "observation_id": "o"}


def test_a_success_adds_its_values_and_its_time() -> None:
    staged = StagedObject("key", Path("file"), "0" * 64)
    outcome = attempt(ROW, lambda: Success({"status": "completed"}, staged, ({"id": 1},)))
    assert outcome.row["status"] == "completed"
    assert outcome.row["wall_s"] >= 0
    assert outcome.staged == staged
    assert outcome.children == ({"id": 1},)
    assert not outcome.has_failed


def test_an_error_of_ours_keeps_its_numbers_and_remedy() -> None:
    def compute() -> Success:
        raise TooFewStarsError("Frame X has too few stars", remedy="Expose longer.", n_stars=2)

    outcome = attempt(ROW, compute)
    assert outcome.has_failed
    assert outcome.row["error_type"] == "TooFewStarsError"
    assert outcome.row["error_message"] == ("Frame X has too few stars [n_stars=2] Expose longer.")
    assert outcome.staged is None


@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError(), ZeroDivisionError("x")])
def test_an_unexpected_error_is_recorded_with_its_place(error: Exception) -> None:
    def compute() -> Success:
        raise error

    row = attempt(ROW, compute).row
    assert row["error_type"] == type(error).__name__
    assert "raised in compute" in row["error_message"]


def test_stopping_the_run_is_not_a_failure_of_the_frame() -> None:
    def compute() -> Success:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(ROW, compute)


def test_a_failure_leaves_the_row_it_began_with_alone() -> None:
    before = dict(ROW)
    assert failure_row(ROW, ValueError("x"))["status"] == "failed"
    assert before == ROW
    assert Outcome({"status": "failed"}).has_failed
