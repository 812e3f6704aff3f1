"""Alembic's entry: how migrations reach the database.

``dbschema.migrate`` hands over an open connection; on Alembic's own command line, used to
write new migrations, the address comes from ``ASTRID_DATABASE_URL``.
"""

import os

from alembic import context
from sqlalchemy import Connection

from dbschema.models import Base
from dbschema.session import make_engine


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is None:
    with make_engine(os.environ["ASTRID_DATABASE_URL"]).begin() as opened:
        _run(opened)
else:
    _run(handed_over)
