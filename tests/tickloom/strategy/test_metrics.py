"""The figures of a run by callbacks, by hand. That they are the grid's is in tests/services/backtest."""

import numpy as np
import pytest

from tests.tickloom.strategy.worlds import FREE, HOUR_US, Script, bars, play
from tickloom.strategy.engine import Engine
from tickloom.strategy.feed import Trade
from tickloom.strategy.metrics import daily_closes, drawdown
from tickloom.strategy.orders import BUY, SELL, Bracket, Order
from tickloom.strategy.strategy import Context, Strategy


def test_a_run_that_did_nothing_has_no_ratio_and_no_loss() -> None:
    found = play(bars(100, 110, 120), {}).metrics()
    assert found["total_return"] == found["max_drawdown"] == found["fees_paid"] == found["exposure"] == 0.0
    assert [found[name] for name in ("sharpe_ratio", "calmar_ratio", "win_rate", "profit_factor")] == [None] * 4  # type: ignore[literal-required]
    assert found["buy_and_hold_return"] == pytest.approx(120 / 110 - 1)


def test_a_pyramid_is_one_trade_and_its_costs_are_all_counted() -> None:
    acts = {0: lambda ctx: ctx.market(BUY, 10.0), 1: lambda ctx: ctx.market(BUY, 10.0), 2: lambda ctx: ctx.flatten()}
    found = play(bars(100, 100, 110, 120, 120), acts, FREE._replace(commission_rate=0.01)).metrics()
    assert (found["n_trades"], found["win_rate"], found["is_open"]) == (1, 1.0, False)
    assert found["fees_paid"] == pytest.approx(0.01 * (1_000 + 1_100 + 2_400))
    assert found["final_equity"] == pytest.approx(10_000 - 1_000 - 1_100 + 2_400 - 45)
    assert found["turnover"] == pytest.approx(4_500 / np.mean([10_000, 9_990, 10_079, 10_255, 10_255]))


def test_what_an_order_before_the_first_bar_loses_is_a_drawdown_from_the_first_cash() -> None:
    class Early(Strategy):
        def on_start(self, ctx: Context) -> None:
            ctx.market(BUY, 50.0)

    found = Engine(Early(), bars((100, 100, 80, 80), 90, 110), FREE).run().metrics()
    assert found["max_drawdown"] == pytest.approx(-0.1)
    assert found["max_drawdown_duration"] == pytest.approx(2 / 24)  # from the first close to the one that regains it


@pytest.mark.parametrize(
    ("order", "exposure"),
    [(Order(SELL, "stop", 1.0, stop=95.0), 2 / 3), (Order(SELL, "market", 1.0), 1 / 3)],
    ids=["at a stop within the bar", "at its open"],
)
def test_a_bar_counts_as_held_up_to_a_fill_within_it(order: Order, exposure: float) -> None:
    acts = {0: lambda ctx: ctx.market(BUY, 1.0), 1: lambda ctx: ctx.submit(order)}
    assert play(bars(100, 100, (100, 100, 90, 90), 90), acts).metrics()["exposure"] == pytest.approx(exposure)


def test_where_trades_are_played_a_bar_counts_as_held_up_to_a_trade_within_it() -> None:
    class Out(Script):
        def on_trade(self, ctx: Context, trade: Trade) -> None:
            if trade.ts == HOUR_US:
                ctx.market(BUY, 1.0)
            elif ctx.position:
                ctx.flatten()

    trades = tuple(tuple(Trade(k * HOUR_US + i, 100.0, 1.0, 1) for i in range(4)) for k in range(3))
    assert Engine(Out({}), bars(100, 100, 100, trades=trades), FREE).run().metrics()["exposure"] == 0.5


def test_drawdown_is_from_the_highest_close_so_far_and_lasts_until_it_is_regained() -> None:
    def naive(equity: list[float]) -> tuple[float, int]:
        points = [(1, 100.0), *((k + 1, value) for k, value in enumerate(equity))]
        worst, longest = 0.0, 0
        for k, (_, value) in enumerate(points):
            peak = max(v for _, v in points[: k + 1])
            worst = min(worst, value / peak - 1)
            if value < peak:
                since = max(ts for ts, v in points[:k] if v == peak)
                regained = [ts for ts, v in points[k:] if v >= peak]
                longest = max(longest, (regained or [points[-1][0]])[0] - since)
        return worst, longest

    rng = np.random.default_rng(3)
    for _ in range(300):
        equity = rng.integers(90, 111, int(rng.integers(1, 12))).astype(float)
        worst, longest = drawdown(equity, np.arange(1, equity.size + 1, dtype=np.int64), 100.0)
        assert (worst, longest) == pytest.approx(naive(equity.tolist()))


def test_a_day_without_a_bar_has_the_equity_of_the_day_before() -> None:
    day = 86_400_000_000
    ts = np.array([day // 2, day, 3 * day + 1], np.int64)  # what closes at midnight ends its day
    assert daily_closes(np.array([1.0, 2.0, 3.0]), ts).tolist() == [2.0, 2.0, 2.0, 3.0]


def test_a_protected_entry_that_is_stopped_is_a_lost_trade() -> None:
    acts = {
        0: lambda ctx: ctx.market(BUY, 10.0, Bracket(0.0625)),
        2: lambda ctx: ctx.market(BUY, 10.0, Bracket(0.0, 0.125)),
    }
    found = play(bars(100, 100, (100, 100, 90, 90), 100, (100, 120, 100, 120)), acts).metrics()
    assert (found["n_trades"], found["win_rate"]) == (2, 0.5)
    assert found["profit_factor"] == pytest.approx(125 / 62.5)
