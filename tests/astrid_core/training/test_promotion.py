"""The rule: surely better on the whole, nowhere much worse, on what neither has seen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from astrid_core.detection.card import ModelCard, read_card
from astrid_core.detection.registry import shipped
from astrid_core.errors import DatasetQualityError
from astrid_core.training.calibration import calibrate_on
from astrid_core.training.evaluate import evaluate
from astrid_core.training.figures import at_false_alarms, purity_at_completeness
from astrid_core.training.judged import Judgement, TestSet
from astrid_core.training.promotion import compare, decide
from astrid_core.training.resampling import estimate
from tests.astrid_core.training.synthetic import frame_ids, make_samples

CARD = read_card(shipped()[1])
RECORDS = make_samples(600).of_split("test").records * 2
TEST = replace(TestSet.of(RECORDS), groups=np.array([f"g{i % 24}" for i in range(len(RECORDS))]))


def judgement(noise: float, seed: int) -> Judgement:
    """A model that knows the truth but for some noise."""
    rng = np.random.default_rng(seed)
    confidence = np.clip(TEST.is_real * 0.5 + 0.25 + rng.normal(0, noise, len(TEST.is_real)), 0, 1)
    return Judgement(confidence, confidence >= 0.5, None)


def trained_on(*groups: str) -> ModelCard:
    return CARD.model_copy(update={"data": {"dataset": {"groups": list(groups)}}})


def test_what_is_surely_better_is_promoted_and_what_is_not_is_kept():
    good, bad = judgement(0.1, 1), judgement(0.5, 2)
    better = decide(compare(TEST, good, bad, CARD, CARD))
    assert better.is_promoted
    assert "in no slice worse" in better.reason
    assert not decide(compare(TEST, bad, good, CARD, CARD)).is_promoted
    same = decide(compare(TEST, bad, bad, CARD, CARD))
    assert not same.is_promoted
    assert "+0.0000" in same.reason


def test_a_model_that_saw_the_test_split_is_not_measured_by_it():
    good, bad = judgement(0.1, 1), judgement(0.5, 2)
    seen = compare(TEST, good, bad, CARD, trained_on("g3", "elsewhere"))
    assert seen.seen_by_champion == ("g3",)
    assert "champion was trained on 1 of the 24" in decide(seen).reason
    assert not decide(seen).is_promoted
    assert not decide(compare(TEST, good, bad, trained_on("g3"), CARD)).is_promoted
    assert decide(compare(TEST, good, bad, trained_on("elsewhere"), CARD)).is_promoted


def test_a_slice_that_is_much_worse_forbids_it():
    good, bad = judgement(0.1, 1), judgement(0.5, 2)
    part = np.arange(len(TEST.is_real)) < 24
    spoilt = replace(good, accepted=np.where(part, ~TEST.is_real, good.accepted))
    with_part = replace(TEST, slices={"part": part})
    decision = decide(compare(with_part, spoilt, bad, CARD, CARD))
    assert not decision.is_promoted
    assert "part: 0.000" in decision.reason
    few = replace(TEST, slices={"part": np.arange(len(TEST.is_real)) < 19})
    spoilt = replace(good, accepted=np.where(few.slices["part"], ~TEST.is_real, good.accepted))
    assert decide(compare(few, spoilt, bad, CARD, CARD)).is_promoted


def test_too_few_groups_decide_nothing():
    few = replace(TEST, groups=np.array([f"g{i % 4}" for i in range(len(TEST.is_real))]))
    decision = decide(compare(few, judgement(0.1, 1), judgement(0.5, 2), CARD, CARD))
    assert not decision.is_promoted
    assert "at least 5" in decision.reason


def test_the_interval_of_a_share_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"g{i}" for i in range(40)], 5)
    hits = 0
    for _ in range(100):
        # Members of a group are alike: one by one they would look five times as sure.
        values = np.repeat(rng.random(40) < 0.7, 5).astype(float)
        found = estimate(lambda w, v=values: float((w * v).sum() / w.sum()), groups, 200)
        hits += found is not None and found.low <= 0.7 <= found.high
    assert 86 <= hits <= 100


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_no_more_bogus_pass_than_allowed_and_no_lower_bar_would_do(pairs, allowed):
    score = np.array([float(value) for value, _ in pairs])
    real = np.array([truth for _, truth in pairs])
    got = at_false_alarms(score, real, np.ones(len(score)), allowed)
    assert got.n_false <= allowed
    bars = [b for b in [-1.0, *np.unique(score)] if ((score > b) & ~real).sum() <= allowed]
    best = max(((score > b) & real).sum() for b in bars)
    assert got.completeness == pytest.approx(best / real.sum()) if real.any() else True


def test_components_are_never_selected_by_significance():
    score = np.array([5.0, -np.inf, -np.inf, 4.0])
    real = np.array([True, True, False, False])
    got = at_false_alarms(score, real, np.ones(4), 10)
    assert (got.completeness, got.n_false) == (0.5, 1)
    assert np.isnan(purity_at_completeness(score, real, np.ones(4), 0.9))
    assert purity_at_completeness(score, real, np.ones(4), 0.5) == 1.0


def test_evaluation_is_of_the_samples_and_becomes_json():
    import json

    model = judgement(0.15, 3)
    found = evaluate(TEST, model, 0.5, judgement(0.5, 4))
    assert found.mpix == pytest.approx(0.25 * len(frame_ids(RECORDS)))
    expected = average_precision_score(TEST.is_real, model.confidence)
    assert found.average_precision is not None
    assert found.average_precision.value == pytest.approx(expected)
    assert found.average_precision.low <= expected <= found.average_precision.high
    assert found.completeness is not None
    assert found.completeness.value == model.accepted[TEST.is_real].mean()
    scorr, champion = found.rivals
    # Significance says nothing here, and the champion less than the model.
    assert scorr.completeness_gain is not None
    assert scorr.completeness_gain.low > 0.3
    assert champion.completeness_gain is not None
    assert champion.completeness_gain.low > 0
    assert sum(one.n_real for one in found.slices if one.name.startswith("S/N")) == found.n_real
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["n_groups"] == 24


def test_calibration_takes_the_random_queue_where_it_says_enough():
    rng = np.random.default_rng(1)
    records = list(make_samples(400).records)
    real = np.array([r.is_real for r in records])
    scores = np.where(real, 1.0, -1.0) + rng.normal(0, 1.5, len(real))
    drawn = calibrate_on(records, scores, CARD)
    assert drawn.candidates_on == "random queue"
    assert drawn.components_on == "parent"
    assert drawn.fields["component_calibration"] == CARD.component_calibration
    biased = [replace(r, metadata={**r.metadata, "strata": ["uncertain"]}) for r in records]
    assert calibrate_on(biased, scores, CARD).candidates_on == "val split at even odds"
    few = calibrate_on(records[:30], scores[:30], CARD)
    assert few.candidates_on == "parent"
    assert few.fields["calibration"] == CARD.calibration
    assert few.fields["threshold"] == CARD.threshold


def test_natural_odds_are_kept_where_the_random_queue_is_calibrated_on():
    from astrid_core.detection.judging import calibrate

    rng = np.random.default_rng(2)
    records = [r for i, r in enumerate(make_samples(800).records) if r.is_real or i % 4 == 0]
    real = np.array([r.is_real for r in records])
    scores = np.where(real, 1.0, -1.0) + rng.normal(0, 1.5, len(real))
    confidence = calibrate(scores, calibrate_on(records, scores, CARD).fields["calibration"])
    assert confidence.mean() == pytest.approx(real.mean(), abs=0.02)
    assert real.mean() > 0.7


def test_a_test_split_without_both_classes_is_refused():
    with pytest.raises(DatasetQualityError, match="test split holds"):
        TestSet.of([record for record in RECORDS if record.is_real])
