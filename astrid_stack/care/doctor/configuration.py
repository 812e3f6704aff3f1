"""Configuration: variables of the environment, and the surveys' file."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from astrid_core.settings import Settings
from astrid_core.surveys.config import load_surveys
from astrid_stack.care.doctor.finding import Finding, ok, warning, wrong
from astrid_stack.care.installation import DAGSTER_VARIABLE, MLFLOW_VARIABLE, Installation

_ELSEWHERE = {
    DAGSTER_VARIABLE: "Dagster's database is not looked at, nor backed up",
    "ASTRID_DAGSTER_URL": "the API launches no runs",
    MLFLOW_VARIABLE: "MLflow's database is not backed up",
    "ASTRID_API_ADDRESS": "sign-in links name this machine's loopback",
}
"""Variables that an installation works without, and what it then does not do."""


def examine_settings(installation: Installation) -> Iterator[Finding]:
    """Whether the environment says all that is needed."""
    settings = installation.settings
    yield ok("settings", f"complete: {len(Settings.model_fields)} are known, all of them valid")
    if not installation.is_embedded:
        for variable, without in _ELSEWHERE.items():
            if not installation.environment.get(variable):
                yield warning("settings", f"{variable} is not set: {without}", f"Set {variable}.")
    for name, url in (("S3", settings.s3_endpoint), ("MLflow", settings.mlflow_uri)):
        if urlsplit(url).scheme == "http" and not _is_near(urlsplit(url).hostname or ""):
            yield warning(
                "settings",
                f"{name} is spoken to without encryption",
                f"Use https:// for {name} where it is on another machine.",
            )


def _is_near(host: str) -> bool:
    """Whether a name is of this machine or a private network (a cluster's service, say)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".svc"))
    return address.is_private


def examine_surveys(installation: Installation) -> Iterator[Finding]:
    """Whether the surveys' file is valid, and the variables that it names are set."""
    from astrid_core.surveys.check import examine  # imports the science: beside other waiting

    file = installation.settings.surveys_file
    where = file or "the packaged surveys.yaml"
    surveys = load_surveys(file).surveys
    said_wrong = False
    for config in surveys.values():
        facts = examine(config, file)
        for problem in facts.problems:
            said_wrong = True
            yield wrong(f"survey {facts.name}", problem, f"Correct it in {where}.")
        # The packaged file has surveys that nobody need want.
        for variable in facts.missing if file is not None else ():
            said_wrong = True
            yield warning(
                f"survey {facts.name}",
                f"{variable.name} ({variable.what_for}) is not set",
                f"Set {variable.name} where Dagster's code location runs.",
            )
    if not said_wrong:
        yield ok("surveys", f"{len(surveys)} in {where}: {', '.join(sorted(surveys))}")
