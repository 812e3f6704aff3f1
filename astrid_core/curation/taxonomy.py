"""What a reviewer may say of a detection: a verdict, and which kind of it.

Two levels. The first decides the label; the second says why, and may be left out. Every
verdict names the version of the taxonomy it uses: a version is never changed, only
followed by another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from astrid_core.errors import VerdictError

Verdict = Literal["real", "bogus", "unsure"]
"""``unsure`` says neither, and is never taken for a negative."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Taxonomy:
    """One version of the taxonomy: the subtypes of each verdict."""

    version: str
    subtypes: Mapping[Verdict, tuple[str, ...]]

    def check(self, verdict: str, subtype: str | None) -> None:
        """Make sure that a verdict, and its subtype if it has one, are of this version.

        Raises
        ------
        VerdictError
            If not.
        """
        of_verdict = next((kinds for name, kinds in self.subtypes.items() if name == verdict), None)
        if of_verdict is None:
            raise VerdictError(
                f"{verdict!r} is no verdict of taxonomy {self.version}.",
                remedy=f"Say one of {', '.join(self.subtypes)}.",
            )
        if subtype is not None and subtype not in of_verdict:
            raise VerdictError(
                f"{subtype!r} is no kind of {verdict} in taxonomy {self.version}.",
                remedy=f"Say one of {', '.join(of_verdict)}, or none."
                if of_verdict
                else "Leave it out.",
            )


TAXONOMIES: Mapping[str, Taxonomy] = {
    taxonomy.version: taxonomy
    for taxonomy in (
        Taxonomy(
            "1",
            {
                "real": ("transient", "variable", "moving"),
                "bogus": (
                    "dipole",
                    "cosmic_ray",
                    "saturation_spike",
                    "edge_bad_pixel",
                    "ghost_streak",
                    "noise",
                ),
                "unsure": (),
            },
        ),
    )
}
"""Every version there has been."""

CURRENT = TAXONOMIES["1"]
"""The version that new verdicts use unless they say otherwise."""


def taxonomy_of(version: str) -> Taxonomy:
    """The taxonomy of a version.

    Raises
    ------
    VerdictError
        If there is none.
    """
    if version not in TAXONOMIES:
        raise VerdictError(
            f"There is no taxonomy {version!r}.",
            remedy=f"Known are {', '.join(TAXONOMIES)}; reload the page if it is an old one.",
        )
    return TAXONOMIES[version]
