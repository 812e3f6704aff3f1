"""Which model judges from now on: the rule, and the row that every decision leaves.

The statistic is average precision on the frozen test split: it weighs the whole ranking that
reviewers work down, and neither threshold nor calibration, which differ between models. It is
compared paired: both models on the same groups, drawn again together.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, func, insert, select

from astrid_core.detection.card import ModelCard
from astrid_core.detection.registry import ChampionRef, champion, set_champion, upsert_model
from astrid_core.errors import NothingToRevertError
from astrid_core.training.audit import groups_learnt
from astrid_core.training.figures import average_precision, right_share
from astrid_core.training.judged import Judgement, TestSet
from astrid_core.training.resampling import Estimate, estimate
from dbschema.models import Model, Promotion
from dbschema.transactions import in_transaction, transaction

F64 = NDArray[np.float64]

RULE = "rule"
"""Who decides where nobody does: the rule of :func:`decide`."""

MAX_SLICE_LOSS = 0.03
MIN_SLICE_SAMPLES = 20
MIN_GROUPS = 5
"""With fewer groups to draw, an interval says little of how sure a difference is."""

_LOCK = "astrid.promotion"


@dataclass(frozen=True)
class SliceComparison:
    """Share of a slice judged rightly, each model at its own threshold."""

    name: str
    n: int
    candidate: float
    champion: float

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is worse by more than may be."""
        return (
            self.n >= MIN_SLICE_SAMPLES and self.candidate < self.champion - MAX_SLICE_LOSS - 1e-9
        )


@dataclass(frozen=True)
class Comparison:
    """Candidate and champion on the same samples.

    Attributes
    ----------
    gain
        Average precision of the candidate less that of the champion.
    seen_by_champion
        Groups of the test split that the champion, or the candidate, was trained on.
    """

    n: int
    n_groups: int
    candidate: float
    champion: float
    gain: Estimate | None
    slices: tuple[SliceComparison, ...]
    seen_by_champion: tuple[str, ...]
    seen_by_candidate: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As the row keeps it."""
        values: dict[str, Any] = asdict(self)
        return values | {
            "statistic": "average precision",
            "slices": [asdict(one) | {"is_worse": one.is_worse} for one in self.slices],
        }


@dataclass(frozen=True)
class Decision:
    """Whether a candidate is promoted, and why in a sentence with its figures."""

    is_promoted: bool
    reason: str


def compare(
    test: TestSet,
    candidate: Judgement,
    incumbent: Judgement,
    candidate_card: ModelCard,
    champion_card: ModelCard,
) -> Comparison:
    """Both models on the same test split, paired."""

    def gain(weights: F64) -> float:
        return average_precision(candidate.confidence, test.is_real, weights) - average_precision(
            incumbent.confidence, test.is_real, weights
        )

    ones = np.ones(len(test.is_real))
    groups = {str(group) for group in test.groups}
    slices = {"all": ones.astype(bool)} | test.slices
    return Comparison(
        n=len(ones),
        n_groups=len(groups),
        candidate=average_precision(candidate.confidence, test.is_real, ones),
        champion=average_precision(incumbent.confidence, test.is_real, ones),
        gain=estimate(gain, test.groups),
        slices=tuple(
            SliceComparison(
                name,
                int(chosen.sum()),
                right_share(candidate.accepted, test.is_real, chosen.astype(float)),
                right_share(incumbent.accepted, test.is_real, chosen.astype(float)),
            )
            for name, chosen in slices.items()
        ),
        seen_by_champion=tuple(sorted(groups & groups_learnt(champion_card.data))),
        seen_by_candidate=tuple(sorted(groups & groups_learnt(candidate_card.data))),
    )


def decide(comparison: Comparison) -> Decision:
    """Promote what is surely better on the whole and nowhere much worse."""
    for whose, seen in (
        ("champion", comparison.seen_by_champion),
        ("candidate", comparison.seen_by_candidate),
    ):
        if seen:
            return Decision(
                False,
                f"The {whose} was trained on {len(seen)} of the {comparison.n_groups} groups of "
                "this test split: nothing can be told from it.",
            )
    if comparison.n_groups < MIN_GROUPS:
        return Decision(
            False,
            f"The test split holds {comparison.n_groups} groups of sky, at least {MIN_GROUPS} are "
            "needed to say how sure a difference is.",
        )
    gain = comparison.gain
    assert gain is not None  # noqa: S101  a test split holds both classes
    figures = (
        f"average precision {comparison.candidate:.4f} against {comparison.champion:.4f}, "
        f"difference {gain.value:+.4f} (95 %: {gain.low:+.4f} to {gain.high:+.4f}, "
        f"{comparison.n} samples in {comparison.n_groups} groups)"
    )
    if not gain.low > 0:
        return Decision(False, f"Not surely better: {figures}.")
    worse = [one for one in comparison.slices if one.is_worse]
    if worse:
        named = "; ".join(
            f"{one.name}: {one.candidate:.3f} judged rightly against {one.champion:.3f}"
            for one in worse
        )
        return Decision(False, f"Better on the whole ({figures}), but worse in part: {named}.")
    return Decision(True, f"Better: {figures}, and in no slice worse by more than .03.")


# --- decisions ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """A trained model, and what it was compared with on what."""

    training_run_id: UUID
    dataset_id: UUID
    candidate: ChampionRef
    incumbent: ChampionRef
    comparison: Comparison


def settle(engine: Engine, mlflow_uri: str, offer: Offer, decided_by: str) -> dict[str, Any]:
    """Decide on an offer, put the decision in force and write its row: both or neither.

    Returns
    -------
    The row of ``promotions``.
    """
    decision = decide(offer.comparison)
    values = {
        "training_run_id": offer.training_run_id,
        "dataset_id": offer.dataset_id,
        "model_id": offer.candidate.model_id,
        "champion_id": offer.incumbent.model_id,
        "decision": "promoted" if decision.is_promoted else "kept",
        "reason": decision.reason,
        "comparison": offer.comparison.to_json(),
        "decided_by": decided_by,
    }
    upsert_model(engine, offer.incumbent.row())
    to = offer.candidate.version if decision.is_promoted else None
    return _put_in_force(engine, mlflow_uri, values, to, offer.incumbent.version)


def last_decision(connection: Connection, model_id: UUID) -> dict[str, Any] | None:
    """The latest decision that made a model champion; None where there was none."""
    table = Promotion.__table__
    query = (
        select(table)
        .where(table.c.model_id == model_id, table.c.decision == "promoted")
        .order_by(table.c.created_at.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else dict(row)


def revert(engine: Engine, mlflow_uri: str, cache_dir: Path, decided_by: str) -> dict[str, Any]:
    """Give the alias back to the champion before the present one.

    Returns
    -------
    The row of ``promotions``, whose model is champion again.

    Raises
    ------
    NothingToRevertError
        If the present champion came by no promotion.
    ModelUnavailableError
        If the MLflow server failed.
    """
    current = champion(mlflow_uri, cache_dir)
    made = in_transaction(engine, lambda connection: last_decision(connection, current.model_id))
    if made is None:
        raise NothingToRevertError(
            f"{current.name} version {current.version} became champion by no promotion: there is "
            "none to take back.",
            remedy="'astrid models list' shows the versions; give another the alias in MLflow.",
        )
    table = Model.__table__
    previous = in_transaction(
        engine,
        lambda connection: (
            connection.execute(select(table).where(table.c.id == made["champion_id"]))
            .mappings()
            .one()
        ),
    )
    values = {
        "training_run_id": made["training_run_id"],
        "dataset_id": made["dataset_id"],
        "model_id": previous["id"],
        "champion_id": current.model_id,
        "decision": "reverted",
        "reason": f"Version {current.version} was taken back; version {previous['version']} "
        "judges again.",
        "comparison": {},
        "decided_by": decided_by,
    }
    return _put_in_force(engine, mlflow_uri, values, previous["version"], current.version)


def _put_in_force(
    engine: Engine, mlflow_uri: str, values: dict[str, Any], to: str | None, before: str
) -> dict[str, Any]:
    """Write a decision's row and move the alias; where the row is lost, so is the move."""
    moved = False
    try:
        with transaction(engine) as connection:
            # One decision at a time.
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(_LOCK))))
            row = dict(
                connection.execute(insert(Promotion).values(**values).returning(*_columns()))
                .mappings()
                .one()
            )
            if to is not None:
                set_champion(mlflow_uri, to)
                moved = True
    except BaseException:
        if moved:
            set_champion(mlflow_uri, before)
        raise
    return row


def _columns() -> list[Any]:
    return list(Promotion.__table__.columns)
