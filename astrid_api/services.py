"""What the routes work with, made once per application."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from sqlalchemy import Connection, Engine

from astrid_api.limits import RateLimiter
from astrid_api.settings import ApiSettings
from astrid_core.storage import ObjectStore
from dbschema.session import make_engine
from dbschema.transactions import in_transaction

_Result = TypeVar("_Result")
_PROBES = 8
"""Questions to parts at once: where one hangs, its thread does, but never more of them."""

_ATTEMPTS = 3
_LONGEST_WAIT_S = 1.0
"""Somebody is waiting: better to say soon that it does not work."""


@dataclass(frozen=True)
class Services:
    """Database, store and limits.

    Attributes
    ----------
    by_user
        How often one user may ask.
    sign_ins
        How often one address may try to sign in.
    probes
        Threads that ask the parts how they are.
    hasty_store
        The store for one who does not wait: kept, because a client of its own costs more
        than what it is asked.
    """

    settings: ApiSettings
    engine: Engine
    store: ObjectStore
    by_user: RateLimiter
    sign_ins: RateLimiter
    probes: ThreadPoolExecutor
    hasty_store: ObjectStore

    @classmethod
    def of(cls, settings: ApiSettings) -> "Services":
        """Services that settings name; nothing is connected to yet."""
        store = ObjectStore.from_settings(settings)
        return cls(
            settings=settings,
            engine=make_engine(settings.database_url.get_secret_value()),
            store=store,
            by_user=RateLimiter(settings.user_requests_per_minute),
            sign_ins=RateLimiter(settings.sign_ins_per_minute),
            probes=ThreadPoolExecutor(_PROBES, thread_name_prefix="probe"),
            hasty_store=replace(store, attempts=1, connect_timeout_s=2.0, read_timeout_s=5.0),
        )

    def ask(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do work in one transaction, again where the database failed for the moment.

        Raises
        ------
        DatabaseError
            If it failed at last.
        """
        return in_transaction(self.engine, work, _ATTEMPTS, _LONGEST_WAIT_S)


def _services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


TheServices = Annotated[Services, Depends(_services_of)]
