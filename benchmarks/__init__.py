"""Runnable measurements behind every figure of speed or memory AstrID quotes."""
