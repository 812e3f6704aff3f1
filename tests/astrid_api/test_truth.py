"""The simulator's truth as a reviewer, through the API."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select, update

from astrid_core.curation.access import Role
from astrid_core.errors import ConfigurationError
from astrid_core.simulation.config import SceneConfig
from astrid_core.simulation.recovery import FAINTEST_SNR
from astrid_core.simulation.survey import archive_name, parse_archive_name
from astrid_core.simulation.truth import truth_of
from astrid_core.storage import ObjectStore
from astrid_core.surveys.config import SurveyConfig
from astrid_stack.credentials import Credential
from astrid_stack.errors import StackError
from astrid_stack.truth import TruthReviewer, require_truth
from dbschema.models import Detection, Observation, ValidationEvent
from tests import review, rows
from tests.callers import Person


@pytest.fixture
def scene() -> SceneConfig:
    return SceneConfig(shape=(256, 256))


def test_it_says_what_was_planted(
    address: str,
    scene: SceneConfig,
    people: dict[Role, Person],
    engine: Engine,
    store: ObjectStore,
    tmp_path: Path,
) -> None:
    exposure = archive_name(0, scene.science_nights[0], "r")
    truth = truth_of(scene, *parse_archive_name(exposure))
    planted = truth[truth["snr_true"] >= FAINTEST_SNR][:4]
    assert len(planted) > 1
    stack = np.random.default_rng(1).normal(size=(len(planted) + 1, 4, 63, 63)).astype(np.float32)
    with engine.begin() as connection:
        found = review.store_cutouts(connection, store, stack, tmp_path / "c.fits")
        connection.execute(update(Observation).values(archive_id=exposure))
        for detection, change in zip(found, planted, strict=False):
            place = {name: float(change[name]) for name in ("x_pix", "y_pix")}
            place["is_negative"] = bool(change["is_negative"])
            of_it = Detection.id == detection
            connection.execute(update(Detection).where(of_it).values(**place))
        nowhere = Detection.id == found[-1]
        connection.execute(update(Detection).where(nowhere).values(x_pix=-50.0))
    reviewer = TruthReviewer(address, Credential("key", SecretStr(people["reviewer"].key)), scene)
    assert set(reviewer.detections(rows.SURVEY)) == {str(one) for one in found}
    for _ in range(2):  # the second time says nothing new
        said = {one: reviewer.judge(str(one)) for one in found}
        assert said == dict.fromkeys(found[:-1], "real") | {found[-1]: "bogus"}
    with engine.connect() as connection:
        events = connection.execute(
            select(ValidationEvent.detection_id, ValidationEvent.subtype)
        ).all()
    kinds = {"transient": "transient", "variable": "variable", "mover": "moving"}
    assert dict(events) == {
        detection: kinds[change["kind"]] for detection, change in zip(found, planted, strict=False)
    } | {found[-1]: None}


def test_a_refusal_is_told(address: str, scene: SceneConfig, people: dict[Role, Person]) -> None:
    viewer = TruthReviewer(address, Credential("key", SecretStr(people["viewer"].key)), scene)
    with pytest.raises(StackError, match="needs a reviewer"):
        viewer.judge("00000000-0000-0000-0000-000000000000")


def test_only_the_simulated_have_a_truth() -> None:
    simulated = SurveyConfig(name="mine", adapter="simulated", references={"name": "set"})
    require_truth(simulated)
    mine = simulated.model_copy(update={"adapter": "folder"})
    with pytest.raises(ConfigurationError, match="Nobody knows the truth of survey 'mine'"):
        require_truth(mine)
