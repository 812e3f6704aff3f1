"""Keep a revision's schema with rows in it, as a release leaves it on people's machines.

``python -m tests.dbschema.make_release REVISION`` writes ``released/REVISION.sql``; run it when
a release is made, at its head. Rows go in by that release's own code.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from astrid_stack.objectstore import EmbeddedObjectStore
from astrid_stack.postgres import EmbeddedPostgres, binaries
from dbschema import migrate
from dbschema.transactions import transaction_at
from tests.care import make_rows, make_world
from tests.conftest import make_bucket

RELEASED = Path(__file__).parent / "released"
_LEFT_OUT = ("--", "\\", "SET transaction_timeout", "COMMENT ON COLUMN")
"""Lines of a dump that another server may not know, or that only make it long."""


def main(revision: str) -> None:
    """Make the database, fill it, dump it."""
    with (
        tempfile.TemporaryDirectory() as name,
        EmbeddedPostgres(Path(name) / "postgres", secrets.token_hex(16), durable=False) as server,
        EmbeddedObjectStore(Path(name) / "objects", "astrid-tests", secrets.token_hex(16)) as s3,
    ):
        server.ensure_database("released")
        url = server.url_of("released")
        migrate.upgrade(url, revision)
        store = make_bucket(s3, "astrid").open()
        with transaction_at(url) as connection:
            if revision == migrate.head():
                make_world(connection, store, Path(name))
            else:
                make_rows(connection, store, Path(name))
        command = (
            *(str(binaries() / "pg_dump"), "--inserts", "--rows-per-insert=50"),
            *("--no-owner", "--no-privileges", "-h", "127.0.0.1", "-p", str(server.port)),
            *("-U", "astrid", "released"),
        )
        environment = {"PGPASSWORD": server.password, "PATH": os.environ["PATH"]}
        ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    kept = [line for line in ran.stdout.splitlines() if line and not line.startswith(_LEFT_OUT)]
    (RELEASED / f"{revision}.sql").write_text("\n".join(kept) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
