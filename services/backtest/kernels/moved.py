"""Trades at other times: the same stretches of bars, sides and sizes, entered and left at the market where told."""

import numpy as np

from services.backtest.kernels.holding import hold
from services.backtest.kernels.inside import ALONE, Inside
from services.backtest.kernels.positions import Position, enter, guard_of, settle
from services.backtest.kernels.types import AT_OPEN, Marks, Prices
from tickloom.kernel import F64, I8, I64, borrowing
from tickloom.strategy.rules import Rules


@borrowing
def _run(prices: Prices, entry: I64, leave: I64, side: I8, share: F64, rules: Rules, inside: Inside) -> float:
    cash = rules.initial_cash
    for k in range(entry.size):
        if cash <= 0.0:
            break
        bar, way = entry[k], int(side[k])
        part = cash * min(1.0, share[k] * (1.0 + rules.commission_rate) / rules.leverage)
        got = enter(prices, rules, bar, way, prices.open[bar], AT_OPEN, way * np.inf, bar - 1, part)
        if got.quantity <= 0.0:
            continue
        left = got.cash + (cash - part)  # what was not put in stands behind the position all the same
        held = Position(bar, way, got.quantity, got.fill, got.kind, got.fee, left, got.slippage, got.stop)
        marks = Marks(cash, 0, cash, 0.0, 0, 0.0)
        guard = guard_of(rules, held)
        ending, marks = hold(prices, bar, leave[k], guard, left, way * held.quantity, marks, inside, 0)
        end = settle(prices, rules, held, guard, ending, leave[k], False)
        cash = left + (way * end.exit_notional - end.exit_fee)
    return cash


def run_moved(prices: Prices, entry: I64, leave: I64, side: I8, share: F64, rules: Rules) -> float:
    """Return the cash at the end of trades that fill at the opens of bars `entry` and `leave`, one after the other.

    entry, leave  (n_trades,), 1 <= entry < leave <= next entry, leave < n_bars
    side          (n_trades,), +1 long, -1 short
    share         (n_trades,), notional of the entry over the equity before it; no more than leverage and costs allow
    rules         by fraction 1, of entries at the market, without stop, target or trailing stop

    Costs, lots, the least notional, impact and liquidation are those of the engine, by its own functions. O(bars held).
    """
    return float(_run(prices, entry, leave, side, share, rules, ALONE))
