"""People at work while things break: one judges, one asks for training datasets.

A verdict counts once the API has acknowledged it. Until then it is sent again, under the same
idempotency key, however long the API is away: as the review page does.
"""

import datetime as dt
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import func, select

from astrid_core.surveys.config import load_surveys
from astrid_stack import truth
from astrid_stack.api_client import ApiClient
from astrid_stack.credentials import Credential
from astrid_stack.errors import StackError
from astrid_stack.state import State
from benchmarks.faults_stack import JUDGED, JUDGED_NIGHTS
from dbschema.models import ValidationEvent
from dbschema.session import make_engine

COLLECTED = "collected"
_PACE_S = 0.5
_N_JUDGED = 40
_DATASET_S = 300.0


@dataclass(frozen=True)
class Verdicts:
    """Verdicts that the API acknowledged, against those that the database has."""

    n_acknowledged: int
    n_lost: int
    n_twice: int


class People:
    """Judges detections of the judged survey in a thread of its own.

    Attributes
    ----------
    datasets
        How the collections ended: by outcome.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._operator = ApiClient(state.address("api"), Credential("key", state.token()))
        self._acknowledged: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._judge)
        self._awaited: list[str] = []
        self.datasets: Counter[str] = Counter()

    def __enter__(self) -> Self:
        surveys = load_surveys(Path(os.environ["ASTRID_SURVEYS_FILE"])).surveys
        truth.review_by_truth(self._state, surveys[JUDGED], lambda _: None)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def count(self) -> Verdicts:
        """What became of the verdicts."""
        engine = make_engine(self._state.database_url("astrid"))
        key = ValidationEvent.idempotency_key
        with engine.connect() as connection:
            found = dict(connection.execute(select(key, func.count()).group_by(key)).tuples().all())
        engine.dispose()
        return Verdicts(
            len(self._acknowledged),
            sum(key not in found for key in self._acknowledged),
            sum(found.get(key, 0) > 1 for key in self._acknowledged),
        )

    def ask_for_dataset(self, name: str) -> None:
        """Ask for a training dataset of what was judged; it is made by a run of its own."""
        body = {
            "name": name,
            "survey_ids": [JUDGED],
            "start": f"{min(JUDGED_NIGHTS)}T00:00:00",
            "end": f"{max(JUDGED_NIGHTS) + dt.timedelta(days=2)}T00:00:00",
        }
        answer = self._operator.ask("POST", "/training/datasets/collect", 120.0, json=body)
        if "status_url" in answer:
            self._awaited.append(answer["status_url"])
        else:
            self.datasets[COLLECTED] += 1

    def wait_for_datasets(self) -> None:
        """Wait until each is there, or its failure is told."""
        deadline = time.monotonic() + _DATASET_S
        while self._awaited and time.monotonic() < deadline:
            with suppress(StackError):
                answer = self._operator.ask("GET", self._awaited[0])
                if answer.get("dataset_url") is not None:
                    self.datasets[COLLECTED] += 1
                    self._awaited.pop(0)
                elif answer["status"] == "failed":
                    self.datasets["failed, and told so"] += 1
                    self._awaited.pop(0)
            time.sleep(0.5)
        if self._awaited:
            self.datasets["never told"] += len(self._awaited)
            self._awaited.clear()

    def _judge(self) -> None:
        """One verdict after another, each until it is acknowledged.

        They are those that the truth gave: others would leave nothing to collect.
        """
        for number, given in enumerate(itertools.cycle(self._given())):
            key = f"campaign-{number}"
            while not self._is_acknowledged(given, key):
                if self._stop.wait(_PACE_S):
                    return
            self._acknowledged.append(key)
            if self._stop.wait(_PACE_S):
                return

    def _given(self) -> list[dict[str, Any]]:
        """Some verdicts of the truth."""
        event = ValidationEvent
        query = select(event.detection_id, event.verdict, event.subtype, event.cutout_sha256)
        engine = make_engine(self._state.database_url("astrid"))
        with engine.connect() as connection:
            rows = connection.execute(query.order_by(event.detection_id).limit(_N_JUDGED))
            found = [dict(row) for row in rows.mappings()]
        engine.dispose()
        return found

    def _is_acknowledged(self, given: Mapping[str, Any], key: str) -> bool:
        body = dict(given)
        detection = body.pop("detection_id")
        try:
            self._operator.ask(
                "POST",
                f"/detections/{detection}/validations",
                10.0,
                json=body,
                headers={"Idempotency-Key": key},
            )
        except StackError:
            return False
        return True
