"""Fills in bars in which nothing traded, by hand."""

import numpy as np

from services.backtest.domain.untraded import untraded_facts, untraded_fills


def test_both_ends_of_a_trade_count_and_an_open_trade_has_one() -> None:
    volume = np.array([1.0, 0.0, 2.0, 0.0])
    n = untraded_fills(volume, np.array([0, 1, 1, 3, 1]), np.array([2, 3, 2, -1, -1]))
    assert n.tolist() == [0, 2, 1, 1, 1]
    assert n.dtype == np.int8
    pnl = np.array([10.0, 5.0, -2.0, 1.0, 0.5])
    assert untraded_facts(n, pnl) == {"n_fills": 5, "n_trades": 4, "pnl": 4.5}
