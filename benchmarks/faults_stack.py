"""An embedded stack whose line to the store, disks and clock misbehave on demand.

What belongs here: where faults can get in. What does not: which and when (``faults_kinds``).
"""

import datetime as dt
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astrid_stack import ports
from astrid_stack.part import Part
from astrid_stack.state import State
from astrid_stack.supervisor import Stack
from benchmarks.faulty_store import FaultyStore
from benchmarks.running import say_nothing, simulated_survey, write_surveys

REFERENCE_NIGHT = dt.date(2025, 9, 1)
FIRST_NIGHT = dt.date(2025, 9, 10)
JUDGED_NIGHTS = (dt.date(2025, 9, 7), dt.date(2025, 9, 8))
FLOWN, JUDGED = "simulated", "judged"
"""The survey whose nights are disturbed, and the one whose detections people judge meanwhile:
verdicts have a say in which detections make an object, which is compared with a twin's."""
_CLOCK_SOURCE = Path(__file__).with_name("shifted_clock.c")
_JUDGED_FIELDS = 8
"""As many pieces of sky as splits of a training dataset need."""
_SHIFT = struct.Struct("=q")
_DISK_MIB = {"scratch": 64, "objects": 1500}
_WITH_CLOCK = ("code", "daemon", "api")


@dataclass(frozen=True)
class Clock:
    """A time of day for some processes, which can be set while they run.

    Attributes
    ----------
    library
        What is loaded before theirs.
    file
        The shift that it reads.
    """

    library: Path
    file: Path

    @classmethod
    def made_in(cls, folder: Path) -> "Clock | None":
        """A clock that is right; None without a C compiler."""
        compiler = shutil.which("gcc")
        if compiler is None:
            return None
        clock = cls(folder / "clock.so", folder / "clock")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(clock.library)]
        subprocess.run([*command, str(_CLOCK_SOURCE), "-ldl"], check=True)
        clock.file.write_bytes(_SHIFT.pack(0))
        return clock

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that has this clock."""
        return {"LD_PRELOAD": str(self.library), "SHIFTED_CLOCK": str(self.file)}

    def shift(self, seconds: int) -> None:
        """Set it wrong by some seconds, at once and for everyone; 0 sets it right."""
        with self.file.open("r+b") as stream:  # in place: it is mapped
            stream.write(_SHIFT.pack(seconds))


class DisturbedStack(Stack):
    """A stack whose parts reach the store through a proxy, and have a clock of their own.

    Parameters
    ----------
    proxy
        What stands before the store.
    clock
        The clock of some parts; None where no compiler makes one.
    """

    def __init__(self, state: State, proxy: FaultyStore, clock: "Clock | None") -> None:
        super().__init__(state)
        self.proxy = proxy
        self.clock = clock

    def parts(self) -> dict[str, Part]:
        """The parts as ever, in another environment."""
        self.proxy.upstream = (ports.LOOPBACK, self.state.ports()["s3"])
        return {name: self._disturbed(part) for name, part in super().parts().items()}

    def _disturbed(self, part: Part) -> Part:
        if part.name in ("postgres", "objectstore"):
            return part
        address = f"http://{ports.LOOPBACK}:{self.proxy.port}"
        changed = dict(part.program.environment)
        for name in ("ASTRID_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"):
            if name in changed:
                changed[name] = address
        if self.clock is not None and part.name in _WITH_CLOCK:
            changed |= self.clock.environment
        return replace(part, program=replace(part.program, environment=changed))


def write_both_surveys(
    folder: Path, nights: Sequence[dt.date], n_fields: int, side_pix: int
) -> None:
    """Write the two surveys of a campaign."""

    def survey(science: Sequence[dt.date], seed: int, n_fields: int) -> dict[str, Any]:
        return simulated_survey(
            REFERENCE_NIGHT,
            science,
            seed=seed,
            n_fields=n_fields,
            shape=[side_pix, side_pix],
            stars_per_field=600,  # as many as the default has on four times the area
        )

    flown, judged = survey(nights, 1, n_fields), survey(JUDGED_NIGHTS, 2, _JUDGED_FIELDS)
    write_surveys(folder, {FLOWN: flown, JUDGED: judged})


@contextmanager
def disturbed_stack(folder: Path) -> Iterator[DisturbedStack]:
    """A stack to disturb; its disks are small where root can mount them."""
    folder.mkdir(parents=True)
    state = State.create(folder / "state")
    scratch = folder / "scratch"
    scratch.mkdir()
    mounted = [
        path
        for path, name in ((scratch, "scratch"), (state.objects, "objects"))
        if _mount(path, _DISK_MIB[name])
    ]
    os.environ["ASTRID_SCRATCH_DIR"] = str(scratch)
    clock = Clock.made_in(folder)
    try:
        with FaultyStore(ports.any_free_port(), "http://127.0.0.1:1") as proxy:
            stack = DisturbedStack(state, proxy, clock)
            stack.up(say_nothing)
            try:
                yield stack
            finally:
                stack.down(say_nothing)
    finally:
        del os.environ["ASTRID_SCRATCH_DIR"]
        for path in mounted:
            subprocess.run(["umount", "-l", str(path)], check=False)


def is_small_disk(path: Path) -> bool:
    """Whether a folder is a disk of its own, which may be filled."""
    return path.is_mount()


def _mount(path: Path, size_mib: int) -> bool:
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "none", str(path)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
