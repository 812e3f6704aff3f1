"""How a step says how far it is."""

import logging
from itertools import accumulate, repeat

import pytest

from astrid_dagster.assets import night


def told(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds_a_frame: float,
    total: int | None,
) -> list[str]:
    """What is said of twelve frames that take so long each."""
    clock = accumulate(repeat(seconds_a_frame), initial=0.0)
    monkeypatch.setattr(night.time, "monotonic", lambda: next(clock))
    progress = night.Progress(logging.getLogger("step"), total)
    with caplog.at_level(logging.INFO, "step"):
        for done in range(1, 13):
            progress.report(done)
    return [record.message for record in caplog.records]


def test_small_frames_are_no_flood(monkeypatch, caplog) -> None:
    said = told(monkeypatch, caplog, 3.0, 12)
    assert said == ["5 of 12 frames", "10 of 12 frames", "12 of 12 frames"]


def test_large_frames_are_no_silence(monkeypatch, caplog) -> None:
    assert told(monkeypatch, caplog, 20.0, None) == [f"{n} of ? frames" for n in range(1, 13)]


def test_a_quick_step_says_that_it_is_done(monkeypatch, caplog) -> None:
    assert told(monkeypatch, caplog, 0.1, 12) == ["12 of 12 frames"]
