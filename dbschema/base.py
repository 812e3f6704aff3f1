"""What all tables share: base class, column kinds, the columns of runs.

What belongs here: no table. Those are in ``dbschema.models`` and the files it imports.
"""

import datetime as dt
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, MetaData, Text, func
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

HUMAN = {"owner": "human"}
CLOCK = {"clock": True}

Json = dict[str, Any]


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Name of the type in SQL."""
        return "xid8"


# Reflection, and with it the comparison of models and migrations, must know the type too.
ischema_names["xid8"] = Xid8


class Base(DeclarativeBase):
    """Declarative base: naming convention and type map shared by all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        dt.datetime: TIMESTAMP(timezone=True),
        str: Text,
        int: BigInteger,
        Json: JSONB,
        list[str]: JSONB,
        list[Any]: JSONB,
    }


def states(column: str, *values: str) -> CheckConstraint:
    """The check that a text column holds one of some values."""
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


def clock(comment: str) -> Mapped[dt.datetime]:
    """A column that the database sets to the time of writing."""
    return mapped_column(server_default=func.now(), comment=comment, info=CLOCK)


class Run:
    """Columns every run table shares."""

    code_version: Mapped[str] = mapped_column(comment="version of the stage's code")
    config_digest: Mapped[str] = mapped_column(comment="digest of the stage's configuration")
    error_type: Mapped[str | None] = mapped_column(comment="class of the error, when failed")
    error_message: Mapped[str | None] = mapped_column(comment="error with numbers and remedy")
    wall_s: Mapped[float | None] = mapped_column(comment="seconds of computation", info=CLOCK)
    created_at: Mapped[dt.datetime] = clock("when first run")
    selected_at: Mapped[dt.datetime] = clock(
        "when last materialized; the newest selected run of an observation is current"
    )
