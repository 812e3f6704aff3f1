"""What runs spent their time on, as their event logs tell.

What belongs here: moments of runs and steps, and the seconds between them. What does not: who
ran them, and what it says about a machine.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.events.log import EventLogEntry

from astrid_stack.dagster_client import RunState
from astrid_stack.state import State
from benchmarks.running import configured

STEPS = "the step"


@dataclass
class StepTimes:
    """Moments of one step: when it was sent to a queue, taken, begun and over."""

    moments: dict[str, float] = field(default_factory=dict)

    def between(self, first: str, then: str) -> float:
        """Seconds between two moments; 0 where one was not."""
        if first not in self.moments or then not in self.moments:
            return 0.0
        return self.moments[then] - self.moments[first]


def spent(state: State, runs: Sequence[RunState]) -> dict[str, float]:
    """Seconds by what they were spent on, summed over runs."""
    total: dict[str, float] = defaultdict(float)
    with configured(state.environment()), dg.DagsterInstance.get() as instance:
        for run in runs:
            for what, seconds in spent_by(instance.all_logs(run.run_id)).items():
                total[what] += seconds
    return dict(total)


def spent_by(log: Sequence[EventLogEntry]) -> dict[str, float]:
    """Seconds of one run by what they were spent on, as its event log tells."""
    run, steps = StepTimes(), defaultdict[str, StepTimes](StepTimes)
    for entry in log:
        event = entry.dagster_event
        if event is None:
            continue
        if event.step_key is None:
            run.moments.setdefault(event.event_type.name, entry.timestamp)
            continue
        moments = steps[event.step_key].moments
        data = event.event_specific_data if event.event_type.name == "ENGINE_EVENT" else None
        if getattr(data, "marker_start", None):
            moments.setdefault("sent", entry.timestamp)
        elif getattr(data, "marker_end", None):
            moments.setdefault("taken", entry.timestamp)
        else:
            moments.setdefault(event.event_type.name, entry.timestamp)
    computing = sum(step.between("STEP_START", "STEP_SUCCESS") for step in steps.values())
    queued = sum(step.between("sent", "taken") for step in steps.values())
    loading = sum(step.between("taken", "STEP_START") for step in steps.values())
    whole = run.between("RUN_START", "RUN_SUCCESS")
    return {
        "the run's turn": run.between("RUN_ENQUEUED", "RUN_STARTING"),
        "the run's process (import)": run.between("RUN_STARTING", "RUN_START"),
        "a worker (queue)": queued,
        "the step's plan, in the worker": loading,
        STEPS: computing,
        "between steps (orchestration)": whole - computing - queued - loading,
    }
