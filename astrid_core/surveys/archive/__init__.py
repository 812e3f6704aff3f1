"""Surveys that lie in archives on the network: one session, one way to download, adapters."""
