"""Asking other people's servers: one session, bounded, paced and typed, for whoever asks.

What belongs here: a request and its answer. What does not: what is asked, and of whom
(``surveys.archive``, ``crossmatch``).
"""
