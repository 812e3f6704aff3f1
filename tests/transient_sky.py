"""Fifty transients and an archive full of traps around them, with what is right and what is not.

Every transient has a good pair by itself, unless it stands there to have none; the traps look
better than the good images wherever they can (nearer in time, better centred).
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

from tests.archives import tiny_fits
from tests.vo_services import Held

DISCOVERED = "2025-09-05"
DISCOVERED_MJD = 60923.0
BEFORE_MJD = DISCOVERED_MJD - 96.8
AFTER_MJD = DISCOVERED_MJD + 5.2
DATES = "2024-01-01..2025-12-31"
N_TRANSIENTS = 50


@dataclass
class TransientSky:
    """What the archive holds, and what a plan of it must say.

    Attributes
    ----------
    pairs
        Transient → names of the images before and after.
    traps
        (transient, image) → why it is left out.
    """

    held: list[Held] = field(default_factory=list)
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    pairs: dict[str, tuple[str, str]] = field(default_factory=dict)
    traps: dict[tuple[str, str], str] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["name", "ra", "dec", "discovery_date"])
            writer.writerows(self.rows)
        return path

    def hold(self, transient: int, label: str, mjd: float, **facts: object) -> str:
        """Add an image around a transient; ``shift_deg`` moves it away."""
        ra, dec = _place(transient)
        shift_deg = float(str(facts.pop("shift_deg", 0.0)))
        name = f"t{transient:02d}_{label}.fits"
        given = {"ra": ra + shift_deg, "dec": dec + shift_deg, "half_deg": 0.05} | facts
        body = tiny_fits(len(self.held), side_pix=16)
        self.held.append(Held(name, body, mjd, **given))  # type: ignore[arg-type]
        return name

    def trap(self, transient: int, why: str, label: str, mjd: float, **facts: object) -> None:
        name = self.hold(transient, label, mjd, **facts)
        self.traps[f"T{transient:02d}", name] = why


def _place(transient: int) -> tuple[float, float]:
    return 20.0 + 5.0 * (transient % 10), -20.0 + 10.0 * (transient // 10)


def transient_sky() -> TransientSky:
    """The sky: ten transients of each kind of trap, five of each kind left without a pair."""
    sky = TransientSky()
    for number in range(N_TRANSIENTS):
        ra, dec = _place(number)
        name = f"T{number:02d}"
        sky.rows.append((name, f"{ra:.6f}", f"{dec:.6f}", DISCOVERED))
        before = sky.hold(number, "before", BEFORE_MJD, filter_text="ZTF g", shift_deg=0.002)
        is_hopeless = (number // 5) % 2 == 1 and number % 5 in (1, 2, 3)
        if not is_hopeless:
            # One filter by another of its names.
            after = sky.hold(number, "after", AFTER_MJD, filter_text="zg", shift_deg=0.002)
            sky.pairs[name] = before, after
        _TRAPS[number % 5](sky, number)
        if is_hopeless:
            sky.traps[name, before] = {
                1: "cross-filter",
                2: "no partner",
                3: "no partner",
            }[number % 5]
    sky.rows += [
        ("", "10", "10", DISCOVERED),
        ("bad-ra", "ten", "10", DISCOVERED),
        ("bad-dec", "10", "91", DISCOVERED),
        ("bad-date", "10", "10", "last week"),
        ("T00", "200", "10", DISCOVERED),
        ("T00-again", "20.0001", "-20.0", DISCOVERED),
    ]
    return sky


def _nothing(sky: TransientSky, number: int) -> None:
    """A pair and no trap."""


def _cross_filter(sky: TransientSky, number: int) -> None:
    """An image of r, sooner after the discovery; one of R before it, where no R follows."""
    sky.trap(number, "cross-filter", "r_after", AFTER_MJD - 0.1, filter_text="ztf_r")
    sky.trap(number, "cross-filter", "R_before", BEFORE_MJD + 0.1, filter_text="Cousins R")


def _wrong_date(sky: TransientSky, number: int) -> None:
    """Three days before, when it may have been there; ninety after, when it has faded."""
    sky.trap(number, "wrong date", "eve", DISCOVERED_MJD - 3, filter_text="zg")
    sky.trap(number, "wrong date", "late", DISCOVERED_MJD + 90, filter_text="zg")
    sky.trap(number, "wrong date", "hour_early", DISCOVERED_MJD - 0.05, filter_text="zg")


def _partial_overlap(sky: TransientSky, number: int) -> None:
    """Images that end next to the transient, and one that shares too little of the sky."""
    sky.trap(number, "partial overlap", "edge", AFTER_MJD - 0.1, filter_text="zg", shift_deg=0.049)
    is_hopeless = (number // 5) % 2 == 1
    if not is_hopeless:
        corner = BEFORE_MJD + 0.2
        sky.trap(number, "partial overlap", "corner", corner, filter_text="zg", shift_deg=-0.036)


def _others(sky: TransientSky, number: int) -> None:
    """One exposure under two names, a filter nobody knows, another camera, no place."""
    sky.trap(number, "duplicate", "z_after_again", AFTER_MJD, filter_text="ZTF_g", shift_deg=0.002)
    sky.trap(number, "unknown filter", "odd", AFTER_MJD - 0.1, filter_text="VR")
    sky.trap(number, "cross-instrument", "cam", AFTER_MJD - 0.1, filter_text="g", instrument="cam2")
    sky.trap(number, "unknown place", "nowhere", AFTER_MJD, filter_text="g", is_placed=False)
    sky.trap(number, "outranked", "later", AFTER_MJD + 2, filter_text="g", shift_deg=0.002)


_TRAPS = (_nothing, _cross_filter, _wrong_date, _partial_overlap, _others)
