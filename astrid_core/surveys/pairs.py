"""Pairs of observations before and after transients were discovered: a plan of what to fetch.

What belongs here: choosing among what an archive lists, and the reason for everything that is
not chosen. What does not: fetching (``archive``), rows (``ingest``). A pair is two images to
subtract; it says of nothing that it is real. That takes forced photometry at S/N of 5 or a
human verdict, later.

Every image that is listed at a transient's place is in the plan or has a reason: it is never
left out in silence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product as combinations

from astropy.time import Time

from astrid_core.differencing.select import overlap_fraction
from astrid_core.surveys.archive.listing import ListedImage, Lister, circle, is_convex
from astrid_core.surveys.bands import parse_band
from astrid_core.surveys.pair_plan import LeftOut, Pair, PairPlan, Why
from astrid_core.surveys.pairs_config import PairsConfig
from astrid_core.surveys.ranges import NightRange
from astrid_core.surveys.transients import RejectedRow, Transient

_ALL_OF_IT = 0.999
"""Share that counts as all, as circles are polygons and corners are rounded."""
_SAME_MOMENT_S = 1.0
_DAY_S = 86_400.0


@dataclass(frozen=True)
class _Fit:
    """An image that could be one of a pair."""

    image: ListedImage
    band: str
    days: float

    @property
    def instrument(self) -> str:
        return self.image.instrument.strip().lower()


def plan_pairs(
    survey: str,
    transients: Sequence[Transient],
    rejected: Sequence[RejectedRow],
    lister_at: Callable[[Transient], Lister],
    dates: NightRange,
    config: PairsConfig,
    aliases: Mapping[str, str],
    on_progress: Callable[[int], None] = lambda _: None,
) -> PairPlan:
    """Plan the pairs of a catalogue of transients, without fetching a file.

    Parameters
    ----------
    lister_at
        An adapter that looks around a transient.
    dates
        Nights that the survey is of: all of them are asked for, so that what was taken at a
        wrong date is told.
    aliases
        The survey's own names of filters.
    on_progress
        Told the number of transients done.

    Raises
    ------
    SurveyUnavailableError
        If the archive cannot be asked about one of them: a part is no plan.
    """
    pairs: list[Pair] = []
    left_out = [_rejection(row) for row in rejected]
    urls: dict[str, str] = {}
    for number, transient in enumerate(transients, start=1):
        lister = lister_at(transient)
        images = lister.listed(dates.first, dates.last)
        chosen, others = _pairs_of(transient, images, lister, config, aliases, urls)
        pairs += chosen
        left_out += others
        on_progress(number)
    return PairPlan(survey, len(transients), tuple(pairs), tuple(left_out))


def _rejection(row: RejectedRow) -> LeftOut:
    why = Why.DUPLICATE if row.is_duplicate else Why.UNPARSABLE_ROW
    return LeftOut(row.name or f"line {row.line}", "", why, f"line {row.line} {row.reason}")


def _pairs_of(
    transient: Transient,
    images: Sequence[ListedImage],
    lister: Lister,
    config: PairsConfig,
    aliases: Mapping[str, str],
    urls: dict[str, str],
) -> tuple[list[Pair], list[LeftOut]]:
    """Best pairs of one transient, and a reason for every other image."""
    search = _Search(transient, config, aliases)
    before, after = search.judge(images)
    ranked = search.rank(before, after)
    chosen: list[Pair] = []
    for one, other, overlap in ranked:
        if len(chosen) == config.per_transient:
            break
        if any(_key(fit.image) in search.told for fit in (one, other)):
            continue  # its file was asked for already, in vain
        earlier = _resolved(lister, one.image, search, urls)
        later = None if earlier is None else _resolved(lister, other.image, search, urls)
        if earlier is None or later is None:
            continue
        pair = Pair(
            transient=transient,
            rank=len(chosen) + 1,
            band=one.band,
            instrument=one.image.instrument,
            before=earlier,
            after=later,
            overlap=overlap,
            before_days=-one.days,
            after_days=other.days,
        )
        chosen.append(pair)
        search.taken |= {_key(one.image), _key(other.image)}
    search.explain_rest(before, after)
    if not images:
        search.leave_out(None, Why.NOTHING_LISTED, "the archive lists no image there")
    return chosen, search.left_out


def _resolved(
    lister: Lister, image: ListedImage, search: "_Search", urls: dict[str, str]
) -> ListedImage | None:
    """The image with its file's own address; None where the plan cannot have it."""
    product = lister.resolved(image)
    if product is None:
        search.leave_out(image, Why.NO_FILE, "it leads to no single file that the rules allow")
        return None
    if urls.setdefault(product.name, product.url) != product.url:
        why = f"another file of the plan is named {product.name} too"
        search.leave_out(image, Why.NO_FILE, why)
        return None
    return replace(image, product=product, is_link=False)


class _Search:
    """One transient's images as they are judged: what is left out collects here.

    Attributes
    ----------
    taken, told
        Addresses of the images that are in the plan, and of those with a reason.
    """

    def __init__(
        self, transient: Transient, config: PairsConfig, aliases: Mapping[str, str]
    ) -> None:
        self._transient = transient
        self._config = config
        self._aliases = aliases
        self._discovered_mjd = float(Time(transient.discovered).utc.mjd)
        self._place = circle(transient.ra, transient.dec, config.margin_arcsec / 3600)
        self.taken: set[str] = set()
        self.told: set[str] = set()
        self._overlaps: dict[tuple[str, str], float] = {}
        self.left_out: list[LeftOut] = []

    def leave_out(self, image: ListedImage | None, why: Why, reason: str) -> None:
        """Record a reason, once for an image."""
        if image is not None and _key(image) in self.told:
            return
        self.told |= set() if image is None else {_key(image)}
        name = "" if image is None else image.product.name
        self.left_out.append(LeftOut(self._transient.name, name, why, reason))

    def judge(self, images: Sequence[ListedImage]) -> tuple[list[_Fit], list[_Fit]]:
        """Images that may be before and after; the others are left out."""
        before: list[_Fit] = []
        after: list[_Fit] = []
        for image in sorted(images, key=lambda one: (one.mid_mjd, one.product.name)):
            band = parse_band(image.filter_text, self._aliases)
            days = image.mid_mjd - self._discovered_mjd
            if not self._is_in_place(image):
                continue
            if band is None:
                why = f"its filter '{image.filter_text[:40]}' is not understood"
                self.leave_out(image, Why.UNKNOWN_FILTER, why)
            elif self._is_within(-days, self._config.before_days):
                self._add(before, _Fit(image, band, days))
            elif self._is_within(days, self._config.after_days):
                self._add(after, _Fit(image, band, days))
            else:
                self.leave_out(image, Why.WRONG_DATE, self._wrong_date(days))
        return before, after

    def rank(self, before: Sequence[_Fit], after: Sequence[_Fit]) -> list[tuple[_Fit, _Fit, float]]:
        """Pairs of one instrument and band with enough overlap, the best first.

        More overlap is better, to a hundredth; then the sooner after the discovery, then the
        nearer before it.
        """
        found: list[tuple[_Fit, _Fit, float]] = []
        for one, other in combinations(before, after):
            if _setup(one) != _setup(other):
                continue
            overlap = self._overlap(one, other)
            if overlap >= self._config.min_overlap:
                found.append((one, other, overlap))
        names = lambda pair: (pair[0].image.product.name, pair[1].image.product.name)  # noqa: E731
        return sorted(
            found, key=lambda pair: (-round(pair[2], 2), pair[1].days, -pair[0].days, names(pair))
        )

    def explain_rest(self, before: Sequence[_Fit], after: Sequence[_Fit]) -> None:
        """A reason for every image that fits by itself and is in no pair."""
        for fits, others, side in ((before, after, "after"), (after, before, "before")):
            for fit in fits:
                if _key(fit.image) not in self.taken:
                    self.leave_out(fit.image, *self._why_alone(fit, others, side))

    def _why_alone(self, fit: _Fit, others: Sequence[_Fit], side: str) -> tuple[Why, str]:
        instrument = fit.image.instrument or "an unnamed instrument"
        same_instrument = [one for one in others if one.instrument == fit.instrument]
        same_setup = [one for one in same_instrument if one.band == fit.band]
        if same_setup:
            ordered = [(fit, one) if side == "after" else (one, fit) for one in same_setup]
            best = max(self._overlap(one, other) for one, other in ordered)
            if best < self._config.min_overlap:
                why = f"shares {best:.0%} of the sky with the best image {side}, of {fit.band}"
                return Why.PARTIAL_OVERLAP, why
            return Why.OUTRANKED, f"a better pair of {fit.band} is taken, or all it could join"
        if same_instrument:
            bands = ", ".join(sorted({one.band for one in same_instrument}))
            return Why.CROSS_FILTER, f"is of {fit.band}, and {side} there is only {bands}"
        if others:
            names = ", ".join(sorted({one.image.instrument or "unnamed" for one in others}))
            return Why.CROSS_INSTRUMENT, f"is of {instrument}, and {side} there is only {names}"
        return Why.NO_PARTNER, f"there is no image {side} the discovery"

    def _add(self, fits: list[_Fit], fit: _Fit) -> None:
        """Add an image unless it is one of them under another name."""
        for one in fits:
            is_same = abs(one.days - fit.days) * _DAY_S < _SAME_MOMENT_S
            if is_same and _setup(one) == _setup(fit) and self._overlap(one, fit) > _ALL_OF_IT:
                why = f"is the exposure of {one.image.product.name} again"
                self.leave_out(fit.image, Why.DUPLICATE, why)
                return
        fits.append(fit)

    def _is_in_place(self, image: ListedImage) -> bool:
        """Whether an image holds the transient and the sky around it."""
        if image.footprint is None:
            self.leave_out(image, Why.UNKNOWN_PLACE, "the archive does not tell where it lies")
            return False
        if not is_convex(image.footprint):
            why = "its region is not convex: what it holds cannot be told from its corners"
            self.leave_out(image, Why.UNKNOWN_PLACE, why)
            return False
        share = overlap_fraction(self._place, image.footprint)
        if share < _ALL_OF_IT:
            margin = self._config.margin_arcsec
            why = f"holds {share:.0%} of the {margin:g} arcsec around the transient"
            self.leave_out(image, Why.PARTIAL_OVERLAP, why)
            return False
        return True

    def _overlap(self, before: _Fit, after: _Fit) -> float:
        """Share of the later image that the earlier covers."""
        ends = (_key(before.image), _key(after.image))
        if ends not in self._overlaps:
            earlier, later = before.image.footprint, after.image.footprint
            assert earlier is not None, "judged to be in place"  # noqa: S101
            assert later is not None, "judged to be in place"  # noqa: S101
            self._overlaps[ends] = overlap_fraction(later, earlier)
        return self._overlaps[ends]

    def _wrong_date(self, days: float) -> str:
        side = "before" if days < 0 else "after"
        least, most = self._config.before_days if days < 0 else self._config.after_days
        return (
            f"was taken {abs(days):.1f} days {side} the discovery, not {least:g} to {most:g} days"
        )

    @staticmethod
    def _is_within(days: float, limits: tuple[float, float]) -> bool:
        return days >= 0 and limits[0] <= days <= limits[1]


def _setup(fit: _Fit) -> tuple[str, str]:
    return fit.instrument, fit.band


def _key(image: ListedImage) -> str:
    return image.product.url
