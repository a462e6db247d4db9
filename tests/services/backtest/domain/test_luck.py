"""The record of a choice: that its parts are those of the functions tested beside this, and that it is plain JSON."""

import json

import numpy as np
import pytest

from services.backtest.domain.judgement import curves, trade_returns
from services.backtest.domain.luck import daily_returns, luck
from services.backtest.domain.walk_forward import walk_forward
from services.backtest.kernels.types import OPEN, SIGNAL, new_trades
from tickloom.sharpe import Moments, deflated_sharpe_ratio, expected_maximum_sharpe
from tickloom.tries import Tries

RETURNS = np.random.default_rng(9).normal(0.001, 0.01, (200, 12))
TRADES = np.random.default_rng(2).normal(0.002, 0.02, 40)


def test_the_record_is_json_without_nan_and_the_same_for_the_same_seed() -> None:
    facts = luck(RETURNS, 3, TRADES, 5).facts
    assert json.loads(json.dumps(facts, allow_nan=False)) == json.loads(json.dumps(luck(RETURNS, 3, TRADES, 5).facts))
    assert facts["n_days"] == 200
    assert facts["n_trials"] == facts["n_measured"] == 12


def test_the_deflated_ratio_is_of_the_best_trial_against_all_of_them() -> None:
    facts = luck(RETURNS, 3, TRADES, 5).facts
    sample = Moments(**facts["sample"])
    assert sample.sharpe == pytest.approx(RETURNS[:, 3].mean() / RETURNS[:, 3].std(ddof=1))
    ratios = RETURNS.mean(axis=0) / RETURNS.std(axis=0, ddof=1)
    tries, variance = Tries(**facts["tries"]), ratios.var(ddof=1)
    assert tries.variance == pytest.approx(variance * 199)
    assert facts["deflated_sharpe_ratio"] == pytest.approx(deflated_sharpe_ratio(sample, 12, variance))
    assert facts["expected_maximum_sharpe"] == pytest.approx(expected_maximum_sharpe(12, variance) * 365**0.5)
    assert 11 < facts["independent_trials"] <= 12


def test_trials_that_never_trade_count_as_trials_but_measure_nothing() -> None:
    returns = RETURNS.copy()
    returns[:, 5:] = 0.0
    facts = luck(returns, 3, TRADES, 5).facts
    assert (facts["n_trials"], facts["n_measured"]) == (12, 5)
    assert facts["independent_trials"] > 11


def test_one_trial_that_trades_among_many_that_do_not_is_still_the_best_of_many() -> None:
    returns = np.zeros((200, 50))
    returns[:, 7] = RETURNS[:, 3]
    facts = luck(returns, 7, TRADES, 5).facts
    assert facts["expected_maximum_sharpe"] == pytest.approx(expected_maximum_sharpe(50, 1 / 199) * 365**0.5)
    assert facts["deflated_sharpe_ratio"] < facts["probabilistic_sharpe_ratio"]


@pytest.mark.parametrize("n_days", [0, 1, 2, 10])
def test_a_record_too_short_says_null_and_never_breaks(n_days: int) -> None:
    facts = luck(RETURNS[:n_days], 0, TRADES[:0], 1).facts
    json.dumps(facts, allow_nan=False)
    assert facts["walk_forward"] is None
    assert facts["overfitting"] is None
    assert facts["shuffled_trades"] is None
    if n_days < 3:
        assert facts["sample"] is facts["deflated_sharpe_ratio"] is facts["probabilistic_sharpe_ratio"] is None


def test_daily_returns_end_at_ruin() -> None:
    assert daily_returns(np.array([100.0, 110.0, 99.0])) == pytest.approx([0.1, -0.1])
    assert daily_returns(np.array([100.0, -5.0, 50.0, 0.0])).tolist() == [-1.0, 0.0, 0.0]
    assert daily_returns(np.array([100.0])).size == 0


def test_trade_returns_are_on_the_equity_before_each_and_leave_the_open_one_out() -> None:
    trades = new_trades(3)
    trades.pnl[:], trades.reason[:] = [100.0, -220.0, 50.0], [SIGNAL, SIGNAL, OPEN]
    assert trade_returns(trades, 1000.0) == pytest.approx([0.1, -0.2])
    assert trade_returns(new_trades(0), 1000.0).size == 0


def test_the_walks_fork_from_the_best_trials_curve() -> None:
    anchored, rolling = walk_forward(RETURNS, True), walk_forward(RETURNS, False)
    assert anchored is not None
    lines = curves(RETURNS[:, 3], anchored, rolling)
    assert [len(values) for values in lines.values()] == [201] * 3
    start = anchored.start
    assert lines["anchored"][:start] == [None] * start
    assert lines["anchored"][start] == lines["best"][start]
    assert lines["anchored"][-1] == pytest.approx(lines["best"][start] * np.prod(1 + anchored.returns))  # type: ignore[operator]
    assert curves(RETURNS[:5, 3], None, None)["rolling"] == [None] * 6
