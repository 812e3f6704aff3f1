"""Backup and restore: everything comes back, row by row and byte by byte, or nothing is claimed."""

import datetime as dt
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
)
from dagster._core.storage.schedules.schema import InstigatorsTable, ScheduleStorageSqlMetadata
from dagster._serdes import deserialize_value, serialize_value
from pydantic import SecretStr
from sqlalchemy import create_engine, select, text

from astrid_core.care.audit import audit
from astrid_core.errors import DatabaseError, SchemaVersionError
from astrid_core.storage import ObjectStore
from astrid_stack.care import dumps
from astrid_stack.care.backup import back_up, forget_old
from astrid_stack.care.installation import Installation
from astrid_stack.care.manifest import BackupFolder, read_manifest, read_objects
from astrid_stack.care.restore import restore
from astrid_stack.errors import BackupError
from astrid_stack.postgres import EmbeddedPostgres
from dbschema.models import Base
from dbschema.transactions import snapshot
from tests.care import put


def quiet(_: str) -> None:
    return


def rows_of(installation: Installation) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, all columns but the one that counts transactions."""
    engine = create_engine(installation.address("astrid"))
    with engine.connect() as connection:
        found = {}
        for table in Base.metadata.sorted_tables:
            columns = [c for c in table.columns if c.name not in ("xact", "covered_xact")]
            query = select(*columns).order_by(*table.primary_key.columns)
            found[table.name] = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    return found


def objects_of(store: ObjectStore) -> dict[str, str]:
    return {key: store.digest(key) for key in store.iterate()}


def is_sound(installation: Installation) -> bool:
    engine = create_engine(installation.address("astrid"))
    with snapshot(engine) as connection:
        found = audit(connection, installation.store)
    engine.dispose()
    return found.is_sound


def test_everything_comes_back(
    installation: Installation, empty_place: Installation, tmp_path: Path
) -> None:
    put(installation.store, "mlflow/1/run/artifacts/card.json", b"{}", tmp_path)
    put(installation.store, "processed_frames/sim/left-behind.fits", b"no row", tmp_path)
    put(installation.store, "scratch/run/step/value.json", b"{}", tmp_path)
    said: list[str] = []
    made = back_up(installation, tmp_path / "backup", said.append)
    assert made.copied.damaged == ()
    assert any("mlflow's database is NOT in this backup" in line for line in said)
    done: list[tuple[str, int, int]] = []
    restored = restore(empty_place, tmp_path / "backup", quiet, lambda *how: done.append(how))
    assert rows_of(empty_place) == rows_of(installation)
    assert sum(map(len, rows_of(empty_place).values())) > 100
    wanted = objects_of(installation.store)
    assert len(wanted) > 10
    for stray in ("processed_frames/sim/left-behind.fits", "scratch/run/step/value.json"):
        del wanted[stray]
    assert objects_of(empty_place.store) == wanted
    assert is_sound(empty_place)
    assert restored.manifest.n_objects == len(wanted)
    assert ("objects proven", len(wanted), len(wanted)) in done


def test_a_second_backup_fetches_what_is_new_only(
    installation: Installation, tmp_path: Path
) -> None:
    artifact = "mlflow/1/run/artifacts/card.json"
    put(installation.store, artifact, b"{}", tmp_path)
    first = back_up(installation, tmp_path / "backup", quiet)
    assert first.copied.n_fetched == first.manifest.n_objects
    put(installation.store, "mlflow/1/run/artifacts/more.json", b"[]", tmp_path)
    put(installation.store, artifact, b"{1}", tmp_path)
    (tmp_path / "backup" / first.folder.name).rename(tmp_path / "backup" / "2020-01-01T00-00-00Z")
    second = back_up(installation, tmp_path / "backup", quiet)
    assert second.copied.n_fetched == 2
    assert {one.key: one.sha256 for one in second.copied.objects}[artifact] == (
        hashlib.sha256(b"{1}").hexdigest()
    )
    assert forget_old(tmp_path / "backup", keep=1) == 1
    folder = BackupFolder.open(tmp_path / "backup")
    assert folder.complete() == [second.folder]
    named = {one.sha256 for one in read_objects(second.folder)}
    assert {path.name for path in (folder.path / "objects").glob("*/*")} == named


def test_nobody_else_reads_it_and_no_secret_is_in_it(
    installation: Installation, tmp_path: Path
) -> None:
    back_up(installation, tmp_path / "backup", quiet)
    secrets = (
        installation.settings.s3_secret_access_key.get_secret_value(),
        installation.address("astrid").partition("://")[2].partition("@")[0].partition(":")[2],
    )
    for path in (tmp_path / "backup").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700


def test_what_the_store_lost_or_changed_is_said_and_the_rest_is_there(
    installation: Installation, empty_place: Installation, tmp_path: Path
) -> None:
    lost, changed, *_ = (key for key in installation.store.iterate("raw_frames/"))
    installation.store.delete(lost)
    put(installation.store, changed, b"rotten", tmp_path)
    made = back_up(installation, tmp_path / "backup", quiet)
    assert made.copied.damaged == tuple(sorted((lost, changed)))
    restored = restore(empty_place, tmp_path / "backup", quiet)
    assert restored.manifest.damaged == sorted((lost, changed))
    assert rows_of(empty_place) == rows_of(installation)


def test_an_earlier_backup_helps_where_the_store_lost_an_object_since(
    installation: Installation, empty_place: Installation, tmp_path: Path
) -> None:
    before = objects_of(installation.store)
    first = back_up(installation, tmp_path / "backup", quiet)
    (tmp_path / "backup" / first.folder.name).rename(tmp_path / "backup" / "2020-01-01T00-00-00Z")
    lost = next(iter(installation.store.iterate("raw_frames/")))
    installation.store.delete(lost)
    second = back_up(installation, tmp_path / "backup", quiet)
    assert second.copied.damaged == (lost,)
    restore(empty_place, tmp_path / "backup", quiet)
    assert objects_of(empty_place.store) == before


def test_only_an_empty_place_is_taken(
    installation: Installation, empty_place: Installation, tmp_path: Path
) -> None:
    back_up(installation, tmp_path / "backup", quiet)
    before = rows_of(installation)
    with pytest.raises(BackupError, match="database is not empty"):
        restore(installation, tmp_path / "backup", quiet)
    assert rows_of(installation) == before
    put(empty_place.store, "raw_frames/mine.fits", b"precious", tmp_path)
    with pytest.raises(BackupError, match=r"not empty: it has raw_frames/mine\.fits"):
        restore(empty_place, tmp_path / "backup", quiet)
    empty_place.store.delete("raw_frames/mine.fits")
    restore(empty_place, tmp_path / "backup", quiet)
    with pytest.raises(BackupError, match="database is not empty"):
        restore(empty_place, tmp_path / "backup", quiet)


def test_an_interrupted_restore_is_repeated(
    installation: Installation,
    empty_place: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back_up(installation, tmp_path / "backup", quiet)
    for moment in ("objects stored", "objects proven"):

        def cut(what: str, *_: int, moment: str = moment) -> None:
            if what == moment:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            restore(empty_place, tmp_path / "backup", quiet, cut)
        with pytest.raises(BackupError, match="half restored"):
            back_up(empty_place, tmp_path / "other", quiet) if moment == "objects proven" else (
                restore(empty_place, other_backup(installation, tmp_path), quiet)
            )
    restore(empty_place, tmp_path / "backup", quiet)
    assert rows_of(empty_place) == rows_of(installation)
    assert is_sound(empty_place)


def other_backup(installation: Installation, tmp_path: Path) -> Path:
    back_up(installation, tmp_path / "another", quiet)
    return tmp_path / "another"


def test_a_killed_backup_leaves_the_one_before_and_its_objects_serve(
    installation: Installation, tmp_path: Path
) -> None:
    """The process dies by SIGKILL while objects are being fetched."""
    script = textwrap.dedent("""
        import json, os, signal, sys
        from pathlib import Path
        from pydantic import SecretStr
        from astrid_stack.care.backup import back_up
        from astrid_stack.care.installation import Installation
        url, environment = json.loads(sys.stdin.read())
        place = Installation({"astrid": SecretStr(url)}, environment, None)
        kill = lambda done, of: os.kill(os.getpid(), signal.SIGKILL)
        back_up(place, Path(sys.argv[1]), print, kill)
    """)
    given = json.dumps([installation.address("astrid"), dict(installation.environment)])
    backup = tmp_path / "backup"
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", script, str(backup)],
            input=given,
            text=True,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
        assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert BackupFolder.open(backup).complete() == []
    with pytest.raises(BackupError, match="no complete backup"):
        restore(installation, backup, quiet)
    made = back_up(installation, backup, quiet)
    assert made.copied.n_fetched == 0
    assert [path for path in backup.iterdir() if path.name.endswith("Z")] == [made.folder]


def test_two_backups_of_one_second_have_a_folder_each_in_their_order(tmp_path: Path) -> None:
    folder, now = BackupFolder.make(tmp_path / "backup"), dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
    first, second = folder.begin(now), folder.begin(now)
    assert first.is_dir()
    assert second.is_dir()
    assert first < second


def test_a_backup_that_is_not_whole_is_refused_before_anything_is_written(
    installation: Installation, empty_place: Installation, tmp_path: Path
) -> None:
    made = back_up(installation, tmp_path / "backup", quiet)
    folder = BackupFolder.open(tmp_path / "backup")
    one = made.copied.objects[0]
    file = folder.object_file(one.sha256)
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(BackupError, match="lacks the bytes"):
        restore(empty_place, folder.path, quiet)
    dumped = made.folder / "astrid.dump"
    whole = dumped.read_bytes()
    file.write_bytes(content)
    dumped.write_bytes(whole[:-1] + b"x")
    with pytest.raises(BackupError, match=r"astrid\.dump is not what was written"):
        restore(empty_place, folder.path, quiet)
    assert rows_exist(empty_place) is False
    dumped.write_bytes(whole)
    file.write_bytes(b"x" * len(content))
    with pytest.raises(Exception, match="its SHA-256 is"):
        restore(empty_place, folder.path, quiet)
    # Proving what is there finds it, and fetches it again.
    healed = back_up(installation, folder.path, quiet, verify=True)
    assert healed.copied.n_fetched == 1
    assert file.read_bytes() == content


def rows_exist(place: Installation) -> bool:
    engine = create_engine(place.address("astrid"))
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT to_regclass('observations')"))
    engine.dispose()
    return found is not None


def test_folders_of_others_and_newer_backups_are_refused(
    installation: Installation, empty_place: Installation, tmp_path: Path
) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").touch()
    with pytest.raises(BackupError, match="something else"):
        back_up(installation, tmp_path / "holiday", quiet)
    with pytest.raises(BackupError, match="no folder of backups"):
        restore(empty_place, tmp_path / "holiday", quiet)
    made = back_up(installation, tmp_path / "backup", quiet)
    assert read_manifest(made.folder).id == made.manifest.id
    manifest = json.loads((made.folder / "manifest.json").read_text())
    changed = manifest | {"schema_revision": "9999"}
    (made.folder / "manifest.json").write_text(json.dumps(changed))
    with pytest.raises(SchemaVersionError, match="9999"):
        restore(empty_place, tmp_path / "backup", quiet)


def test_sensors_find_their_place_among_restored_verdicts(
    installation: Installation,
    empty_place: Installation,
    postgres_server: EmbeddedPostgres,
    tmp_path: Path,
) -> None:
    """Dagster keeps a cursor that names a transaction; those are counted anew."""
    far = 10**12
    engine = create_engine(installation.address("astrid"))
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text(f"UPDATE validation_events SET xact = (number + {far})::text::xid8")
        )
        middle = connection.execute(
            text("SELECT id, xact::text FROM validation_events ORDER BY number OFFSET 2 LIMIT 1")
        ).one()
    engine.dispose()
    names = ("dagster_before", "dagster_after")
    for name in names:
        postgres_server.ensure_database(name)
    try:
        before, after = (SecretStr(postgres_server.url_of(name)) for name in names)
        keep_cursor(before.get_secret_value(), f"{middle.xact}/{middle.id}")
        with_dagster = {**installation.databases, "dagster": before}
        source = Installation(with_dagster, installation.environment, None)
        back_up(source, tmp_path / "backup", quiet)
        target = Installation(
            {**empty_place.databases, "dagster": after}, empty_place.environment, None
        )
        restored = restore(target, tmp_path / "backup", quiet)
        assert restored.n_recounted > 3
        assert kept_cursor(after.get_secret_value()) == f"3/{middle.id}"
        assert kept_cursor(before.get_secret_value()) == f"{middle.xact}/{middle.id}"
        assert rows_of(target) == rows_of(source)
    finally:
        for name in names:
            postgres_server.drop_database(name)


def keep_cursor(url: str, cursor: str) -> None:
    """As Dagster keeps it."""
    location = RegisteredCodeLocationOrigin("astrid")
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(location, "__repository__"), "refresh_labels"
    )
    state = InstigatorState(
        origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, SensorInstigatorData(cursor=cursor)
    )
    engine = create_engine(url)
    ScheduleStorageSqlMetadata.create_all(engine)
    values = {
        "selector_id": state.selector_id,
        "repository_selector_id": state.repository_selector_id,
        "status": state.status.value,
        "instigator_type": state.instigator_type.value,
        "instigator_body": serialize_value(state),
    }
    with engine.begin() as connection:
        connection.execute(InstigatorsTable.insert().values(**values))
    engine.dispose()


def kept_cursor(url: str) -> str | None:
    engine = create_engine(url)
    with engine.connect() as connection:
        body = connection.scalar(select(InstigatorsTable.c.instigator_body))
    engine.dispose()
    data = deserialize_value(body, InstigatorState).instigator_data
    assert isinstance(data, SensorInstigatorData)
    return data.cursor


def test_half_a_dump_is_never_committed(
    installation: Installation, empty_place: Installation, tmp_path: Path
) -> None:
    """Though every statement until its end is a good one."""
    address = installation.address("astrid")
    whole, half = tmp_path / "whole.dump", tmp_path / "half.dump"
    with dumps.state_of(address) as (_, state):
        dumps.dump(address, state, whole)
    content = whole.read_bytes()
    half.write_bytes(content[: int(0.9 * len(content))])
    with pytest.raises(DatabaseError, match=r"pg_restore of .* failed"):
        dumps.load(empty_place.address("astrid"), half)
    assert not rows_exist(empty_place)
    dumps.load(empty_place.address("astrid"), whole)
    assert rows_of(empty_place) == rows_of(installation)
    with pytest.raises(DatabaseError, match=r"psql of .* failed: .*already exists"):
        dumps.load(empty_place.address("astrid"), whole)
    assert rows_of(empty_place) == rows_of(installation)


def test_servers_before_17_are_not_told_what_they_do_not_know() -> None:
    told = (
        b"SET statement_timeout = 0;\nSET transaction_timeout = 0;\nCREATE TABLE a ();\n"
        b"SET transaction_timeout = 0;\n"
    )
    with (
        subprocess.Popen(["/bin/echo", "-n", told], stdout=subprocess.PIPE) as source,
        subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sink,
    ):
        dumps._pass_on(source, sink)
        assert sink.communicate()[0] == told.replace(b"SET transaction_timeout = 0;\n", b"", 1)


def test_tls_without_a_client_that_speaks_it_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dumps, "_SYSTEM", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    address = "postgresql://me:hunter2@db.example/astrid?sslmode=verify-full"
    with pytest.raises(BackupError, match="postgresql-client") as caught:
        dumps._folder_of("pg_dump", address)
    assert "hunter2" not in str(caught.value)
    for version in ("9", "16"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "pg_dump").touch()
    assert dumps._folder_of("pg_dump", address) == tmp_path / "16" / "bin"
    assert dumps._folder_of("pg_restore", address) == dumps.binaries()
    assert dumps._folder_of("pg_dump", "postgresql://me@127.0.0.1/astrid") == dumps.binaries()


def test_a_password_reaches_pg_dump_by_its_environment_alone() -> None:
    environment = dumps._client_environment(
        "postgresql+psycopg://me:p%40ss@db.example/astrid?sslmode=require&application_name=x"
    )
    assert environment["PGPASSWORD"] == "p@ss"
    assert environment["PGSSLMODE"] == "require"
    assert environment["PGPORT"] == "5432"
