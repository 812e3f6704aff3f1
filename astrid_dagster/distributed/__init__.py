"""Steps of a run on other machines: Celery workers that take them from queues in Redis.

``ASTRID_EXECUTOR=celery`` sends every step to queue ``cpu``, and what wants a GPU to queue
``gpu``. ``python -m astrid_dagster.distributed --queue cpu`` is a worker.
"""
