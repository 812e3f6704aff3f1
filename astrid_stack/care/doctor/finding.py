"""What an examination finds, and how examinations are run beside each other."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any, Literal

from astrid_core.errors import AstridError

State = Literal["ok", "warning", "wrong", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    what
        The thing.
    state
        ``wrong`` needs somebody; ``warning`` will, or may; ``unknown`` could not be looked at.
    said
        What was found.
    remedy
        What helps; empty where nothing needs to.
    """

    what: str
    state: State
    said: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def ok(what: str, said: str) -> Finding:
    """All is well."""
    return Finding(what, "ok", said)


def warning(what: str, said: str, remedy: str) -> Finding:
    """Somebody should know."""
    return Finding(what, "warning", said, remedy)


def wrong(what: str, said: str, remedy: str) -> Finding:
    """Somebody must act."""
    return Finding(what, "wrong", said, remedy)


def unknown(what: str, said: str, remedy: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(what, "unknown", said, remedy)


Examination = Callable[[], Iterator[Finding]]


def examine_all(examinations: Mapping[str, Examination], timeout_s: float) -> list[Finding]:
    """Run all at once; one that fails or hangs is a finding, and no other's trouble.

    Parameters
    ----------
    examinations
        By the name under which a failure is told.
    timeout_s
        Seconds after which one that has not ended is told to hang.
    """
    pool = ThreadPoolExecutor(len(examinations), thread_name_prefix="doctor")
    asked = {name: pool.submit(_examined, name, ask) for name, ask in examinations.items()}
    wait(asked.values(), timeout_s)
    found = [finding for name, one in asked.items() for finding in _outcome(name, one, timeout_s)]
    pool.shutdown(wait=False, cancel_futures=True)
    return _each_once(found)


def _each_once(found: list[Finding]) -> list[Finding]:
    """The same, but what kept several examinations from looking is told once."""
    told: set[tuple[str, str]] = set()
    result = []
    for finding in found:
        cause = (finding.said, finding.remedy)
        if finding.state == "wrong" and cause in told and not finding.what.startswith("part "):
            finding = unknown(finding.what, "not looked at, for a reason told above")
        told.add(cause)
        result.append(finding)
    return result


def _outcome(name: str, one: "Future[list[Finding]]", timeout_s: float) -> list[Finding]:
    if one.done():
        return one.result()
    return [wrong(name, f"no answer within {timeout_s:g} s", "Look into the log of what it asks.")]


def _examined(name: str, ask: Examination) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(ask())
    except AstridError as error:
        found.append(wrong(name, error.message, error.remedy))
    except Exception as error:  # noqa: BLE001  a doctor who falls ill is no help to anybody
        found.append(
            wrong(name, f"{type(error).__name__}: {error}", "The examination itself failed.")
        )
    return found
