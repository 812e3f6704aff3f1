"""Runnable measurements behind every figure of speed or memory AstrID quotes."""

import os

# Read by BLAS as NumPy loads: its idle threads would be counted as work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
