"""Alembic's migration scripts: what brings any older database to ``dbschema.models``."""
