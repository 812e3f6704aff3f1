"""``astrid surveys pairs``: observations before and after transients, planned and ingested.

What belongs here: tables, the plan's file, the runs. The choice is ``astrid_core.surveys``'s,
and the fetching Dagster's.
"""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import select

from astrid_core.errors import ConfigurationError
from astrid_core.identity import survey_id
from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.download import plan as plan_downloads
from astrid_core.surveys.archive.listing import Lister
from astrid_core.surveys.archive.mast_config import Cone
from astrid_core.surveys.archive.product import Product
from astrid_core.surveys.config import SurveyConfig, SurveysFile, require_resolved
from astrid_core.surveys.pair_plan import PairPlan, counts, field_of, rows
from astrid_core.surveys.pairs import plan_pairs
from astrid_core.surveys.registry import listing_dates, open_lister
from astrid_core.surveys.transients import Transient, read_transients
from astrid_stack.console import bars, out, say
from astrid_stack.dagster_client import DagsterClient, Launch
from astrid_stack.errors import StackError
from astrid_stack.nights import keys_between
from astrid_stack.state import State
from dbschema.models import IngestRun
from dbschema.session import make_engine
from dbschema.transactions import transaction

INGEST_JOB = "ingest_only"
_MIB = 1 << 20
_MAX_LISTED = 60
_TIMEOUT_S = 86_400.0


def plan(catalogue: Path, config: SurveyConfig) -> PairPlan:
    """Plan the pairs of a catalogue in a survey, with a bar.

    Raises
    ------
    ConfigurationError
        If the catalogue or the survey cannot be used so.
    SurveyUnavailableError
        If the archive cannot be asked.
    """
    require_resolved(config)
    transients, rejected = read_transients(catalogue)
    dates = listing_dates(config)
    assert config.archive is not None, "validated with its adapter"  # noqa: S101
    with (
        ArchiveSession(config.name, config.archive) as session,
        bars(is_kept=False) as progress,
    ):
        task = progress.add_task("looking around transients", total=len(transients))

        def lister_at(transient: Transient) -> Lister:
            radius_deg = config.pairs.margin_arcsec / 3600
            place = Cone(
                field=field_of(transient.name),
                ra=transient.ra,
                dec=transient.dec,
                radius_deg=radius_deg,
            )
            return open_lister(config, session, place)

        return plan_pairs(
            config.name,
            transients,
            rejected,
            lister_at,
            dates,
            config.pairs,
            config.keywords.filter_band.aliases,
            lambda done: progress.update(task, completed=done),
        )


def show(found: PairPlan, config: SurveyConfig) -> None:
    """Print a plan: pairs, what they would cost, and what is left out and why."""
    table = Table(
        Column("transient", overflow="fold"), "rank", "instrument", "band",
        Column("before", overflow="fold"), "days", Column("after", overflow="fold"), "days",
        "overlap", "MiB", box=None, header_style="bold",
    )  # fmt: skip
    for pair in found.pairs:
        table.add_row(
            escape(pair.transient.name),
            str(pair.rank),
            escape(pair.instrument),
            pair.band,
            escape(pair.before.product.name),
            f"-{pair.before_days:.1f}",
            escape(pair.after.product.name),
            f"+{pair.after_days:.1f}",
            f"{pair.overlap:.0%}",
            f"{_mib(pair.before.product)} + {_mib(pair.after.product)}",
        )
    out.print(table)
    with_pair = {pair.transient.name for pair in found.pairs}
    say(f"{found.n_transients} transients, {len(with_pair)} with a pair, {len(found.pairs)} pairs")
    if found.left_out:
        _show_left_out(found)
    assert config.archive is not None  # noqa: S101  planned in it
    products = [image.product for image in found.images]
    say(plan_downloads(products, config.name, config.archive).describe())


def save(found: PairPlan, path: Path) -> None:
    """Write a plan with every reason to a JSON file."""
    content = {
        "survey": found.survey,
        "n_transients": found.n_transients,
        "pairs": list(rows(found)),
        "left_out": [
            {"transient": o.transient, "image": o.image, "why": o.why.value, "reason": o.reason}
            for o in found.left_out
        ],
        "files": {
            night.isoformat(): [_file(product) for product in products]
            for night, products in found.by_night.items()
        },
        # As 'references.include' of the survey wants it.
        "earlier_images": sorted({pair.before.product.name for pair in found.pairs}),
    }
    try:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"The plan cannot be written to {path}: {error.strerror or error}.",
            remedy="Name another file with --output.",
        ) from error


def run_config(products: Sequence[Product]) -> dict[str, Any]:
    """Launch-time options of a night's ingest that restrict it to certain files."""
    return {"ops": {"ingest": {"config": {"only": [_file(product) for product in products]}}}}


def require_partitions(found: PairPlan, surveys: SurveysFile) -> None:
    """Refuse a plan of which a night is no partition, before any of it is ingested.

    Raises
    ------
    NightsError
        Naming the night.
    """
    today = dt.datetime.now(dt.UTC).date()
    for night in found.by_night:
        keys_between(surveys, found.survey, night, night, today)


def ingest(found: PairPlan, state: State) -> None:
    """Have Dagster ingest exactly the plan's files, a run for each night, and say how it went.

    Raises
    ------
    StackError
        If Dagster refuses, or files did not come.
    """
    client = DagsterClient.of(state)
    run_ids: list[str] = []
    for night, products in found.by_night.items():
        partition = {"night": night.isoformat(), "survey": found.survey}
        launch = client.launch(INGEST_JOB, [partition], run_config(products))
        run_ids += launch.run_filter["runIds"]
    say(f"{len(run_ids)} nights are being ingested: {client.address_of_run(run_ids[0])} …")
    ended = client.follow(
        Launch(len(run_ids), {"runIds": run_ids}), lambda _: None, timeout_s=_TIMEOUT_S
    )
    lost = [run for run in ended if run.status != "SUCCESS"]
    status = _status_of(found, state)
    say(f"{sum(one == 'completed' for one in status.values())} files ingested")
    failed = [name for name, one in status.items() if one != "completed"]
    if lost or failed:
        nights = ", ".join(sorted(run.partition for run in lost)) or "none"
        raise StackError(
            f"{len(failed)} files of the plan are not there ({', '.join(failed[:5]) or 'none'}"
            f"{' …' if len(failed) > 5 else ''}); nights that failed: {nights}.",
            remedy="Look at the runs in Dagster's UI; run the command again, and what is there "
            "is not fetched again.",
        )


def _status_of(found: PairPlan, state: State) -> dict[str, str]:
    """What became of each file of a plan; 'missing' where nothing did."""
    names = [image.product.name for image in found.images]
    query = (
        select(IngestRun.source, IngestRun.status)
        .where(IngestRun.survey_id == survey_id(found.survey), IngestRun.source.in_(names))
        .order_by(IngestRun.status.desc())  # failed attempts first: a later success wins
    )
    with transaction(make_engine(state.database_url("astrid"))) as connection:
        known = {row.source: row.status for row in connection.execute(query)}
    return {name: known.get(name, "missing") for name in names}


def _show_left_out(found: PairPlan) -> None:
    told = ", ".join(f"{number} {why}" for why, number in counts(found.left_out).items())
    say(f"left out: {told}")
    folded = [Column(name, overflow="fold") for name in ("transient", "image")]
    table = Table(*folded, "why", "reason", box=None, header_style="bold")
    for one in found.left_out[:_MAX_LISTED]:
        table.add_row(escape(one.transient), escape(one.image), one.why.value, escape(one.reason))
    out.print(table)
    if len(found.left_out) > _MAX_LISTED:
        say(f"and {len(found.left_out) - _MAX_LISTED} more; --output writes all of them to a file")


def _file(product: Product) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": product.name,
        "url": product.url,
        "is_size_estimated": product.is_size_estimated,
    }
    optional = {"size_bytes": product.size_bytes, "field": product.field}
    return told | {key: value for key, value in optional.items() if value is not None}


def _mib(product: Product) -> str:
    return "?" if product.size_bytes is None else f"{product.size_bytes / _MIB:.1f}"
