"""The feed: bars, and the trades within them, whatever they are read from."""

import numpy as np
import pytest

from tests.tickloom.strategy.worlds import FREE, HOUR_US, bars, prices
from tickloom.strategy.engine import Engine
from tickloom.strategy.feed import Bars, Trade, TradeColumns
from tickloom.strategy.orders import BUY
from tickloom.strategy.strategy import Context, Strategy


def columns(ends: list[int]) -> TradeColumns:
    n = ends[-1]
    ts, price = np.arange(n, dtype=np.int64), 100.0 + np.arange(n)
    return TradeColumns(ts, price, np.ones(n), np.ones(n, np.int8), np.array(ends, np.int64))


def test_columns_of_trades_are_those_of_each_bar() -> None:
    trades = columns([2, 2, 5])
    all_of_them = [Trade(k, 100.0 + k, 1.0, 1) for k in range(5)]
    assert [*trades] == [trades[0], trades[1], trades[2]] == [all_of_them[:2], [], all_of_them[2:]]
    assert (trades[-1], trades[-3], trades[1:]) == (all_of_them[2:], all_of_them[:2], [[], all_of_them[2:]])
    with pytest.raises(IndexError):
        trades[3]


def test_columns_that_are_no_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="ends"):
        columns([3, 2, 5])
    one = np.ones(1)
    with pytest.raises(ValueError, match="ends"):
        TradeColumns(np.ones(1, np.int64), one, one, np.ones(1, np.int8), np.array([0], np.int64))
    with pytest.raises(ValueError, match="one length"):
        TradeColumns(np.ones(1, np.int64), np.ones(2), one, np.ones(1, np.int8), np.array([1], np.int64))


class Reads(TradeColumns):
    """Counts how often it is read."""

    n_read = 0

    def __getitem__(self, bar: int) -> list[Trade]:  # type: ignore[override]
        self.n_read += 1
        return super().__getitem__(bar)  # type: ignore[return-value]


def test_trades_out_of_columns_are_played_like_any_others_and_read_once() -> None:
    class Buys(Strategy):
        def on_start(self, ctx: Context) -> None:
            ctx.indicator(lambda b: b.close)

        def on_trade(self, ctx: Context, trade: Trade) -> None:
            if trade.price in (101.0, 105.0):
                ctx.market(BUY, 1.0)

    n, ends = 12, np.array([4, 8, 12], np.int64)
    ts = np.arange(n, dtype=np.int64) // 4 * HOUR_US + np.arange(n) % 4
    lazy = Reads(ts, 100.0 + np.arange(n), np.ones(n), np.ones(n, np.int8), ends)
    rows = [(100.0 + k, 103.0 + k, 100.0 + k, 103.0 + k) for k in (0, 4, 8)]
    found = [
        prices(Engine(Buys(), bars(*rows, trades=trades), FREE).run()) for trades in (lazy, tuple(map(tuple, lazy)))
    ]
    assert found[0] == found[1] == [(0, BUY, 102.0), (1, BUY, 106.0)]
    assert lazy.n_read == 3 + 4  # three to be played; `map` asks for one more, to know where they end


def test_the_first_bars_have_the_first_trades() -> None:
    market = bars(100, 100, 100, trades=columns([2, 2, 5]))
    head: Bars = market.head(2)
    assert [*head.trades] == [[Trade(0, 100.0, 1.0, 1), Trade(1, 101.0, 1.0, 1)], []]
    assert (head.n_bars, len(head.inside), head.volume.size) == (2, 0, 0)
