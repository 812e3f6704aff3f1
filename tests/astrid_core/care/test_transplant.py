"""Verdicts of a cluster that counted far are read in one that begins to count."""

from sqlalchemy import create_engine, text

from astrid_core.care.transplant import cursors_now, outrun, recount_transactions
from astrid_core.curation.events import events_after
from tests import review

FAR = 10**12


def test_no_verdict_is_lost_behind_or_before_a_cursor(migrated_url: str) -> None:
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        detections = review.store_detections(connection, [0.5] * 6)
        reviewer = review.reviewer(connection)
    for detection in detections[:4]:  # a transaction each
        with engine.begin() as connection:
            review.judge(connection, reviewer, detection)
    with engine.connect() as connection:
        before, _ = events_after(connection, None)
        _, cursor = events_after(connection, None, limit=2)
    assert cursor is not None
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text(f"UPDATE validation_events SET xact = (xact::text::bigint + {FAR})::text::xid8")
        )
        connection.execute(
            text(
                "INSERT INTO label_snapshots (id, digest, code_version, n_real, n_bogus,"
                " n_undecided, by_label, by_survey, by_subtype, by_role, covered_xact,"
                " covered_event_id) VALUES (gen_random_uuid(), 'd', '1', 0, 0, 0, '{}', '{}',"
                " '{}', '{}', :xact, :event)"
            ),
            {"xact": cursor.xact + FAR, "event": cursor.event_id},
        )
    with engine.connect() as connection:
        assert events_after(connection, None)[0] == []  # as a restored database would have it
    with engine.begin() as connection:
        recounted = recount_transactions(connection)
    assert recounted.is_done
    assert recounted.n_transactions == 4
    with engine.connect() as connection:
        found, _ = events_after(connection, None)
        assert [event["id"] for event in found] == [event["id"] for event in before]
        moved = cursors_now(connection, [cursor.event_id])[cursor.event_id]
        covered = connection.scalar(text("SELECT covered_xact FROM label_snapshots"))
        assert covered == moved.xact
    with engine.begin() as connection:
        review.judge(connection, reviewer, detections[5])
    with engine.connect() as connection:
        rest, _ = events_after(connection, moved)
        assert [event["id"] for event in rest[:2]] == [event["id"] for event in before[2:]]
        assert rest[2]["detection_id"] == detections[5]
    with engine.begin() as connection:
        assert not recount_transactions(connection).is_done
    engine.dispose()


def test_the_table_refuses_changes_again_afterwards(migrated_url: str) -> None:
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        (detection,) = review.store_detections(connection, [0.5])
        review.judge(connection, review.expert(connection), detection)
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"UPDATE validation_events SET xact = '{FAR}'::xid8"))
        connection.execute(text("SET LOCAL session_replication_role = origin"))
        assert recount_transactions(connection).is_done
        enabled = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'validation_events_append_only'"
        assert connection.scalar(text(enabled)) == "O"
    engine.dispose()


def test_ids_are_used_up_until_they_suffice(migrated_url: str) -> None:
    engine = create_engine(migrated_url, isolation_level="AUTOCOMMIT")
    now = text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    with engine.connect() as connection:
        wanted = connection.scalar(now) + 500
        outrun(connection, wanted)
        assert connection.scalar(now) > wanted
        outrun(connection, 1)  # there is nothing to do
    engine.dispose()
