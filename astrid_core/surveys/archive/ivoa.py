"""Any archive of the Virtual Observatory: SIA 2, SIA 1 or ObsCore through TAP; datalink.

Written from the IVOA's recommendations (SIA 2.0, SIA 1.0, ObsCore 1.1, TAP 1.1, DataLink 1.1).
Verified live: no.

What belongs here: what is asked by which protocol, and what an answer says. What does not:
fetching files (``download``).

pyvo asks, through our session, and reads the answers. It wraps whatever is raised under it
into errors of its own, so that ours are looked for behind them.
"""

import datetime as dt
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pyvo
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time
from pyvo.dal.adhoc import DatalinkResults

from astrid_core.errors import SurveyRefusedError
from astrid_core.remote.session import ArchiveSession, own_error
from astrid_core.remote.votable import why_refused
from astrid_core.surveys.archive.ivoa_config import IvoaOptions
from astrid_core.surveys.archive.listing import (
    Corners,
    ListedImage,
    circle,
    is_date,
    is_wanted_file,
    matches,
    mjd_around,
    night_of_mjd,
    parse_region,
)
from astrid_core.surveys.archive.mast_config import Cone
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.config import SurveyConfig

_DATALINK = re.compile(r"content\s*=\s*\"?datalink", re.IGNORECASE)
_FITS_NAME = re.compile(r"\.(fits?|fts)(\.(gz|bz2|fz|Z))?$", re.IGNORECASE)
_KIB = 1024
_SAID_CHARACTERS = 200
_COLUMNS = (
    "obs_publisher_did", "obs_collection", "dataproduct_type", "calib_level", "instrument_name",
    "access_url", "access_format", "access_estsize", "s_ra", "s_dec", "s_fov", "s_region",
    "t_min", "t_max",
)  # fmt: skip
"""Of ObsCore, which every ObsCore table has."""

Row = dict[str, Any]
Answer = TypeVar("Answer")


class IvoaFinder:
    """Finds the files of a survey's options at a service of the Virtual Observatory."""

    def __init__(self, config: SurveyConfig, session: ArchiveSession) -> None:
        assert config.ivoa is not None, "validated with the configuration"  # noqa: S101
        self._survey = config.name
        self._options: IvoaOptions = config.ivoa
        self._longitude_deg = config.longitude_deg
        self._session = session
        self._tables = _Tables(session)
        self._url = str(self._options.url)

    def nights(self) -> list[dt.date]:
        """Nights of the survey's dates that have images."""
        dates = self._options.dates
        return sorted({image.night for image in self.listed(dates.first, dates.last)})

    def products(self, night: dt.date) -> list[Product]:
        """Files of a night's images, links followed, by name."""
        products: dict[str, Product] = {}
        for image in self.listed(night, night):
            product = self.resolved(image)
            if product is not None:
                products.setdefault(product.url, product)
        return sorted(products.values(), key=lambda product: product.name)

    def listed(self, first: dt.date, last: dt.date) -> list[ListedImage]:
        """Images of nights, both included, within the survey's dates.

        Raises
        ------
        SurveyUnavailableError
            If the archive cannot be reached, refuses, cuts its answer short or answers what
            cannot be read.
        """
        first, last = max(first, self._options.dates.first), min(last, self._options.dates.last)
        if last < first:
            return []
        found: dict[str, ListedImage] = {}
        for cone in self._options.cones:
            for image in self._images(self._rows(cone, first, last), cone):
                if first <= image.night <= last:
                    found.setdefault(image.product.url, image)
        return list(found.values())

    def resolved(self, image: ListedImage) -> Product | None:
        """File of an image, its datalink followed; None where the rules leave it out.

        A link that tells of trouble stays as it is: fetching it fails and is recorded, as
        that of one file, and the night goes on.
        """
        if not image.is_link:
            return image.product
        try:
            links = self._asked(image.product.url, lambda: self._links(image.product.url))
        except SurveyRefusedError:
            return image.product
        this = [row for row in links if row.get("semantics") == "#this"]
        if any(row.get("error_message") for row in this or links):
            return image.product
        for row in this:
            address, kind = row.get("access_url"), str(row.get("content_type") or "fits")
            name = file_name(str(address), image.product.name)
            if address and "fits" in kind.lower() and self._is_wanted_file(name):
                size = row.get("content_length")
                return replace(
                    image.product, name=name, url=str(address), size_bytes=_bytes(size, 1)
                )
        return None

    # --- asking ---------------------------------------------------------------------------

    def _rows(self, cone: Cone, first: dt.date, last: dt.date) -> list[Row]:
        """Rows of a service about a cone, all of them or an error.

        Where there are more than one answer may have, the nights are asked for by halves.
        """
        rows = self._answer(cone, first, last)
        if rows is not None:
            return rows
        if self._options.protocol == "sia1" or first == last:
            raise SurveyRefusedError(
                f"Survey '{self._survey}': the archive lists more images around {cone.ra:g} "
                f"{cone.dec:+g} for {first}..{last} than it or 'ivoa.max_images' lets one answer "
                "have.",
                remedy="Ask for a smaller radius, or raise the limit if it is that.",
                max_images=self._options.max_images,
            )
        middle = first + (last - first) // 2
        later = middle + dt.timedelta(days=1)
        return [*self._rows(cone, first, middle), *self._rows(cone, later, last)]

    def _answer(self, cone: Cone, first: dt.date, last: dt.date) -> list[Row] | None:
        """Rows of one answer; None where it is not whole."""
        ask = {"sia2": self._sia2, "sia1": self._sia1, "obscore": self._obscore}
        span = mjd_around(first, last)

        def read() -> tuple[str, tuple[str, ...], list[Row]]:
            results = ask[self._options.protocol](cone, span)
            rows = [self._columns(record) for record in results]
            return str(results.status[0]).lower(), results.fieldnames, rows

        status, columns, rows = self._asked(self._url, read)
        if status == "overflow" or len(rows) > self._options.max_images:
            return None
        for what in ("access_url", "t_min"):
            if rows and all(row.get(what) is None for row in rows):
                told = ", ".join(columns)[:_SAID_CHARACTERS]
                raise self._session.refused(
                    self._url, f"lists {len(rows)} images without any '{what}' (it has {told})"
                )
        return rows

    def _sia2(self, cone: Cone, span: tuple[float, float]) -> Any:
        options = self._options
        # check_baseurl would ask for capabilities, from wherever these say.
        service = pyvo.dal.SIA2Service(self._url, session=self._tables, check_baseurl=False)
        return service.search(
            pos=(cone.ra * u.deg, cone.dec * u.deg, cone.radius_deg * u.deg),
            time=[tuple(Time(mjd, format="mjd") for mjd in span)],
            calib_level=list(options.calibration_levels),
            collection=list(options.collections) or None,
            data_type="image",
            maxrec=options.max_images + 1,
        )

    def _sia1(self, cone: Cone, span: tuple[float, float]) -> Any:
        del span  # the protocol knows no time: nights are told from the answer
        service = pyvo.dal.SIAService(self._url, session=self._tables)
        size_deg = 2 * cone.radius_deg
        # Services differ in whether the width is on the sky: the wider reading misses nothing.
        width_deg = min(size_deg / max(np.cos(np.radians(cone.dec)), 1e-3), 360.0)
        centre = SkyCoord(cone.ra, cone.dec, unit="deg")
        return service.search(pos=centre, size=(width_deg, size_deg), format="image/fits")

    def _obscore(self, cone: Cone, span: tuple[float, float]) -> Any:
        service = pyvo.dal.TAPService(self._url.rstrip("/"), session=self._tables)
        return service.run_sync(self._adql(cone, span), maxrec=self._options.max_images + 1)

    def _adql(self, cone: Cone, span: tuple[float, float]) -> str:
        options = self._options
        region = f"CIRCLE('ICRS', {cone.ra!r}, {cone.dec!r}, {cone.radius_deg!r})"
        if options.overlap == "region":
            where = f"1 = INTERSECTS(s_region, {region})"
        else:
            where = f"1 = CONTAINS(POINT('ICRS', s_ra, s_dec), {region})"
        conditions = [
            where,
            "dataproduct_type = 'image'",
            f"calib_level IN ({', '.join(map(str, options.calibration_levels))})",
            f"t_min >= {span[0]!r} AND t_min < {span[1]!r}",
        ]
        if options.collections:
            names = ", ".join(_quoted(name) for name in options.collections)
            conditions.append(f"obs_collection IN ({names})")
        columns = [*_COLUMNS, *([options.filter_column] if options.filter_column else [])]
        return (
            f"SELECT {', '.join(columns)} FROM {options.table} "  # noqa: S608  validated names
            f"WHERE {' AND '.join(conditions)}"
        )

    def _links(self, address: str) -> list[Row]:
        links = DatalinkResults.from_result_url(address, session=self._tables)
        return [self._columns(link) for link in links]

    def _asked(self, address: str, ask: Callable[[], Answer]) -> Answer:
        """What pyvo answers, its errors in our words, ours as they were."""
        try:
            with warnings.catch_warnings():
                # Dialects of VOTable are no news; an overflow is told by the status as well.
                warnings.simplefilter("ignore")
                return ask()
        except Exception as error:
            # pyvo and the parsers under it raise whatever they do on what they cannot read.
            ours = own_error(error)
            if ours is not None:
                raise ours from None
            said = " ".join(str(error).split())[:_SAID_CHARACTERS]
            raise self._session.refused(
                address, f"answers what cannot be used ({type(error).__name__}: {said})"
            ) from error

    # --- what an answer says ----------------------------------------------------------------

    def _columns(self, record: Any) -> Row:
        """A row by lower-case names; of SIA 1 by ObsCore's. What is null is None."""
        row = {str(name).lower(): _plain(record[name]) for name in record}
        if self._options.protocol != "sia1" or "semantics" in row:
            return row
        moment = record.dateobs
        return row | {
            "access_url": _plain(record.acref),
            "access_format": _plain(record.format),
            "access_bytes": _plain(record.filesize),
            "instrument_name": _plain(record.instr),
            "bandpass": _plain(record.bandpass_id),
            "s_ra": _plain(record.getbyucd("POS_EQ_RA_MAIN")),
            "s_dec": _plain(record.getbyucd("POS_EQ_DEC_MAIN")),
            "s_fov": _narrow_side(
                record.getbyucd("VOX:Image_Naxis"), record.getbyucd("VOX:Image_Scale")
            ),
            "t_min": None if moment is None else float(moment.mjd),
            "t_max": row.get("t_max"),
        }

    def _images(self, rows: list[Row], cone: Cone) -> list[ListedImage]:
        """Images among rows, whose columns may hold anything."""

        def read() -> list[ListedImage]:
            images = (self._image(row, cone) for row in rows)
            return [image for image in images if image is not None]

        return self._asked(self._url, read)

    def _image(self, row: Row, cone: Cone) -> ListedImage | None:
        """An image that was asked for: every rule is applied again, on our side."""
        begun, url = row.get("t_min"), row.get("access_url")
        kind = str(row.get("access_format") or "")
        is_link = bool(_DATALINK.search(kind))
        if begun is None or url is None or not self._is_asked_for(row):
            return None
        if not is_link and kind and "fits" not in kind.lower():
            return None
        name = file_name(str(url), str(row.get("obs_publisher_did") or ""))
        if not is_link and not self._is_wanted_file(name):
            return None
        ended = row.get("t_max")
        middle = (float(begun) + float(begun if ended is None else ended)) / 2
        if not is_date(middle):
            return None
        size = _bytes(row.get("access_estsize"), _KIB) or _bytes(row.get("access_bytes"), 1)
        return ListedImage(
            # What is listed is an estimate: it serves plans and limits, and proves nothing.
            product=Product(name, str(url), size, field=cone.field, is_size_estimated=True),
            mid_mjd=middle,
            night=night_of_mjd(middle, self._longitude_deg),
            filter_text=self._filter(row),
            instrument=str(row.get("instrument_name") or ""),
            footprint=_footprint(row),
            is_link=is_link,
        )

    def _is_asked_for(self, row: Row) -> bool:
        options = self._options
        is_public = str(row.get("data_rights") or "public").lower() == "public"
        is_of_survey = options.protocol == "sia1" or (
            str(row.get("dataproduct_type") or "image") == "image"
            and _level(row) in options.calibration_levels
            and (not options.collections or row.get("obs_collection") in options.collections)
        )
        return (
            is_of_survey
            and (is_public or bool(self._session.rules.credentials))
            and matches((str(row.get("instrument_name") or ""),), options.instruments)
            and matches((self._filter(row),), options.filters)
        )

    def _filter(self, row: Row) -> str:
        column = self._options.filter_column
        value = row.get("bandpass") if column is None else row.get(column.lower())
        return "" if value is None else str(value).strip()

    def _is_wanted_file(self, name: str) -> bool:
        return is_wanted_file(name, self._options.file_names, self._options.exclude)


class _Tables:
    """The session as pyvo is given it: tables that must not be read do not get to it."""

    def __init__(self, session: ArchiveSession) -> None:
        self._session = session

    def get(self, url: str, **kwargs: Any) -> requests.Response:
        """A table that was asked for by its address."""
        return self._looked_at(self._session.get(url, **kwargs))

    def post(self, url: str, **kwargs: Any) -> requests.Response:
        """A table that was asked for by a form."""
        return self._looked_at(self._session.post(url, **kwargs))

    def _looked_at(self, response: requests.Response) -> requests.Response:
        why_not = why_refused(response.content)
        if why_not is not None:
            raise self._session.refused(str(response.url), f"answers a table that {why_not}")
        return response


def file_name(url: str, publisher_id: str) -> str:
    """The file's name in an address; of a program's answer the publisher's id, or all of it."""
    path, _, query = url.partition("?")
    last = path.rstrip("/").rsplit("/", 1)[-1]
    if _FITS_NAME.search(last) or ("." in last and not query):
        return last
    name = re.sub(r"[^A-Za-z0-9._+-]+", "_", publisher_id or url).strip("_")
    return name if _FITS_NAME.search(name) else f"{name}.fits"


def _footprint(row: Row) -> Corners | None:
    """Region of an image; where none is told, the circle that ObsCore's s_fov bounds it by."""
    region = row.get("s_region")
    corners = parse_region(str(region)) if isinstance(region, str) else None
    place = [row.get(name) for name in ("s_ra", "s_dec", "s_fov")]
    if corners is None and all(isinstance(value, float) for value in place):
        ra, dec, fov_deg = (float(str(value)) for value in place)
        corners = circle(ra, dec, fov_deg / 2) if 0 < fov_deg < 90 else None
    return corners


def _narrow_side(n_pixels: Any, scale_deg: Any) -> float | None:
    """Narrower side of an image of SIA 1, degrees; None where it is not told.

    How the image is turned is not always told: the circle in it is sky that it surely holds.
    """
    if n_pixels is None or scale_deg is None:
        return None
    sides = np.ma.ravel(n_pixels).astype(float) * np.ma.ravel(scale_deg).astype(float)
    side = float(np.min(np.abs(np.ma.filled(sides, np.nan))))
    return side if np.isfinite(side) else None


def _plain(value: Any) -> Any:
    """A cell as Python has it: None where it is null or no number."""
    if value is None or np.ma.is_masked(value):
        return None
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.ndarray):
        return " ".join(str(one) for one in value.ravel())
    return value.strip() or None if isinstance(value, str) else value


def _bytes(size: Any, unit: int) -> int | None:
    return int(size) * unit if isinstance(size, int | float) and size > 0 else None


def _level(row: Row) -> int | None:
    level = row.get("calib_level")
    return int(level) if isinstance(level, int | float) else None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
