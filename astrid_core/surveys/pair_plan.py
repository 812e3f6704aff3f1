"""What a plan of pairs is: what would be fetched, and the reason for all that would not.

What belongs here: the vocabulary, and the plan as plain rows. What does not: choosing
(``pairs``).
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from astrid_core.surveys.archive.listing import ListedImage
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.transients import Transient

_NOT_IN_FIELDS = re.compile(r"[^A-Za-z0-9_.+-]+")


class Why(StrEnum):
    """Why something is not in a plan."""

    UNPARSABLE_ROW = "unparsable row"
    DUPLICATE = "duplicate"
    UNKNOWN_FILTER = "unknown filter"
    WRONG_DATE = "wrong date"
    UNKNOWN_PLACE = "unknown place"
    PARTIAL_OVERLAP = "partial overlap"
    CROSS_INSTRUMENT = "cross-instrument"
    CROSS_FILTER = "cross-filter"
    NO_PARTNER = "no partner"
    NO_FILE = "no file"
    OUTRANKED = "outranked"
    NOTHING_LISTED = "nothing listed"


@dataclass(frozen=True)
class LeftOut:
    """An image or a catalogue's row that is not in the plan, and why.

    Attributes
    ----------
    transient
        Its name; of a row without one, its line.
    image
        Archive name; '' for a row.
    """

    transient: str
    image: str
    why: Why
    reason: str


@dataclass(frozen=True)
class Pair:
    """Two observations of a transient in one instrument and band.

    Attributes
    ----------
    rank
        1 is the transient's best.
    overlap
        Share of the later image that the earlier covers.
    before_days, after_days
        Between each image and the discovery.
    """

    transient: Transient
    rank: int
    band: str
    instrument: str
    before: ListedImage
    after: ListedImage
    overlap: float
    before_days: float
    after_days: float


@dataclass(frozen=True)
class PairPlan:
    """What would be fetched for a catalogue, and everything that would not, with its reason."""

    survey: str
    n_transients: int
    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def images(self) -> tuple[ListedImage, ...]:
        """Images of all pairs, each once, by night and name.

        Their field is their transient's, so that what is before and after finds each other;
        transients that share images share the field of the first.
        """
        fields = _fields(self.pairs)
        found = {
            image.product.url: image for pair in self.pairs for image in (pair.before, pair.after)
        }
        named = [
            replace(image, product=replace(image.product, field=fields[url]))
            for url, image in found.items()
        ]
        return tuple(sorted(named, key=lambda one: (one.night, one.product.name)))

    @property
    def by_night(self) -> Mapping[dt.date, tuple[Product, ...]]:
        """Files of all pairs by the night that ingests them."""
        nights: dict[dt.date, list[Product]] = defaultdict(list)
        for image in self.images:
            nights[image.night].append(image.product)
        return {night: tuple(products) for night, products in sorted(nights.items())}


def counts(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """How much was left out for each reason, in the reasons' order."""
    found = [one.why for one in left_out]
    return {why.value: found.count(why) for why in Why if why in found}


def rows(plan: PairPlan) -> Iterator[dict[str, object]]:
    """The plan's pairs as plain rows, for files."""
    for pair in plan.pairs:
        yield {
            "transient": pair.transient.name,
            "ra": pair.transient.ra,
            "dec": pair.transient.dec,
            "discovered": pair.transient.discovered.isoformat(),
            "rank": pair.rank,
            "instrument": pair.instrument,
            "band": pair.band,
            "overlap": round(pair.overlap, 4),
            **{
                side: {
                    "name": image.product.name,
                    "night": image.night.isoformat(),
                    "mid_mjd": image.mid_mjd,
                    "filter": image.filter_text,
                    "size_bytes": image.product.size_bytes,
                }
                for side, image in (("before", pair.before), ("after", pair.after))
            },
        }


def field_of(name: str) -> str:
    """A transient's name as a field's."""
    return _NOT_IN_FIELDS.sub("_", name)[:80] or "_"


def _fields(pairs: Sequence[Pair]) -> dict[str, str]:
    """Field of each image by its address: pairs that share an image are of one field."""
    fields: dict[str, str] = {}
    for pair in pairs:
        ends = (pair.before.product.url, pair.after.product.url)
        joined = {fields[url] for url in ends if url in fields}
        field = min(joined, default=field_of(pair.transient.name))
        for url, one in fields.items():
            if one in joined:
                fields[url] = field
        fields |= dict.fromkeys(ends, field)
    return fields
