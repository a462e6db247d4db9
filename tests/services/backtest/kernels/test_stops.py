"""Stops at a distance read from a feature: by hand. The twin and the laws of test_venue.py draw them too."""

from dataclasses import replace

import numpy as np
import pytest

from services.backtest.kernels.types import INSIDE, OPEN, STOP, Trades
from tests.services.backtest.kernels.test_engine import flat, market
from tests.services.backtest.markets import FREE, run
from tickloom.strategy.rules import BY_RISK, Rules

Bar = tuple[float, float, float, float]
DOUBLE = FREE._replace(stop_multiple=2.0)


def traded(bars: list[Bar], masks: list[int], units: list[float], rules: Rules = DOUBLE) -> Trades:
    return run(replace(market(bars, masks), unit=np.array(units)), rules)[3]


@pytest.mark.parametrize(("mask", "last", "fill"), [(1, (100, 101, 91, 100), 92.0), (4, (100, 109, 99, 100), 108.0)])
def test_the_stop_stands_at_its_distance_as_known_at_the_close_of_the_signal(mask: int, last: Bar, fill: float) -> None:
    # Signalled at bar 1, where the unit is 4: neither the 1 before nor the 16 of the bar of the entry counts.
    trades = traded([*flat(100, 100, 100), last], [0, mask, 0, 0], [1.0, 4.0, 16.0, 16.0])
    assert (trades.entry_bar[0], trades.reason[0], trades.exit_fill[0]) == (2, STOP, fill)


def test_a_stop_just_out_of_reach_holds() -> None:
    trades = traded([*flat(100, 100), (100, 101, 92.5, 100)], [1, 0, 0], [4.0, 0.0, 0.0])
    assert trades.reason[0] == OPEN


@pytest.mark.parametrize("unit", [np.nan, 0.0, -1.0, np.inf])
def test_an_entry_whose_distance_is_not_known_or_none_is_refused_and_counted(unit: float) -> None:
    busy = replace(market(flat(100, 100, 100, 100), [1, 1, 0, 0]), unit=np.array([unit, 4.0, 4.0, 4.0]))
    outcome, _, _, trades = run(busy, DOUBLE)
    assert outcome.n_refused == 1
    assert trades.entry_bar.tolist() == [2]  # the next signal has a distance


def test_rules_without_a_multiple_never_look_at_the_unit() -> None:
    assert traded(flat(100, 100), [1, 0], [np.nan, np.nan], FREE).entry_bar.tolist() == [1]


def test_a_distance_beyond_zero_is_a_stop_that_nothing_reaches() -> None:
    trades = traded([*flat(100, 100), (100, 101, 0.125, 1)], [1, 0, 0], [60.0, 60.0, 60.0])
    assert trades.reason[0] == OPEN


def test_a_limit_that_rested_has_the_distance_of_its_signal_not_of_its_fill() -> None:
    rules = DOUBLE._replace(limit_bars=3, limit_rate=0.5)
    bars = [*flat(100, 100), (100, 100, 40, 60), (60, 61, 42, 50)]
    trades = traded(bars, [1, 0, 0, 0], [4.0, 1.0, 0.25, 0.25], rules)
    assert (trades.kind[0], trades.entry_fill[0]) == (INSIDE, 50.0)
    assert (trades.exit_bar[0], trades.exit_fill[0]) == (2, 42.0)  # in the bar of its fill, at 50 - 2 x 4


def test_risk_per_trade_loses_its_share_at_the_stop_by_a_feature() -> None:
    rules = DOUBLE._replace(sizing=BY_RISK, fraction=0.01)
    trades = traded([*flat(100, 100), (100, 101, 90, 95)], [1, 0, 0], [4.0, 4.0, 4.0], rules)
    assert trades.quantity[0] == 12.5  # 1 % of 10,000 over a distance of 8
    assert trades.pnl[0] == -100.0
