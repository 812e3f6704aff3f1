"""Verdicts and subtypes against their taxonomy."""

import pytest

from astrid_core.curation.taxonomy import CURRENT, TAXONOMIES, VERDICTS, taxonomy_of
from astrid_core.errors import VerdictError


@pytest.mark.parametrize("version", TAXONOMIES)
def test_every_verdict_is_taken_with_each_of_its_subtypes_or_none(version: str) -> None:
    taxonomy = taxonomy_of(version)
    assert set(taxonomy.subtypes) == set(VERDICTS)
    for verdict, subtypes in taxonomy.subtypes.items():
        for subtype in (None, *subtypes):
            taxonomy.check(verdict, subtype)


@pytest.mark.parametrize(
    ("verdict", "subtype", "message"),
    [
        ("withdrawn", None, "no verdict of taxonomy 1"),
        ("Real", None, "Say one of real, bogus, unsure"),
        ("real", "dipole", "no kind of real.*transient"),
        ("unsure", "noise", "no kind of unsure.*Leave it out"),
    ],
)
def test_others_are_refused(verdict: str, subtype: str | None, message: str) -> None:
    with pytest.raises(VerdictError, match=message):
        CURRENT.check(verdict, subtype)


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(VerdictError, match=r"no taxonomy '99'.*Known are 1"):
        taxonomy_of("99")
