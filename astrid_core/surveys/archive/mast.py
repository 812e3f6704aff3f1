"""MAST: observations of HST, JWST, Pan-STARRS and the other missions, found by astroquery.

Verified live: no.

What belongs here: which observations and files a survey's options mean. What does not:
fetching them (``download``).

astroquery asks, through our session: its clients keep their session and the portal's
addresses in attributes, which are set here on each client's own instance (astroquery's
configuration is global and read once, at import). Its downloads are not used: they verify
nothing. TESS is left out: its full frames are too large for the portal by astroquery's own
judgement, and TESScut answers tables of pixels over time, which are no images.

Times of an observation are those MAST lists (t_min, t_max, MJD UTC): the night is that of
the middle, as ``times`` has it for headers.
"""

import datetime as dt
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astroquery.exceptions import (
    InputWarning,
    InvalidQueryError,
    NoResultsWarning,
    RemoteServiceError,
)
from astroquery.mast import ObservationsClass

from astrid_core.errors import AstridError, SurveyRefusedError
from astrid_core.remote.session import ArchiveSession, own_error
from astrid_core.surveys.archive.listing import (
    Corners,
    ListedImage,
    is_date,
    is_wanted_file,
    matches,
    mjd_around,
    night_of_mjd,
    parse_region,
)
from astrid_core.surveys.archive.mast_config import Cone, MastOptions
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.config import SurveyConfig

_OBSERVATIONS_AT_ONCE = 200
"""Whose files are asked for in one request."""
_ROWS_A_PAGE = 10_000
"""About 10 MiB of an answer; astroquery asks for page after page."""
_LINK = "mast:obsid/"
"""Instead of an address, where an observation's files are not known yet."""
_FILTER_SEPARATOR = re.compile(r"[;,\s]+")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class MastObservation:
    """One observation as MAST lists it.

    Attributes
    ----------
    obsid
        MAST's key, by which products are asked for.
    night
        Local observing night of its middle.
    filters
        Elements in the beam: 'F814W;CLEAR2L' is two.
    field
        Of the cone it was found in.
    mid_mjd
        Middle of the exposure, MJD (UTC).
    footprint
        Where it lies; None where MAST's region is none of one shape.
    """

    obsid: str
    night: dt.date
    filters: tuple[str, ...]
    field: str | None
    mid_mjd: float
    instrument: str
    footprint: Corners | None


class MastFinder:
    """Finds the files of a survey's options at MAST."""

    def __init__(self, config: SurveyConfig, session: ArchiveSession) -> None:
        assert config.mast is not None, "validated with the configuration"  # noqa: S101
        self._survey = config.name
        self._options: MastOptions = config.mast
        self._longitude_deg = config.longitude_deg
        self._session = session
        self._base = str(self._options.url).rstrip("/")
        self._client = _client(session, self._base)

    def nights(self) -> list[dt.date]:
        """Nights of the survey's dates that have observations."""
        dates = self._options.dates
        found = self.observations(dates.first, dates.last)
        return sorted({observation.night for observation in found})

    def products(self, night: dt.date) -> list[Product]:
        """Files of a night's observations that the product rules select, by name."""
        found = self.observations(night, night)
        if len(found) > self._options.max_observations:
            raise SurveyRefusedError(
                f"Survey '{self._survey}': MAST lists {len(found)} observations for {night}.",
                remedy="Narrow its options, or raise 'mast.max_observations'.",
                max_observations=self._options.max_observations,
            )
        fields = {observation.obsid: observation.field for observation in found}
        products: dict[str, Product] = {}
        for some in _batches(list(fields), _OBSERVATIONS_AT_ONCE):
            for product in self._products_of(some, fields):
                products.setdefault(product.name, product)
        return [products[name] for name in sorted(products)]

    def observations(self, first: dt.date, last: dt.date) -> list[MastObservation]:
        """Observations of nights, both included, within the survey's dates.

        Raises
        ------
        SurveyUnavailableError
            If the portal cannot be reached, refuses or answers what cannot be read.
        """
        first, last = max(first, self._options.dates.first), min(last, self._options.dates.last)
        if last < first:
            return []
        found: dict[str, MastObservation] = {}
        for cone in self._options.cones or (None,):
            criteria = self._criteria(first, last, cone)
            for observation in self._asked(partial(self._found, criteria, cone)):
                if first <= observation.night <= last:
                    found.setdefault(observation.obsid, observation)
        return list(found.values())

    def listed(self, first: dt.date, last: dt.date) -> list[ListedImage]:
        """Observations of nights, both included, each with a link to its files.

        Raises
        ------
        SurveyUnavailableError
            If the portal cannot be reached, refuses or answers what cannot be read.
        """
        return [
            ListedImage(
                product=Product(f"obsid {one.obsid}", f"{_LINK}{one.obsid}", field=one.field),
                mid_mjd=one.mid_mjd,
                night=one.night,
                filter_text=";".join(one.filters),
                instrument=one.instrument,
                footprint=one.footprint,
                is_link=True,
            )
            for one in self.observations(first, last)
        ]

    def resolved(self, image: ListedImage) -> Product | None:
        """The file of an observation that the product rules select; None for none or several."""
        obsid = image.product.url.removeprefix(_LINK)
        fields = {obsid: image.product.field}
        found = {product.name: product for product in self._products_of([obsid], fields)}
        return found.popitem()[1] if len(found) == 1 else None

    # --- asking ---------------------------------------------------------------------------

    def _found(self, criteria: dict[str, Any], cone: Cone | None) -> list[MastObservation]:
        # Rows are read where the answer is: they may hold anything as well.
        return self._wanted(self._client.query_criteria(**criteria), cone)

    def _products_of(self, obsids: list[str], fields: dict[str, str | None]) -> list[Product]:
        return self._asked(
            lambda: list(self._selected(self._client.get_product_list(obsids), fields))
        )

    def _criteria(self, first: dt.date, last: dt.date, cone: Cone | None) -> dict[str, Any]:
        """Criteria of the portal.

        Wildcards are not among them: the portal takes one and astroquery drops the others.
        """
        criteria: dict[str, Any] = {
            "obs_collection": list(self._options.collections),
            "dataproduct_type": ["image"],
            "t_min": list(mjd_around(first, last)),
        }
        if self._options.instruments and not any("*" in one for one in self._options.instruments):
            criteria["instrument_name"] = list(self._options.instruments)
        if self._options.proposals:
            criteria["proposal_id"] = list(self._options.proposals)
        if cone is not None:
            criteria["coordinates"] = SkyCoord(cone.ra, cone.dec, unit="deg")
            criteria["radius"] = cone.radius_deg * u.deg
        return criteria

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """What astroquery answers, its errors in our words."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoResultsWarning)  # nothing found is an answer
                warnings.simplefilter("error", InputWarning)  # a criterion would be dropped
                return ask()
        except AstridError:
            raise
        except (RemoteServiceError, TimeoutError) as error:
            raise self._session.unavailable(self._base, f"fails: {error}") from error
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else "?"
            raise self._session.refused(self._base, f"answers HTTP {status}") from None
        except (InvalidQueryError, InputWarning) as error:
            raise self._session.refused(self._base, f"cannot be asked so: {error}") from error
        except Exception as error:
            # astroquery and the tables under it raise whatever they do on other answers.
            ours = own_error(error)
            if ours is not None:
                raise ours from None
            raise self._session.refused(
                self._base, f"answers what is no portal's answer ({type(error).__name__})"
            ) from error

    # --- choosing -------------------------------------------------------------------------

    def _wanted(self, table: Table, cone: Cone | None) -> list[MastObservation]:
        """What was asked for among what came: every rule is applied again, on our side."""
        found = []
        options = self._options
        for row in table:
            filters = filter_elements(_text(row, "filters"))
            middle = _middle(row)
            is_asked_for = (
                _text(row, "obs_collection") in options.collections
                and _text(row, "dataproduct_type") == "image"
                and _text(row, "intentType") in ("", "science")
                and _text(row, "calib_level") in map(str, options.calibration_levels)
                and matches((_text(row, "instrument_name"),), options.instruments)
                and matches((_text(row, "proposal_id"),), options.proposals)
                and matches(filters, options.filters)
            )
            is_public = _text(row, "dataRights") in ("", "PUBLIC")
            is_readable = is_public or bool(self._session.rules.credentials)
            if middle is not None and is_asked_for and is_readable:
                found.append(
                    MastObservation(
                        obsid=_text(row, "obsid"),
                        night=night_of_mjd(middle, self._longitude_deg),
                        filters=filters,
                        field=cone.field if cone else None,
                        mid_mjd=middle,
                        instrument=_text(row, "instrument_name"),
                        footprint=parse_region(_text(row, "s_region")),
                    )
                )
        return found

    def _selected(self, table: Table, fields: dict[str, str | None]) -> Iterator[Product]:
        options = self._options
        for row in table:
            name, uri = _text(row, "productFilename"), _text(row, "dataURI")
            group = _text(row, "productSubGroupDescription")
            if _text(row, "productType") not in options.product_types or not uri:
                continue
            if options.product_groups and group not in options.product_groups:
                continue
            if not is_wanted_file(name, options.file_names, options.exclude):
                continue
            owners = [_text(row, key) for key in ("obsID", "parent_obsid")]
            field = next((fields[owner] for owner in owners if owner in fields), None)
            yield Product(
                name=uri.removeprefix("mast:"),
                url=f"{self._base}/api/v0.1/Download/file?uri={quote(uri, safe=':/')}",
                size_bytes=_size(row),
                field=field,
            )


def filter_elements(text: str) -> tuple[str, ...]:
    """Elements in the beam of MAST's ``filters``: clear ones tell nothing and are left out."""
    elements = [part for part in _FILTER_SEPARATOR.split(text) if part]
    coloured = [part for part in elements if not part.upper().startswith("CLEAR")]
    return tuple(coloured or elements)


def _middle(row: Any) -> float | None:
    """Middle of an observation, MJD; None where MAST lists no times: not observed yet."""
    times = [row[name] for name in ("t_min", "t_max")]
    if any(np.ma.is_masked(time) or not np.isfinite(time) for time in times):
        return None
    middle = float(np.mean(times))
    return middle if is_date(middle) else None


def _client(session: ArchiveSession, base: str) -> ObservationsClass:
    """Astroquery's client of the portal at an address, asking through a session."""
    client = ObservationsClass()
    portal = client._portal_api_connection
    client._session = portal._session = session
    portal.MAST_REQUEST_URL = f"{base}/api/v0/invoke"
    portal.COLUMNS_CONFIG_URL = f"{base}/portal/Mashup/Mashup.asmx/columnsconfig"
    portal.MAST_DOWNLOAD_URL = f"{base}/api/v0.1/Download/file"
    portal.PAGESIZE = _ROWS_A_PAGE
    portal._column_configs = {}  # the class's own is shared by all portals
    return client


def _text(row: Any, name: str) -> str:
    """A column's text; '' where it is null or there is no such column."""
    if name not in row.colnames or np.ma.is_masked(row[name]):
        return ""
    return str(row[name]).strip()


def _size(row: Any) -> int | None:
    if "size" not in row.colnames or np.ma.is_masked(row["size"]) or row["size"] <= 0:
        return None
    return int(row["size"])


def _batches(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
