"""The catalogues: what each is asked, and what its columns mean.

Verified live: no, none of them. Where the interfaces were taken from:

- Gaia DR3: VizieR table I/355/gaiadr3 (Gaia Collaboration 2022), positions of epoch 2016.0.
- VSX: VizieR table B/vsx/vsx (Watson, Henden & Price 2006), equinox J2000, no motions.
- SkyBoT: Berthier et al. 2006 (ASPC 351, 367); the parameters documented at
  https://ssp.imcce.fr/webservices/skybot/api/conesearch/, the columns of ``-output=all`` as
  astroquery.imcce reads them.

VizieR is asked by ADQL over TAP 1.1, synchronously.
"""

import datetime as dt
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.time import Time
from numpy.typing import NDArray

from astrid_core.crossmatch.config import GEOCENTRE, CrossmatchConfig
from astrid_core.crossmatch.service import Columns, Request
from astrid_core.sky import unit_vectors

F64 = NDArray[np.float64]

GAIA_EPOCH = Time(2016.0, format="jyear", scale="tcb")
_FASTEST_MAS_PER_YR = 10_400.0
"""Barnard's star: how far a source may have come from outside the cone."""
_ROUNDING_DEG = 0.05
"""Cones are rounded to this, so that frames a little apart ask the same question."""
_MAS_PER_DEG = 3.6e6


@dataclass(frozen=True)
class Cone:
    """A circle on the sky; degrees ICRS."""

    ra_deg: float
    dec_deg: float
    radius_deg: float

    @property
    def area_arcmin2(self) -> float:
        """Area of the spherical cap, square arcminutes."""
        steradian = 2.0 * math.pi * (1.0 - math.cos(math.radians(self.radius_deg)))
        return steradian * math.degrees(60.0) ** 2

    @classmethod
    def around(cls, corners: Sequence[Sequence[float]], margin_deg: float) -> "Cone":
        """The cone that holds every corner and a margin; centre and radius are rounded."""
        ra, dec = np.array(corners, dtype=np.float64).T
        vectors = unit_vectors(ra, dec)
        x, y, z = vectors.mean(axis=0)
        centre_ra = _rounded(math.degrees(math.atan2(y, x)) % 360.0) % 360.0
        centre_dec = _rounded(math.degrees(math.atan2(z, math.hypot(x, y))))
        centre = unit_vectors(np.array([centre_ra]), np.array([centre_dec]))
        chord = float(np.linalg.norm(vectors - centre, axis=1).max())
        reach_deg = math.degrees(2.0 * math.asin(min(1.0, chord / 2.0))) + margin_deg
        steps = math.ceil(reach_deg / _ROUNDING_DEG)
        return cls(centre_ra, centre_dec, round(steps * _ROUNDING_DEG, 2))


@dataclass(frozen=True)
class Source:
    """A source of a catalogue, as its answer gives it.

    Attributes
    ----------
    source_id, name
        The catalogue's own identifier; a name for people.
    ra, dec
        Degrees ICRS, at the catalogue's epoch.
    magnitude, band
        As the catalogue gives it: Gaia G, VSX at maximum, SkyBoT predicted V.
    source_class
        Type of variability or dynamical class; None for a star.
    pm_ra_mas_per_yr, pm_dec_mas_per_yr
        Proper motion, mas/yr, RA times cos(dec); None where not measured.
    rate_ra_arcsec_per_h, rate_dec_arcsec_per_h
        Motion of a solar-system object, RA times cos(dec).
    position_err_arcsec
        Uncertainty of an ephemeris.
    """

    source_id: str
    name: str
    ra: float
    dec: float
    magnitude: float | None = None
    band: str | None = None
    source_class: str | None = None
    pm_ra_mas_per_yr: float | None = None
    pm_dec_mas_per_yr: float | None = None
    rate_ra_arcsec_per_h: float | None = None
    rate_dec_arcsec_per_h: float | None = None
    position_err_arcsec: float | None = None

    def to_json(self) -> dict[str, Any]:
        """What is known of it, for the cache."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Catalogue(Protocol):
    """What the cross-match needs of a catalogue."""

    name: str
    kind: str
    """What its sources are: star, variable or moving."""
    radius_arcsec: float
    keep_days: float | None
    """Days an answer is good for; None is for ever."""
    is_moving: bool
    """Whether sources are asked for at each exposure's own time."""
    assumed: tuple[str, ...]
    """Names of values the configuration does not state."""

    def margin_deg(self, time: dt.datetime) -> float:
        """How far outside the frames a source may be that matches on them at ``time`` (UTC)."""

    def request(self, cone: Cone, time: dt.datetime) -> Request:
        """What to ask; ``time`` (UTC) matters where sources move."""

    def sources(self, answer: Columns) -> list[Source]:
        """The sources of an answer. Raises CatalogueRefusedError for missing columns."""

    def positions(self, sources: Sequence[Source], time: dt.datetime) -> tuple[F64, F64]:
        """ra, dec (degrees ICRS) of sources at a time (UTC)."""


class Gaia:
    """Gaia DR3: stars, carried to the epoch of the exposure by their proper motion."""

    name: str = "gaia"
    kind: str = "star"
    keep_days: float | None = None
    is_moving: bool = False
    assumed: tuple[str, ...] = ()

    def __init__(self, config: CrossmatchConfig) -> None:
        self.radius_arcsec = config.gaia.radius_arcsec
        self._config = config

    def margin_deg(self, time: dt.datetime) -> float:
        """Match radius, and the way of the fastest star since the catalogue's epoch."""
        years = abs(time.year + 1 - 2016)
        return self.radius_arcsec / 3600.0 + years * _FASTEST_MAS_PER_YR / _MAS_PER_DEG

    def request(self, cone: Cone, time: dt.datetime) -> Request:  # noqa: ARG002
        """Sources of a cone down to ``max_magnitude``."""
        return _tap(
            "Gaia DR3",
            str(self._config.gaia.url),
            ("Source", "RA_ICRS", "DE_ICRS", "pmRA", "pmDE", "Gmag"),
            "I/355/gaiadr3",
            ("RA_ICRS", "DE_ICRS"),
            cone,
            self._config.service.max_sources,
            f' AND "Gmag" <= {self._config.gaia.max_magnitude:g}',
        )

    def sources(self, answer: Columns) -> list[Source]:
        """Stars with their proper motions."""
        place = _places(answer, "RA_ICRS", "DE_ICRS")
        columns = (answer.numbers(c) for c in ("Gmag", "pmRA", "pmDE"))
        return [
            Source(source_id, f"Gaia DR3 {source_id}", ra, dec, mag, "G", None, pm_ra, pm_dec)
            for source_id, ra, dec, mag, pm_ra, pm_dec in zip(
                answer.texts("Source"), *place, *columns, strict=True
            )
            if source_id is not None and ra is not None and dec is not None
        ]

    def positions(self, sources: Sequence[Source], time: dt.datetime) -> tuple[F64, F64]:
        """Moved along great circles; a source without measured motion stays where it is."""
        ra, dec = _catalogue_positions(sources)
        if not sources:
            return ra, dec
        stars = SkyCoord(
            ra * u.deg,
            dec * u.deg,
            pm_ra_cosdec=np.array([s.pm_ra_mas_per_yr or 0.0 for s in sources]) * u.mas / u.yr,
            pm_dec=np.array([s.pm_dec_mas_per_yr or 0.0 for s in sources]) * u.mas / u.yr,
            obstime=GAIA_EPOCH,
            frame="icrs",
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without parallax a distance is put in; none is used
            moved = stars.apply_space_motion(new_obstime=Time(time))
        return np.asarray(moved.ra.deg), np.asarray(moved.dec.deg)


class Vsx:
    """VSX: known variable stars, where the index has them."""

    name: str = "vsx"
    kind: str = "variable"
    is_moving: bool = False
    assumed: tuple[str, ...] = ()

    def __init__(self, config: CrossmatchConfig) -> None:
        self.radius_arcsec = config.vsx.radius_arcsec
        self.keep_days: float | None = config.vsx.keep_days
        self._config = config

    def margin_deg(self, time: dt.datetime) -> float:  # noqa: ARG002
        """The match radius."""
        return self.radius_arcsec / 3600.0

    def request(self, cone: Cone, time: dt.datetime) -> Request:  # noqa: ARG002
        """All variables of a cone."""
        return _tap(
            "VSX",
            str(self._config.vsx.url),
            ("OID", "Name", "RAJ2000", "DEJ2000", "Type", "max", "n_max"),
            "B/vsx/vsx",
            ("RAJ2000", "DEJ2000"),
            cone,
            self._config.service.max_sources,
        )

    def sources(self, answer: Columns) -> list[Source]:
        """Variables with their type and magnitude at maximum."""
        columns = (answer.texts(c) for c in ("Name", "Type", "n_max"))
        place = _places(answer, "RAJ2000", "DEJ2000")
        return [
            Source(source_id, name or source_id, ra, dec, mag, band, kind)
            for source_id, name, kind, band, ra, dec, mag in zip(
                answer.texts("OID"), *columns, *place, answer.numbers("max"), strict=True
            )
            if source_id is not None and ra is not None and dec is not None
        ]

    def positions(
        self,
        sources: Sequence[Source],
        time: dt.datetime,  # noqa: ARG002
    ) -> tuple[F64, F64]:
        """As catalogued."""
        return _catalogue_positions(sources)


class Skybot:
    """SkyBoT: known solar-system objects, at mid-exposure, seen from the observatory."""

    name: str = "skybot"
    kind: str = "moving"
    keep_days: float | None = None
    is_moving: bool = True

    def __init__(self, config: CrossmatchConfig) -> None:
        self.radius_arcsec = config.skybot.radius_arcsec
        self.assumed: tuple[str, ...] = (
            () if config.observatory_code else (f"observatory_code {GEOCENTRE}",)
        )
        self._config = config

    def margin_deg(self, time: dt.datetime) -> float:  # noqa: ARG002
        """The match radius."""
        return self.radius_arcsec / 3600.0

    def request(self, cone: Cone, time: dt.datetime) -> Request:
        """Everything known in a cone at a time."""
        config = self._config.skybot
        return Request(
            "SkyBoT",
            str(config.url),
            "GET",
            {
                "-ep": f"{Time(time).utc.jd:.8f}",
                "-ra": f"{cone.ra_deg:.6f}",
                "-dec": f"{cone.dec_deg:.6f}",
                "-rd": f"{cone.radius_deg:.6f}",
                "-loc": self._config.observatory_code or GEOCENTRE,
                "-filter": f"{config.max_position_err_arcsec:g}",
                "-objFilter": "111",  # asteroids, planets, comets
                "-refsys": "EQJ2000",
                "-output": "all",
                "-mime": "votable",
                "-from": "AstrID",
            },
        )

    def sources(self, answer: Columns) -> list[Source]:
        """Objects with their predicted position, brightness and rate."""
        texts = (answer.texts(c) for c in ("name", "class"))
        place = _places(answer, "_raj2000", "_decj2000")
        numbers = (answer.numbers(c) for c in ("magV", "dracosdec", "ddec", "errpos"))
        faintest = self._config.skybot.max_magnitude
        return [
            Source(
                source_id=_skybot_id(number, name),
                name=name,
                ra=ra,
                dec=dec,
                magnitude=mag,
                band="V",
                source_class=kind,
                rate_ra_arcsec_per_h=rate_ra,
                rate_dec_arcsec_per_h=rate_dec,
                position_err_arcsec=err,
            )
            for number, name, kind, ra, dec, mag, rate_ra, rate_dec, err in zip(
                answer.texts("num"), *texts, *place, *numbers, strict=True
            )
            if name is not None
            and ra is not None
            and dec is not None
            and (mag is None or mag <= faintest)
        ]

    def positions(
        self,
        sources: Sequence[Source],
        time: dt.datetime,  # noqa: ARG002
    ) -> tuple[F64, F64]:
        """As answered: the service was asked for this very time."""
        return _catalogue_positions(sources)


def catalogues(config: CrossmatchConfig) -> list[Catalogue]:
    """The catalogues that a configuration names, in its order."""
    known: dict[str, type[Gaia] | type[Vsx] | type[Skybot]] = {
        "gaia": Gaia,
        "vsx": Vsx,
        "skybot": Skybot,
    }
    return [known[name](config) for name in config.catalogues]


def _tap(
    catalogue: str,
    url: str,
    columns: Sequence[str],
    table: str,
    position: tuple[str, str],
    cone: Cone,
    max_sources: int,
    condition: str = "",
) -> Request:
    ra, dec = position
    # Every value in it is a number of ours or a name written above.
    query = (
        f"SELECT {', '.join(_quoted(name) for name in columns)} FROM {_quoted(table)} "  # noqa: S608
        f"WHERE 1=CONTAINS(POINT('ICRS', {_quoted(ra)}, {_quoted(dec)}), "
        f"CIRCLE('ICRS', {cone.ra_deg:.6f}, {cone.dec_deg:.6f}, {cone.radius_deg:.6f}))"
        f"{condition}"
    )
    return Request(
        catalogue,
        url,
        "POST",
        {
            "REQUEST": "doQuery",
            "LANG": "ADQL",
            "FORMAT": "votable",
            "MAXREC": str(max_sources),
            "QUERY": query,
        },
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _places(answer: Columns, ra: str, dec: str) -> tuple[list[float | None], list[float | None]]:
    return answer.degrees(ra, 0.0, 360.0), answer.degrees(dec, -90.0, 90.0)


def _catalogue_positions(sources: Sequence[Source]) -> tuple[F64, F64]:
    return np.array([s.ra for s in sources]), np.array([s.dec for s in sources])


def _skybot_id(number: str | None, name: str) -> str:
    """The number of a numbered object, else its provisional designation."""
    is_numbered = number is not None and number.isdecimal() and int(number) > 0
    return str(number) if is_numbered else name


def _rounded(value_deg: float) -> float:
    return round(round(value_deg / _ROUNDING_DEG) * _ROUNDING_DEG, 2)
