"""Star patterns propose the true map among few, whatever the turn and parity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrid_core.differencing.patterns import propose_shifts, propose_similarities
from astrid_core.differencing.registration_config import PatternConfig

CONFIG = PatternConfig()


def field(seed: int, n: int = 60):
    return np.random.default_rng(seed).uniform(0, 500, (n, 2))


def worst_miss(proposal, stars, truth):
    mapped = np.column_stack(proposal(*stars.T))
    return np.hypot(*(mapped - truth).T).max()


@given(
    seed=st.integers(0, 10_000),
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.4, 2.5),
    shift=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    mirrored=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_the_true_map_is_among_the_first(seed, angle, scale, shift, mirrored):
    rng = np.random.default_rng(seed)
    stars = field(seed)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([1.0, -1.0 if mirrored else 1.0])
    truth = stars @ matrix.T + shift
    seen = truth + rng.normal(0, 0.05 * scale, truth.shape)
    kept = rng.random(len(seen)) < 0.8  # a fifth of the stars is missing on each side
    other = rng.uniform(seen.min(axis=0), seen.max(axis=0), (12, 2))
    reference = rng.permutation(np.concatenate([seen[kept], other]))
    proposals = propose_similarities(stars, reference, CONFIG)
    assert min(worst_miss(p, stars, truth) for p in proposals[:20]) < 4.0 * max(scale, 1.0)


def test_commonest_shift_is_found_in_a_crowd():
    stars = field(3, 350)
    rng = np.random.default_rng(4)
    truth = stars + np.array([-36.0, 47.0])
    reference = np.concatenate([truth[rng.random(350) < 0.4], field(5, 200)])
    proposals = propose_shifts(stars, reference)
    assert worst_miss(proposals[0], stars, truth) < 4.5


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_stars_propose_little_and_do_not_fail(n):
    stars = field(1, n)
    assert propose_similarities(stars, field(2), CONFIG) is not None
    assert isinstance(propose_shifts(stars, field(2)), list)


def test_other_scales_than_allowed_are_not_proposed():
    stars = field(1)
    proposals = propose_similarities(stars, stars * 5.0, CONFIG)
    scales = [np.sqrt(abs(np.linalg.det(p.terms[:, 1:]))) for p in proposals]
    assert all(scale <= CONFIG.max_scale_change * 1.01 for scale in scales)
