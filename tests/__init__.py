"""Tests of everything, which compute with one thread a process: there is a process a core."""

import os

# Read by BLAS and torch as they load. Threads of two processes on two cores wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
