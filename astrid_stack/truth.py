"""The reviewer ``truth``: judges a simulated survey's detections by what was planted.

For trying out what verdicts set in motion. Everything goes through the API, as a person's
verdicts do.
"""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from astrid_core.curation import access
from astrid_core.errors import ConfigurationError, NoSuchItemError
from astrid_core.simulation.config import SceneConfig
from astrid_core.simulation.recovery import FAINTEST_SNR, match_changes
from astrid_core.simulation.survey import parse_archive_name, scene_of
from astrid_core.simulation.truth import truth_of
from astrid_core.surveys.config import SurveyConfig
from astrid_stack.api_client import ApiClient
from astrid_stack.credentials import Credential
from astrid_stack.errors import StackError
from astrid_stack.state import State
from dbschema.transactions import transaction_at

NAME = "truth"
_KEY_LIFETIME = dt.timedelta(hours=1)
_PER_PAGE = 500
_SUBTYPES = {"transient": "transient", "variable": "variable", "mover": "moving"}


@dataclass(frozen=True)
class Given:
    """Verdicts that were given: verdict → number, and the seconds they took."""

    counts: Counter[str]
    took_s: float

    @property
    def n_total(self) -> int:
        """All of them."""
        return self.counts.total()


def review_by_truth(state: State, config: SurveyConfig, advance: Callable[[int], None]) -> Given:
    """Judge every detection of a simulated survey.

    Doing it again gives no second verdict.

    Parameters
    ----------
    advance
        Told how many were judged so far.

    Raises
    ------
    ConfigurationError
        If the survey is not simulated.
    StackError
        If the API does not take a verdict.
    """
    require_truth(config)
    begun = time.monotonic()
    reviewer = TruthReviewer(state.address("api"), _sign_on(state), scene_of(config))
    counts: Counter[str] = Counter()
    for detection in reviewer.detections(config.name):
        counts[reviewer.judge(detection)] += 1
        advance(counts.total())
    return Given(counts, time.monotonic() - begun)


def require_truth(config: SurveyConfig) -> None:
    """Make sure that a survey is simulated.

    Raises
    ------
    ConfigurationError
        If not: nobody knows its truth.
    """
    if config.adapter != "simulated":
        raise ConfigurationError(
            f"Nobody knows the truth of survey '{config.name}'",
            remedy="--review judges simulated surveys; judge others on the review page.",
        )


def _sign_on(state: State) -> Credential:
    """A key of the reviewer's, who is made if there is none. Truth is an expert."""
    with transaction_at(state.database_url("astrid")) as connection:
        try:
            user = access.user_named(connection, NAME).known
        except NoSuchItemError:
            user = access.add_user(connection, NAME, "reviewer", is_expert=True)
        made = access.issue_api_key(connection, user, "demo --review", _KEY_LIFETIME)
    return Credential("key", made.secret)


class TruthReviewer:
    """Asks the API for detections and gives verdicts on them.

    Parameters
    ----------
    api
        Address of the API.
    credential
        Of the user who speaks.
    scene
        What was simulated.
    """

    def __init__(self, api: str, credential: Credential, scene: SceneConfig) -> None:
        self._api = ApiClient(api, credential)
        self._scene = scene
        self._truth: dict[str, NDArray[Any]] = {}

    def detections(self, survey: str) -> Iterator[str]:
        """Id of each detection of a survey, a page at a time."""
        query: dict[str, Any] = {"survey": survey, "limit": _PER_PAGE}
        while True:
            page = self._api.ask("GET", "/detections", params=query)
            yield from (item["id"] for item in page["items"])
            if page["next"] is None:
                return
            query["after"] = page["next"]

    def judge(self, detection: str) -> str:
        """Give the verdict that truth has; what it is."""
        item = self._api.ask("GET", f"/review/items/{detection}")
        kind = self._planted(item)
        verdict = "bogus" if kind is None else "real"
        self._api.ask(
            "POST",
            f"/detections/{detection}/validations",
            json={
                "verdict": verdict,
                "subtype": kind and _SUBTYPES[kind],
                "cutout_sha256": item["cutout_sha256"],
                "note": "by the simulator's truth",
            },
            # The same whenever it is given: a second run of the demo changes nothing.
            headers={"Idempotency-Key": f"{NAME}-{detection}"},
        )
        return verdict

    def _planted(self, item: dict[str, Any]) -> str | None:
        """Kind of the change that an item is; None if nothing was planted there."""
        archive_id = item["observation"]["archive_id"]
        if archive_id not in self._truth:
            parsed = parse_archive_name(archive_id)
            if parsed is None:
                raise StackError(
                    f"{archive_id} is no exposure of the simulated survey.",
                    remedy="Name the survey of surveys.yaml that made it.",
                )
            truth = truth_of(self._scene, *parsed)
            self._truth[archive_id] = truth[truth["snr_true"] >= FAINTEST_SNR]
        truth = self._truth[archive_id]
        place = (item["x_pix"], item["y_pix"], item["is_negative"])
        [match] = match_changes(truth, [place], item["difference_fwhm_pix"])
        return None if match < 0 else str(truth["kind"][match])
