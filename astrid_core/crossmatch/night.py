"""The cross-match of a night: what to ask, what is known already, what matches.

What belongs here: plan, answers and rows, as functions of the night's exposures. What does
not: reading and writing rows (the cache is handed in, and new answers are handed back).

One question is asked for each field of a night, at its own time for each exposure where
sources move. An answer is kept; a catalogue that fails costs its own matches only.
"""

import datetime as dt
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

import numpy as np

from astrid_core.crossmatch.catalogues import Catalogue, Cone, Source, catalogues
from astrid_core.crossmatch.config import GEOCENTRE, CrossmatchConfig
from astrid_core.crossmatch.match import match
from astrid_core.crossmatch.service import fetch, read_votable
from astrid_core.errors import CatalogueUnavailableError
from astrid_core.identity import config_digest, crossmatch_id, crossmatch_run_id, derive_id

CROSSMATCH_VERSION = "1"
"""Code version of this stage: part of every cached answer's id."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Sighting:
    """A detection of an object; degrees ICRS."""

    detection_id: UUID
    object_id: UUID
    ra: float
    dec: float


@dataclass(frozen=True)
class Exposure:
    """An observation and the sightings on it.

    Attributes
    ----------
    observation_time
        UTC of mid-exposure.
    footprint
        Corners, [[ra, dec] × 4] in degrees ICRS.
    """

    observation_id: UUID
    field: str
    observation_time: dt.datetime
    footprint: Sequence[Sequence[float]]
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True)
class Query:
    """One question to one catalogue, for the exposures it serves."""

    id: UUID
    catalogue: Catalogue
    cone: Cone
    time: dt.datetime
    exposures: tuple[Exposure, ...]


@dataclass
class NightMatches:
    """What the cross-match of a night gave.

    Attributes
    ----------
    answers, runs, matches
        Rows of ``catalogue_answers`` (new ones only), ``crossmatch_runs``, ``crossmatches``.
    n_cached, n_asked
        Questions answered from the cache, and those put to a service.
    """

    answers: list[Row] = field(default_factory=list)
    runs: list[Row] = field(default_factory=list)
    matches: list[Row] = field(default_factory=list)
    n_cached: int = 0
    n_asked: int = 0

    @property
    def completed_run_ids(self) -> list[UUID]:
        """Runs whose matches are listed completely; a failed one says nothing of its own."""
        return [run["run_id"] for run in self.runs if run["status"] == "completed"]


def exposures(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Exposure], int]:
    """Exposures of a night with their sightings, and how many have no place or time.

    Parameters
    ----------
    rows
        One for each sighting, in the order of ``observation_id``: the observation's columns,
        ``detection_id``, ``object_id``, ``ra``, ``dec``; the last four are null for an
        observation without sightings, the last two for one without WCS.
    """
    found: list[Exposure] = []
    n_unplaced = 0
    for _, group in groupby(rows, key=lambda row: row["observation_id"]):
        of_observation = list(group)
        first = of_observation[0]
        if first["footprint"] is None or first["observation_time"] is None:
            n_unplaced += 1
            continue
        sightings = tuple(
            Sighting(row["detection_id"], row["object_id"], row["ra"], row["dec"])
            for row in of_observation
            if row["ra"] is not None and row["dec"] is not None
        )
        found.append(
            Exposure(
                first["observation_id"],
                first["field"],
                first["observation_time"],
                first["footprint"],
                sightings,
            )
        )
    return found, n_unplaced


def plan_queries(night: Sequence[Exposure], config: CrossmatchConfig) -> list[Query]:
    """The questions of a night: none for an exposure that shows no object."""
    with_objects = [exposure for exposure in night if exposure.sightings]
    by_field: dict[str, list[Exposure]] = defaultdict(list)
    for exposure in with_objects:
        by_field[exposure.field].append(exposure)
    return [
        _query(catalogue, group)
        for catalogue in catalogues(config)
        for group in (
            [[exposure] for exposure in with_objects] if catalogue.is_moving else by_field.values()
        )
    ]


def match_night(
    night: Sequence[Exposure],
    queries: Sequence[Query],
    cached: Mapping[UUID, Row],
    config: CrossmatchConfig,
    now: dt.datetime,
) -> NightMatches:
    """Answer the questions, from the cache where it can, and match every sighting.

    Parameters
    ----------
    cached
        Rows of ``catalogue_answers`` by id; those past ``expires_at`` are asked for again.
    now
        UTC, the time answers are fetched.
    """
    result = NightMatches()
    asked_for = {(q.catalogue.name, e.observation_id) for q in queries for e in q.exposures}
    for catalogue in catalogues(config):
        # Nothing to ask about, and so nothing may stay of what matched before.
        result.runs += [
            _run_row(exposure, catalogue, config)
            for exposure in night
            if (catalogue.name, exposure.observation_id) not in asked_for
        ]
    down: dict[str, CatalogueUnavailableError] = {}
    for query in queries:
        begun = time.monotonic()
        try:
            answer = _answer(query, cached, config, now, result, down)
        except CatalogueUnavailableError as error:
            if error.transient:
                down[query.catalogue.name] = error
            failure = {
                "status": "failed",
                "error_type": type(error).__name__,
                "error_message": str(error),
            }
            result.runs += [_run_row(e, query.catalogue, config) | failure for e in query.exposures]
            continue
        sources = [Source(**source) for source in answer["sources"]]
        for exposure in query.exposures:
            matches = _match_rows(exposure, query, sources, config)
            result.matches += matches
            result.runs.append(
                _run_row(exposure, query.catalogue, config)
                | {
                    "answer_id": query.id,
                    "n_sources": len(sources),
                    "n_matches": len(matches),
                    "wall_s": time.monotonic() - begun,
                }
            )
    return result


def _query(catalogue: Catalogue, group: Sequence[Exposure]) -> Query:
    # Of a field's exposures the last one decides how far its stars may have moved.
    latest = max(exposure.observation_time for exposure in group)
    corners = [corner for exposure in group for corner in exposure.footprint]
    cone = Cone.around(corners, catalogue.margin_deg(latest))
    request = catalogue.request(cone, latest)
    answer_id = derive_id(
        "catalogue_answer",
        CROSSMATCH_VERSION,
        catalogue.name,
        request.url,
        sorted(request.parameters.items()),
    )
    return Query(answer_id, catalogue, cone, latest, tuple(group))


def _answer(
    query: Query,
    cached: Mapping[UUID, Row],
    config: CrossmatchConfig,
    now: dt.datetime,
    result: NightMatches,
    down: Mapping[str, CatalogueUnavailableError],
) -> Row:
    """The row of the cached answer, or of a new one, which is noted in ``result``."""
    found = cached.get(query.id)
    if found is not None and (found["expires_at"] is None or found["expires_at"] > now):
        result.n_cached += 1
        return found
    catalogue = query.catalogue
    if catalogue.name in down:
        # Every further question would wait as long, to hear the same.
        raise down[catalogue.name]
    result.n_asked += 1
    request = catalogue.request(query.cone, query.time)
    body = fetch(request, config.service)
    sources = catalogue.sources(read_votable(body, request))
    row = {
        "id": query.id,
        "catalogue": catalogue.name,
        "url": request.url,
        "parameters": dict(request.parameters),
        "ra": query.cone.ra_deg,
        "dec": query.cone.dec_deg,
        "radius_deg": query.cone.radius_deg,
        "epoch": query.time if catalogue.is_moving else None,
        "sha256": hashlib.sha256(body).hexdigest(),
        "n_sources": len(sources),
        "sources": [source.to_json() for source in sources],
        "fetched_at": now,
        "expires_at": (
            None if catalogue.keep_days is None else now + dt.timedelta(days=catalogue.keep_days)
        ),
    }
    result.answers.append(row)
    return row


def _match_rows(
    exposure: Exposure, query: Query, sources: Sequence[Source], config: CrossmatchConfig
) -> list[Row]:
    catalogue, when = query.catalogue, exposure.observation_time
    ra, dec = catalogue.positions(sources, when)
    seen = exposure.sightings
    found = match(
        (np.array([one.ra for one in seen]), np.array([one.dec for one in seen])),
        (ra, dec),
        catalogue.radius_arcsec,
        config.max_matches,
        config.density_radius_arcmin,
        query.cone.area_arcmin2,
    )
    run_id = crossmatch_run_id(exposure.observation_id, catalogue.name)
    rows = []
    for one in found:
        sighting, source = seen[one.position], sources[one.source]
        rows.append(
            {
                "id": crossmatch_id(run_id, sighting.detection_id, source.source_id),
                "crossmatch_run_id": run_id,
                "object_id": sighting.object_id,
                "detection_id": sighting.detection_id,
                "catalogue": catalogue.name,
                "source_id": source.source_id,
                "name": source.name,
                "kind": catalogue.kind,
                "source_class": source.source_class,
                "rank": one.rank,
                "separation_arcsec": one.separation_arcsec,
                "ra": float(ra[one.source]),
                "dec": float(dec[one.source]),
                "epoch": when,
                "magnitude": source.magnitude,
                "band": source.band,
                "rate_ra_arcsec_per_h": source.rate_ra_arcsec_per_h,
                "rate_dec_arcsec_per_h": source.rate_dec_arcsec_per_h,
                "position_err_arcsec": source.position_err_arcsec,
                "density_per_arcmin2": one.density_per_arcmin2,
                "chance_probability": one.chance_probability,
                "status": "active",
            }
        )
    return rows


def _run_row(exposure: Exposure, catalogue: Catalogue, config: CrossmatchConfig) -> Row:
    """Row of an exposure's cross-match that asked nothing and found nothing."""
    return {
        "run_id": crossmatch_run_id(exposure.observation_id, catalogue.name),
        "observation_id": exposure.observation_id,
        "catalogue": catalogue.name,
        "answer_id": None,
        "status": "completed",
        "observatory_code": (config.observatory_code or GEOCENTRE if catalogue.is_moving else None),
        "assumed": list(catalogue.assumed),
        "n_sightings": len(exposure.sightings),
        "n_sources": None,
        "n_matches": 0,
        "code_version": CROSSMATCH_VERSION,
        "config_digest": config_digest(config.model_dump(mode="json")),
    }
