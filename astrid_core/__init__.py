"""AstrID's science and domain: pure functions over dataclasses.

No Dagster, no HTTP server and no global state live here. The folder list is the
flow of the data: surveys → preprocessing → differencing → extraction → detection.
"""
