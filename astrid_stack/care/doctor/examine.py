"""All examinations of an installation."""

from collections.abc import Callable, Iterator
from functools import partial

from astrid_core.errors import AstridError
from astrid_stack.care.doctor import configuration, data, machine, services
from astrid_stack.care.doctor.finding import Examination, Finding, examine_all, wrong
from astrid_stack.care.installation import Installation

_TIMEOUT_S = 60.0


def examine(*, quick: bool = False) -> list[Finding]:
    """Examine the installation that the environment names, else the embedded stack.

    Works whatever of it is down; what cannot be looked at is said.

    Parameters
    ----------
    quick
        Whether to leave out what takes time with many objects: comparing rows and store.
    """
    try:
        installation = Installation.here()
    except AstridError as error:
        return [wrong("installation", error.message, error.remedy)]
    state = installation.state
    of_all: dict[str, Callable[[Installation], Iterator[Finding]]] = {
        "settings": configuration.examine_settings,
        "surveys": configuration.examine_surveys,
        "disks": machine.examine_disks,
        "database": data.examine_database,
        "store": data.examine_store,
        "MLflow": services.examine_mlflow,
        "Dagster": services.examine_dagster,
        "code location": services.examine_code_location,
        "nights": data.examine_nights,
    }
    if not quick:
        of_all["objects"] = data.examine_left_behind
    examinations: dict[str, Examination] = {
        "secrets' files": partial(machine.examine_files, state),
        "parts": partial(machine.examine_parts, state),
    }
    examinations |= {name: partial(ask, installation) for name, ask in of_all.items()}
    return examine_all(examinations, _TIMEOUT_S)
