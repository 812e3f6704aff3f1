"""Calibration: the bias, dark and flat frames of a night become masters, once per group."""
