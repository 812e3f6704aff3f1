"""The embedded stack and the ``astrid`` command.

What belongs here: starting, watching and stopping the parts (PostgreSQL, S3, MLflow,
Dagster) on one machine. What does not: science (``astrid_core``), orchestration
definitions (``astrid_dagster``), tables (``dbschema``).
"""
