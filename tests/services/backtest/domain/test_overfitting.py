"""The probability of backtest overfitting against a slow twin, another implementation, and searches of known worth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backtest.domain import overfitting as domain
from services.backtest.domain.overfitting import SHORTEST, halves, overfitting
from services.backtest.kernels.overfitting import block_moments, cross_validate
from tests.naive import luck as naive


def panel(n_days: int, n_trials: int, seed: int) -> np.ndarray:
    """Return returns that any language can make again: sums of four draws of Knuth's MMIX generator, and a trend."""
    state, draws = seed, []
    for _ in range(n_days * n_trials * 4):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        draws.append((state >> 11) / 2**53)
    noise = np.array(draws).reshape(n_days, n_trials, 4).sum(axis=2) - 2
    return np.asarray(noise * 0.02 + np.linspace(-0.0005, 0.001, n_trials))


def test_the_choices_of_halves_are_all_there_are() -> None:
    assert halves(4).tolist() == [0b0011, 0b0101, 0b1001, 0b0110, 0b1010, 0b1100]
    assert halves(16).size == 12_870


@st.composite
def searches(draw: st.DrawFn) -> np.ndarray:
    """Return returns of trials some of which are copies of others, and some of which never trade."""
    n_days, n_trials = draw(st.integers(16, 30)), draw(st.integers(2, 6))
    returns = np.random.default_rng(draw(st.integers(0, 999))).normal(0, 0.01, (n_days, n_trials))
    returns = returns[:, draw(st.lists(st.integers(0, n_trials - 1), min_size=n_trials, max_size=n_trials))]
    returns[:, list(draw(st.sets(st.integers(0, n_trials - 1), max_size=2)))] = 0.0
    return np.ascontiguousarray(returns)


@settings(max_examples=150, deadline=None)
@given(searches())
def test_every_choice_and_its_rank_equal_the_slow_twins(returns: np.ndarray) -> None:
    first, second = block_moments(returns, 4)
    got = cross_validate(first, second, len(returns) // 4, halves(4), 1e-24)
    expected = naive.cross_validate(returns.tolist(), 4)
    for ours, theirs in zip(zip(*got, strict=True), expected, strict=True):
        assert ours[:2] == pytest.approx(theirs[:2], rel=1e-9, abs=1e-9)
        assert ours[2:] == theirs[2:]


@settings(max_examples=100, deadline=None)
@given(searches())
def test_the_probability_equals_the_slow_twins(returns: np.ndarray) -> None:
    found = overfitting(returns)
    n_blocks = len(returns) // SHORTEST // 2 * 2
    expected = naive.probability_of_overfitting(returns.tolist(), n_blocks)
    assert (None if found is None else found.probability) == expected


def test_trials_that_are_all_equal_leave_nothing_to_choose_and_no_probability() -> None:
    one = np.random.default_rng(1).normal(0, 0.01, (365, 1))
    assert overfitting(np.repeat(one, 3, axis=1)) is None
    assert overfitting(np.zeros((365, 64))) is None


def test_a_parameter_that_changes_nothing_does_not_change_the_probability_much() -> None:
    random = np.random.default_rng(5)
    pairs = [random.normal(0, 0.01, (160, 2)) for _ in range(20)]
    once = [found.probability for pair in pairs if (found := overfitting(pair))]
    thrice = [found.probability for pair in pairs if (found := overfitting(np.repeat(pair, 3, axis=1)))]
    assert thrice == pytest.approx(once)


def test_where_others_equal_the_chosen_one_in_the_middle_it_counts_half() -> None:
    # The first two are equal but on one day each, so whoever is chosen by the days of the other half equals the other.
    returns = np.tile([0.02, -0.01], 32).repeat(2).reshape(64, 2).copy()
    returns[0, 0] += 0.01
    returns[-1, 1] += 0.01
    found = overfitting(returns)
    assert found is not None
    assert found.probability == naive.probability_of_overfitting(returns.tolist(), 16)


@pytest.mark.parametrize(
    ("shape", "seed", "n_blocks", "probability", "loss", "slope", "logits"),
    [
        ((160, 6), 11, 8, 0.4714285714285714, 0.42857142857142855, -1.139810903495769, 3.4183028495650927),
        ((320, 5), 3, 16, 0.4205128205128205, 0.08407148407148407, -0.5590300018203358, 7611.98399774397),
    ],
)
def test_the_figures_equal_fynance_2_13_1(
    shape: tuple[int, int],
    seed: int,
    n_blocks: int,
    probability: float,
    loss: float,
    slope: float,
    logits: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(domain, "BLOCKS", n_blocks)
    returns = panel(*shape, seed)
    found = overfitting(returns)
    assert found is not None
    assert (found.probability, found.loss) == (probability, loss)
    assert found.slope == pytest.approx(slope, rel=1e-9)
    first, second = block_moments(returns, n_blocks)
    rank = cross_validate(first, second, shape[0] // n_blocks, halves(n_blocks), 1e-24)[2]
    assert float(np.log(rank / (1 - rank)).sum()) == pytest.approx(logits, rel=1e-9)


def test_a_search_among_noise_is_a_coin_toss_and_one_with_skill_is_not() -> None:
    random = np.random.default_rng(3)
    noise = [overfitting(random.normal(0, 0.01, (320, 20))) for _ in range(30)]
    assert 0.35 < np.mean([one.probability for one in noise if one]) < 0.65
    skilled = random.normal(0, 0.01, (320, 20))
    skilled[:, 7] += 0.005
    found = overfitting(skilled)
    assert found is not None
    assert found.probability < 0.01


def test_trials_that_never_trade_are_no_winners_and_no_losers() -> None:
    returns = np.zeros((64, 3))
    returns[:, 1] = np.tile([0.02, -0.01], 32)
    found = overfitting(returns)
    assert found is not None
    assert (found.probability, found.loss) == (0.0, 0.0)


@pytest.mark.parametrize(("n_days", "n_trials"), [(15, 5), (0, 5), (100, 1), (100, 0)])
def test_too_short_a_record_or_one_trial_tells_nothing(n_days: int, n_trials: int) -> None:
    assert overfitting(np.zeros((n_days, n_trials))) is None


def test_a_short_record_is_cut_into_fewer_blocks() -> None:
    found = overfitting(panel(30, 3, 1))
    assert found is not None
    assert (found.n_blocks, found.n_halves) == (6, 20)
