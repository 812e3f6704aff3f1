"""A night through Dagster: peak memory against its size, and what orchestration costs.

Run ``python -m benchmarks.night``. It starts an embedded stack of its own in a temporary
folder, prepares references, and then processes one night of few and one of many frames:

* peak memory of the run's process tree (proportional set size on Linux), which is to be
  set by a frame and not by the night;
* wall time of the night through Dagster, beside the same stages called directly on the
  same store and worker pool. What is left over is orchestration: Dagster, rows, metadata.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.running import own_stack, simulated_survey, write_surveys
from benchmarks.watching import PeakMemory

REFERENCE_NIGHT = "2025-09-01"
SCIENCE_NIGHT = "2025-09-10"
_SAMPLE_S = 0.05


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=8, help="frames of the small night")
    parser.add_argument("--many", type=int, default=40, help="frames of the large night")
    parser.add_argument("--repeats", type=int, default=3, help="runs the medians are taken over")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="astrid-bench-") as folder:
        figures = {}
        for n_frames in (arguments.few, arguments.many):
            with stack(Path(folder) / str(n_frames), n_frames) as environment:
                figures[n_frames] = measure(n_frames, arguments.repeats, environment)
    few, many = figures[arguments.few], figures[arguments.many]
    print(f"\n{'frames':>8} {'peak MiB':>10} {'Dagster s':>10} {'direct s':>10} {'share':>7}")
    for n_frames, figure in figures.items():
        share = 1.0 - figure["direct_s"] / figure["dagster_s"]
        print(
            f"{n_frames:8d} {figure['peak_mib']:10.0f} {figure['dagster_s']:10.2f}"
            f" {figure['direct_s']:10.2f} {share:7.1%}"
        )
    print(
        f"peak of {arguments.many} over {arguments.few} frames: "
        f"{many['peak_mib'] / few['peak_mib']:.3f}"
    )


@contextlib.contextmanager
def stack(
    folder: Path, n_fields: int, science_nights: Sequence[str] = (SCIENCE_NIGHT,)
) -> Iterator[dict[str, str]]:
    """An embedded stack of its own with a simulated survey of ``n_fields``; its environment."""
    folder.mkdir(parents=True)
    survey = simulated_survey(REFERENCE_NIGHT, science_nights, n_fields=n_fields)
    write_surveys(folder, {"simulated": survey})
    with own_stack(folder) as state:
        environment = os.environ | state.environment()
        child("prepare", environment)
        yield environment


def measure(n_frames: int, repeats: int, environment: dict[str, str]) -> dict[str, float]:
    """Medians over repeats, Dagster and direct in turn."""
    dagster = [child("dagster", environment) for _ in range(repeats)]
    direct = [child("direct", environment) for _ in range(repeats)]
    for figure in dagster:
        assert figure["n_frames"] == n_frames, figure
    return {
        "peak_mib": statistics.median(figure["peak_mib"] for figure in dagster),
        "dagster_s": statistics.median(figure["wall_s"] for figure in dagster),
        "direct_s": statistics.median(figure["wall_s"] for figure in direct),
    }


def child(task: str, environment: dict[str, str]) -> dict[str, float]:
    """Run one task of this module in a process of its own, watching its memory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.night_tasks", task],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    peak = PeakMemory(psutil.Process(process.pid), _SAMPLE_S)
    with peak:
        output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{task} failed:\n{output}")
    figure: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return figure | {"peak_mib": peak.mib}


if __name__ == "__main__":
    main()
