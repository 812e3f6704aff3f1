"""Addresses of the API, a file per thing asked for."""
