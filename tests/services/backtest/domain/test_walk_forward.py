"""Walking forward: the slow twin, no look ahead, and records too short for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.backtest.domain.walk_forward import PAST, STRETCHES, walk_forward
from tests.naive import luck as naive

PANELS = arrays(
    np.float64, st.tuples(st.integers(40, 70), st.integers(1, 4)), elements=st.sampled_from([-2, 0, 1, 5])
).map(lambda returns: returns + np.random.default_rng(1).normal(0, 0.01, returns.shape))
"""With a little noise on top: of two trials that are equal but for rounding either may be chosen."""


@settings(max_examples=100, deadline=None)
@given(PANELS, st.booleans())
def test_choices_and_returns_equal_the_slow_twin(returns: np.ndarray, anchored: bool) -> None:
    found = walk_forward(returns, anchored)
    assert found is not None
    chosen, outside = naive.walk_forward(returns.tolist(), anchored, STRETCHES, PAST)
    assert found.chosen.tolist() == chosen
    assert found.returns.tolist() == outside
    assert found.start + found.returns.size == len(returns)


@settings(max_examples=100, deadline=None)
@given(PANELS, st.booleans(), st.data())
def test_what_comes_after_a_stretch_never_changes_its_choice(
    returns: np.ndarray, anchored: bool, data: st.DataObject
) -> None:
    k = data.draw(st.integers(PAST, STRETCHES - 1))
    poisoned = returns.copy()
    poisoned[len(returns) * k // STRETCHES :] = data.draw(st.sampled_from([1e9, -1e9, 0.0]))
    before, after = walk_forward(returns, anchored), walk_forward(poisoned, anchored)
    assert before is not None
    assert after is not None
    assert before.chosen[: k - PAST + 1].tolist() == after.chosen[: k - PAST + 1].tolist()


def test_a_trial_that_turns_bad_is_left_and_the_rolling_choice_leaves_it_first() -> None:
    random = np.random.default_rng(1)
    returns = random.normal(0, 0.001, (800, 2))
    returns[:400, 0] += 0.01
    returns[400:, 1] += 0.004
    anchored, rolling = walk_forward(returns, True), walk_forward(returns, False)
    assert anchored is not None
    assert rolling is not None
    assert rolling.chosen.tolist() == [0, 0, 0, 0, 1, 1] or rolling.chosen.tolist() == [0, 0, 0, 1, 1, 1]
    assert int(anchored.chosen.sum()) < int(rolling.chosen.sum())


@pytest.mark.parametrize("n_days", [0, 5, 39])
def test_a_short_record_cannot_be_walked(n_days: int) -> None:
    assert walk_forward(np.zeros((n_days, 3)), True) is None


def test_trials_without_a_trade_leave_the_ratios_undefined() -> None:
    found = walk_forward(np.zeros((80, 3)), False)
    assert found is not None
    assert (found.in_sample_sharpe, found.out_of_sample_sharpe) == (None, None)
    assert found.chosen.tolist() == [0] * (STRETCHES - PAST)
