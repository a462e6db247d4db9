"""Trials that get the trades of the bars they need: no other trial, no order and no memory changes a result."""

from collections.abc import Sequence

import numpy as np
import pytest

from services.backtest.domain.inside import Opener, Resolved
from services.backtest.kernels.types import Signal
from tests.services.backtest.markets import Market, changes
from tests.services.backtest.paths import Traded, of_paths
from tickloom.errors import CorruptFile
from tickloom.kernel import F64
from tickloom.strategy.rules import Rules

RULES = Rules(10_000.0, 1.0, 0.001, 0.0005, 0.006, take_profit_rate=0.007, trailing_rate=0.01)
N_BARS, N_TRADES = 150, 12


def walk(seed: int = 1) -> Traded:
    """Bars of a dozen trades that often reach a stop and a target at once."""
    rng = np.random.default_rng(seed)
    price = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, (N_BARS, N_TRADES))).reshape(N_BARS, N_TRADES))
    ts = 1_700_000_000_000_000 + np.arange(1, N_BARS + 1) * 3_600_000_000
    empty = np.ones(N_BARS)
    market = Market(empty, empty, empty, empty, ts, np.zeros(N_BARS, np.int8))
    return of_paths(market, price.tolist())


def signals(n: int = 12) -> list[Signal]:
    rng = np.random.default_rng(7)
    return [
        changes(np.where(rng.random(N_BARS) < 0.3, rng.integers(0, 16, N_BARS), 0).astype(np.int8)) for _ in range(n)
    ]


def same(a: Resolved, b: Resolved) -> bool:
    return a.outcome == b.outcome and a.guess == b.guess and np.array_equal(a.daily, b.daily)


@pytest.mark.parametrize("budget", [10**6, 30 * N_TRADES, 3 * N_TRADES])
@pytest.mark.parametrize("fills", [False, True])
def test_m14_a_trial_is_the_same_alone_and_after_any_others(budget: int, fills: bool) -> None:
    """Also where the trades of all of them do not fit, and what was read is thrown away and read again."""
    traded, grid = walk(), signals()
    alone = [traded.opener(fills=fills, budget=budget).run(signal, RULES) for signal in grid]
    for seed in range(3):
        opener = traded.opener(fills=fills, budget=budget)
        for k in np.random.default_rng(seed).permutation(np.repeat(np.arange(len(grid)), 2)).tolist():
            assert same(opener.run(grid[k], RULES), alone[k])
    assert any(resolved.is_moved for resolved in alone)
    assert any(resolved.outcome.n_by_guess for resolved in alone) == (budget < 30 * N_TRADES)


def test_what_does_not_fit_is_the_later_bars_and_is_counted_as_guessed() -> None:
    traded, signal = walk(), signals()[0]
    whole, none = traded.opener().run(signal, RULES), traded.opener(budget=0).run(signal, RULES)
    assert whole.outcome.n_by_trades > 3
    assert (none.outcome.n_by_trades, none.outcome.n_by_guess) == (0, none.guess.n_by_guess)
    assert not none.is_moved
    _, _, _, all_trades = traded.opener().full(signal, RULES)
    _, _, _, some = traded.opener(budget=4 * N_TRADES).full(signal, RULES)
    first = int(np.flatnonzero(some.source == 2)[0])
    np.testing.assert_array_equal(some.pnl[:first], all_trades.pnl[:first])


def test_a_bar_is_read_once_however_many_trials_ask_for_it() -> None:
    traded, read = walk(), list[int]()

    def reader(bars: Sequence[int]) -> list[F64]:
        read.extend(bars)
        return traded.read(bars)

    opener = Opener(traded.market.prices(), reader, np.full(N_BARS, N_TRADES))
    for signal in signals():
        opener.run(signal, RULES)
        opener.full(signal, RULES)
    assert len(read) == len(set(read)) > 10
    assert len(read) < N_BARS / 2


def test_without_trades_everything_is_the_guess() -> None:
    traded, signal = walk(), signals()[0]
    opener = Opener(traded.market.prices())
    resolved = opener.run(signal, RULES)
    assert not opener.has_trades
    assert resolved.outcome is resolved.guess
    assert resolved.outcome.n_by_guess > 0
    assert not resolved.is_moved


@pytest.mark.parametrize("at", [0, 5, -1])
def test_trades_that_do_not_make_their_bar_are_an_error_not_a_result(at: int) -> None:
    traded, signal = walk(), signals()[0]

    def false(bars: Sequence[int]) -> list[F64]:
        paths = traded.read(bars)
        for path in paths:
            path[at] *= 1.5
        return paths

    opener = Opener(traded.market.prices(), false, np.full(N_BARS, N_TRADES))
    with pytest.raises(CorruptFile, match="the trades of bar"):
        opener.run(signal, RULES)
