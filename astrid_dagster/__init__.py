"""The orchestration face: assets, partitions, IO managers, checks, jobs, sensors.

Thin on purpose: an asset loads, calls ``astrid_core``, yields and describes.
"""
