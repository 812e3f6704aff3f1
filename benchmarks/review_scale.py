"""Human review at a million detections: how long the queue, verdicts, lists and cones take.

Run ``python -m benchmarks.review_scale``. It starts a PostgreSQL of its own in a temporary
folder and fills it: a million detections on current and replaced runs, good and degraded
frames, a tenth of them judged. Then it does what a review page does, as a reviewer who has
20,000 verdicts that wait for another's, and prints quantiles of the time of each, the CPU time
it takes, which a busy machine changes least, and the indexes that served it.
"""

import argparse
import itertools
import json
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import astropy.units as u
import numpy as np
import psutil
from astropy_healpix import HEALPix
from psycopg import Connection as PsycopgConnection
from sqlalchemy import Connection, Engine, event, text

from astrid_core.curation.access import KnownUser, add_user
from astrid_core.curation.backlog import count_waiting
from astrid_core.curation.browse import DetectionFilter, PageCursor, cone_search, list_detections
from astrid_core.curation.events import Judgement, record_verdict
from astrid_core.curation.item import review_item
from astrid_core.curation.judged import JudgedFilter, list_judged
from astrid_core.curation.queue import LeasedItem, give_back, next_items
from astrid_core.curation.strata import QueueConfig
from astrid_core.identity import survey_id
from astrid_core.sky import HEALPIX_ORDER
from astrid_stack.postgres import EmbeddedPostgres
from dbschema import migrate
from dbschema.session import make_engine

AIM_MS = 50.0
N_NIGHTS = 200
PER_RUN = 250
STRATA = ("uncertain", "random", "gold", "suspect")

Work = Callable[[Connection], Any]
Times = tuple[float, float]


def main() -> None:
    """Fill a database, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--detections", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=200, help="times each thing is done")
    arguments = parser.parse_args()
    with database() as engine:
        start = time.perf_counter()
        me = fill(engine, arguments.detections)
        print(f"{arguments.detections} detections in {time.perf_counter() - start:.0f} s")
        print(f"{'':34s} {'median':>8s} {'p95':>8s} {'worst':>8s} {'CPU':>8s}  ms")
        measure_queue(engine, me, arguments.repeats)
        measure_lists(engine, arguments.repeats)


@contextmanager
def database() -> Iterator[Engine]:
    """An empty database with the schema, on a server of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="astrid-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", secrets.token_urlsafe(24)) as server,
    ):
        server.ensure_database("review")
        migrate.upgrade(server.url_of("review"))
        engine = make_engine(server.url_of("review"))
        yield engine
        engine.dispose()


# --- what there is ------------------------------------------------------------------------

# Every fourth observation has two model runs, of which the second is current; one difference
# image in twenty is degraded.
_RUNS = """
CREATE TEMP TABLE frame AS
SELECT n, gen_random_uuid() AS observation, gen_random_uuid() AS processed,
       gen_random_uuid() AS difference,
       CASE WHEN n % 20 = 7 THEN 'degraded' ELSE 'completed' END AS status,
       date '2026-01-01' + (n % :n_nights)::int AS night
FROM generate_series(0, :n_frames - 1) n;
CREATE TEMP TABLE run AS
SELECT row_number() OVER (ORDER BY f.n, v) - 1 AS n, f.difference, v, gen_random_uuid() AS id
FROM frame f CROSS JOIN LATERAL generate_series(1, CASE WHEN f.n % 4 = 0 THEN 2 ELSE 1 END) v;

INSERT INTO surveys (id, name, adapter, config)
VALUES (:survey, 'bench', 'folder', '{}');
INSERT INTO models (id, name, version, architecture, weights_path, sha256, card)
SELECT md5(v::text)::uuid, 'bench', v::text, '{}', 'none', v::text, '{}'
FROM generate_series(1, 2) v;
INSERT INTO observations (id, survey_id, archive_id, night, field, frame_kind, filter_band, unit,
    instrument, detector, width_pix, height_pix, assumed, raw_fits_path, raw_hdu, raw_sha256)
SELECT observation, :survey, n::text, night, 'F' || n % 20, 'science', 'r', 'adu', 'cam', '1',
       4096, 4096, '[]', n::text, 0, n::text FROM frame;
INSERT INTO preprocess_runs (run_id, observation_id, calibration_ids, status, code_version,
    config_digest)
SELECT processed, observation, '[]', 'completed', '1', '1' FROM frame;
INSERT INTO difference_runs (run_id, observation_id, preprocess_run_id, reference_choice, status,
    code_version, config_digest)
SELECT difference, observation, processed, '[]', status, '1', '1' FROM frame;
INSERT INTO model_runs (run_id, difference_run_id, model_id, status, code_version,
    config_digest, selected_at)
SELECT id, difference, md5(v::text)::uuid, 'completed', '1', '1', now() + v * interval '1 day'
FROM run;
"""

_DETECTIONS = """
CREATE TEMP TABLE source AS
SELECT p.n, p.ra, p.dec, p.healpix, r.difference, r.id AS run,
       gen_random_uuid() AS candidate, gen_random_uuid() AS detection
FROM place p JOIN run r ON r.n = p.n / :per_run;
INSERT INTO candidates (id, difference_run_id, x_pix, y_pix, ra, dec, healpix, flux, flux_err,
    flux_unit, snr, scorr_peak, fwhm_pix, elongation, flags, flag_names, is_negative, cutout_path,
    cutout_index, cutout_sha256)
SELECT candidate, difference, 1, 1, ra, dec, healpix, 1, 1, 'uJy', 1, 1, 1, 1, 0, '[]', false,
       'none', 0, n::text FROM source;
INSERT INTO detections (id, model_run_id, difference_run_id, candidate_id, x_pix, y_pix, ra, dec,
    healpix, confidence_score, detection_type, is_negative, cutout_path, cutout_index,
    cutout_sha256)
SELECT detection, run, difference, candidate, 1, 1, ra, dec, healpix,
       -- As calibrated scores are: most are surely bogus, some surely real.
       CASE WHEN random() < 0.9 THEN random() ^ 4 ELSE 1 - random() ^ 4 END,
       'candidate', false, 'none', 0, n::text FROM source;
"""

# Of every fifty: four decided, one of which the model contradicts if its score does; one
# pending by the reviewer who is measured; one in four hundred pending by another.
_VERDICTS = """
CREATE TEMP TABLE verdict AS
SELECT d.id AS detection, d.confidence_score, r.model_id,
       CASE WHEN s.n % 50 < 4 THEN :expert WHEN s.n % 50 = 4 THEN :me ELSE :other END AS reviewer,
       s.n % 50 < 4 AS is_expert,
       CASE WHEN random() < (d.confidence_score * 0.9 + 0.05) THEN 'real' ELSE 'bogus' END AS label
FROM source s JOIN detections d ON d.id = s.detection JOIN model_runs r ON r.run_id = d.model_run_id
WHERE s.n % 50 <= 4 OR s.n % 400 = 9;
INSERT INTO validation_events (detection_id, reviewer_id, is_expert, verdict, taxonomy_version,
    model_id, idempotency_key)
SELECT detection, reviewer, is_expert, label, '1', model_id, detection::text FROM verdict;
INSERT INTO detection_consensus (detection_id, label, n_events, sole_reviewer_id, decided_by,
    disagreement, updated_at)
SELECT detection, CASE WHEN is_expert THEN label ELSE 'pending' END, 1, reviewer,
       CASE WHEN is_expert THEN 'expert' END,
       CASE WHEN is_expert THEN abs((label = 'real')::int - confidence_score) END,
       -- The measured reviewer's own come first where the longest waiting do.
       now() - CASE WHEN reviewer = :me THEN interval '2 days' ELSE interval '1 day' END
FROM verdict;
UPDATE detections d SET n_verdicts = 1, is_validated = v.is_expert
FROM verdict v WHERE v.detection = d.id;
INSERT INTO gold_items (detection_id, verdict, taxonomy_version, declared_by)
SELECT detection, label, '1', :expert FROM verdict WHERE is_expert LIMIT 500;
"""


def fill(engine: Engine, n_detections: int) -> KnownUser:
    """Fill the database; the reviewer as whom to measure."""
    n_frames = n_detections // PER_RUN * 4 // 5
    with engine.begin() as connection:
        people = {name: add_user(connection, name) for name in ("me", "other")}
        people["expert"] = add_user(connection, "expert", is_expert=True)
        values: dict[str, Any] = {name: one.id for name, one in people.items()}
        values |= {"n_frames": n_frames, "n_nights": N_NIGHTS, "per_run": PER_RUN}
        values["survey"] = survey_id("bench")
        _run(connection, _RUNS, values)
        _copy_places(connection, n_detections)
        _run(connection, _DETECTIONS, values)
        _run(connection, _VERDICTS, values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return people["me"]


def _run(connection: Connection, script: str, values: dict[str, Any]) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            names = {name: v for name, v in values.items() if f":{name}" in statement}
            connection.execute(text(statement), names)


def _copy_places(connection: Connection, n: int) -> None:
    """Positions in twenty fields of two degrees, as a survey's are."""
    rng = np.random.default_rng(1)
    fields = np.arange(n) // PER_RUN % 20
    ra = 10.0 + 15.0 * fields + rng.uniform(0, 2, n)
    dec = -40.0 + 3.0 * fields + rng.uniform(0, 2, n)
    grid = HEALPix(nside=2**HEALPIX_ORDER, order="nested")
    healpix = grid.lonlat_to_healpix(ra * u.deg, dec * u.deg)
    connection.execute(
        text("CREATE TEMP TABLE place (n bigint, ra float8, dec float8, healpix bigint)")
    )
    driver = connection.connection.driver_connection
    assert isinstance(driver, PsycopgConnection)
    with driver.cursor() as cursor, cursor.copy("COPY place FROM STDIN") as copy:
        for row in zip(itertools.count(), ra.tolist(), dec.tolist(), healpix.tolist()):
            copy.write_row(row)


# --- what is measured ---------------------------------------------------------------------


def measure_queue(engine: Engine, me: KnownUser, repeats: int) -> None:
    """Ten fresh items of each stratum and of all; then the keyboard's pace: judge, next."""
    for stratum in STRATA:
        shares = dict.fromkeys(STRATA, 0.0) | {stratum: 1.0}
        measure_hands(engine, me, QueueConfig(**shares), f"queue: ten, {stratum} only", repeats)
    config = QueueConfig()
    measure_hands(engine, me, config, "queue: ten", repeats)
    ask = asking(me, config)
    verdicts, nexts = [], []
    for n in range(repeats):
        said = judgement(engine, one_transaction(engine, ask)[0], n)
        verdicts.append(timed(engine, recording(me, said)))
        nexts.append(timed(engine, ask))
    report(engine, "verdict recorded", verdicts)
    report(engine, "queue: next after a verdict", nexts)


def measure_hands(
    engine: Engine, me: KnownUser, config: QueueConfig, name: str, repeats: int
) -> None:
    """Time of a whole hand of new items; given back, so that each is as hard as the first."""
    ask, times = asking(me, config), []
    for _ in range(repeats):
        times.append(timed(engine, ask))
        hand = one_transaction(engine, ask)
        one_transaction(engine, giving_back(me, hand))
    report(engine, name, times, ask)


def asking(me: KnownUser, config: QueueConfig) -> Work:
    """Asking for ten items."""
    return lambda connection: next_items(connection, me, 10, config)


def giving_back(me: KnownUser, hand: list[LeasedItem]) -> Work:
    """Giving items back."""
    return lambda connection: give_back(connection, me, [item.lease_id for item in hand])


def recording(me: KnownUser, said: Judgement) -> Work:
    """Recording a verdict."""
    return lambda connection: record_verdict(connection, me, said)


def listing(wanted: DetectionFilter, after: PageCursor | None) -> Work:
    """Asking for a page of a list."""
    return lambda connection: list_detections(connection, wanted, after)


def searching(field: int, radius_arcsec: float) -> Work:
    """Searching about the middle of a field."""
    ra, dec = 11.0 + 15.0 * field, -39.0 + 3.0 * field
    return lambda connection: cone_search(connection, ra, dec, radius_arcsec / 3600)


def judgement(engine: Engine, item: LeasedItem, n: int) -> Judgement:
    """A verdict on what was shown."""
    with engine.connect() as connection:
        shown = connection.scalar(
            text("SELECT cutout_sha256 FROM detections WHERE id = :id"),
            {"id": item.detection_id},
        )
    return Judgement(item.detection_id, "bogus", f"bench {n}", shown, lease_id=item.lease_id)


def measure_lists(engine: Engine, repeats: int) -> None:
    """Pages anywhere in lists of several kinds, and cones of several sizes."""
    rng = np.random.default_rng(2)
    first = np.datetime64("2026-01-01")
    nights = [(first + int(n)).astype(object) for n in rng.integers(0, N_NIGHTS, repeats)]
    scores = rng.uniform(0.01, 0.99, repeats)
    cursors = [PageCursor(float(s), uuid4()) for s in scores]
    everything, open_ones = DetectionFilter(), DetectionFilter(is_validated=False)
    bogus = DetectionFilter(label="bogus")
    of_nights = [DetectionFilter(survey="bench", night=night) for night in nights]
    kinds: dict[str, list[Work]] = {
        "list: first page": [listing(everything, None)] * repeats,
        "list: any page": [listing(everything, cursor) for cursor in cursors],
        "list: any page of a night": [
            listing(wanted, cursor) for wanted, cursor in zip(of_nights, cursors, strict=True)
        ],
        "list: any page labelled bogus": [listing(bogus, cursor) for cursor in cursors],
        "list: any page not validated": [listing(open_ones, cursor) for cursor in cursors],
    }
    fields = rng.integers(0, 20, repeats).tolist()
    for radius in (5.0, 60.0, 1800.0):
        kinds[f"cone: {radius:g} arcsec"] = [searching(field, radius) for field in fields]
    kinds |= _pages(engine, rng, repeats)
    for name, works in kinds.items():
        report(engine, name, [timed(engine, work) for work in works], works[0])


def _pages(engine: Engine, rng: np.random.Generator, repeats: int) -> dict[str, list[Work]]:
    """What the pages ask besides: an item, how much is left, what was judged."""
    query = text("SELECT id FROM detections WHERE id >= :from ORDER BY id LIMIT 1")
    with engine.connect() as connection:
        items = [
            connection.scalar(query, {"from": UUID(bytes=rng.bytes(16))}) for _ in range(repeats)
        ]
    disputed = JudgedFilter(label="real", min_disagreement=0.8)
    return {
        "page: an item": [showing(item) for item in items if item is not None],
        "page: how much is left": [count_waiting] * repeats,
        "page: judged, latest": [looking_back(JudgedFilter())] * repeats,
        "page: judged, model disagrees": [looking_back(disputed)] * repeats,
    }


def showing(detection_id: UUID) -> Work:
    """Asking for an item to judge."""
    return lambda connection: review_item(connection, detection_id)


def looking_back(wanted: JudgedFilter) -> Work:
    """Asking for the first page of what was judged."""
    return lambda connection: list_judged(connection, wanted, limit=24)


# --- measuring ----------------------------------------------------------------------------


def one_transaction(engine: Engine, work: Work) -> Any:
    """What work gives in a transaction of its own."""
    with engine.begin() as connection:
        return work(connection)


def timed(engine: Engine, work: Work) -> Times:
    """Milliseconds of work with its transaction, begin to commit: on the clock and of CPU.

    The CPU time is that of this process and of its database backend. The backend's is told
    in ticks of 10 ms: only its mean over many calls means something.
    """
    with engine.connect() as connection:
        backend = psutil.Process(connection.scalar(text("SELECT pg_backend_pid()")))
    start, start_cpu = time.perf_counter(), time.process_time() + _cpu_s(backend)
    one_transaction(engine, work)
    end, end_cpu = time.perf_counter(), time.process_time() + _cpu_s(backend)
    return (end - start) * 1e3, (end_cpu - start_cpu) * 1e3


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def report(engine: Engine, name: str, times: list[Times], work: Work | None = None) -> None:
    """A line of quantiles and the mean CPU time, and the indexes that work uses."""
    wall, cpu = np.array(times).T
    median, p95, worst = np.quantile(wall, [0.5, 0.95, 1.0])
    verdict = "" if p95 <= AIM_MS else f"  over {AIM_MS:g}"
    line = f"{name:34s} {median:8.1f} {p95:8.1f} {worst:8.1f} {cpu.mean():8.1f}{verdict}"
    print(line, flush=True)
    if work is not None:
        for line in plans(engine, work):
            print(f"    {line}")


def plans(engine: Engine, work: Work) -> list[str]:
    """For each query of work: the indexes its plan names, and tables it reads whole."""
    queries: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.lstrip().startswith("SELECT"):
            queries.append((statement, parameters))

    with engine.connect() as connection:
        event.listen(engine, "before_cursor_execute", note)
        work(connection)
        event.remove(engine, "before_cursor_execute", note)
        connection.rollback()
        found = []
        for statement, parameters in queries:
            explained = connection.exec_driver_sql(
                f"EXPLAIN (FORMAT JSON) {statement}", parameters
            ).scalar_one()
            plan = explained if isinstance(explained, list) else json.loads(explained)
            uses = dict.fromkeys(_uses(plan[0]["Plan"]))
            if len(uses) > 1:
                found.append(", ".join(uses))
        return list(dict.fromkeys(found))


def _uses(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    elif plan["Node Type"] == "Seq Scan":
        yield f"ALL OF {plan['Relation Name']}"
    for part in plan.get("Plans", ()):
        yield from _uses(part)


if __name__ == "__main__":
    main()
