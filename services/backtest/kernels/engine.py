"""The engine: one account, one symbol, one loop from trade to trade, for grids and for full runs alike.

Signals fill at the next bar's open or rest there as limit orders; stops and targets end a position within a bar.
docs/backtest.md has the rules in full and an example by hand.
"""

import numpy as np

from services.backtest.kernels.fills import find_limit, next_entry, next_exit
from services.backtest.kernels.holding import Ending, hold
from services.backtest.kernels.inside import ALONE, BY_GUESS, BY_TRADES, Inside, trades_price
from services.backtest.kernels.marking import drawdowns, mark_flat, write_stretch
from services.backtest.kernels.positions import Position, Settled, enter, guard_of, settle
from services.backtest.kernels.types import (
    AT_OPEN,
    OPEN,
    SIGNAL,
    Curve,
    Marks,
    Outcome,
    Prices,
    Signal,
    Tally,
    Trades,
    new_curve,
    new_trades,
)
from tickloom.kernel import F64, borrowing, inlined_borrowing
from tickloom.strategy.rules import Rules


@inlined_borrowing
def _add_trade(tally: Tally, held: Position, end: Settled, held_us: int) -> Tally:
    """Return the tally with one trade more."""
    is_open = end.reason == OPEN
    won, lost = not is_open and end.pnl > 0.0, not is_open and end.pnl < 0.0
    return Tally(
        tally.n_closed + int(not is_open),
        tally.n_won + int(won),
        tally.gross_profit + (end.pnl if won else 0.0),
        tally.gross_loss - (end.pnl if lost else 0.0),
        tally.fees + (held.fee + end.exit_fee),
        tally.notional + (held.quantity * held.fill + end.exit_notional),
        tally.held_us + held_us,
    )


@inlined_borrowing
def _keep(trades: Trades, k: int, held: Position, ending: Ending, end: Settled) -> None:
    """Write trade `k`, if there is room."""
    if k < trades.side.size:
        is_open = end.reason == OPEN
        trades.entry_bar[k], trades.exit_bar[k] = held.bar, -1 if is_open else ending.bar
        trades.side[k], trades.reason[k], trades.quantity[k] = held.side, end.reason, held.quantity
        trades.entry_fill[k], trades.exit_fill[k] = held.fill, np.nan if is_open else end.exit_fill
        trades.fees[k], trades.pnl[k], trades.kind[k] = held.fee + end.exit_fee, end.pnl, held.kind
        trades.slippage[k] = held.slippage + end.slippage
        trades.source[k], trades.exit_trade[k] = ending.source, ending.trade


@inlined_borrowing
def _next_fill(
    prices: Prices, signal: Signal, rules: Rules, at: int, start: int, by_trades: bool
) -> tuple[int, int, float, int, float, int, int]:
    """Return the next entry from bar `start`: bar, side, price before slippage, how, limit, signal: bar and change.

    The bar is n_bars without one. A limit order rests from the bar after its signal for `limit_bars` bars, or until an
    exit signal of its side; other signals find it there and do nothing.
    """
    n_bars = prices.close.size
    bar, side, at = next_entry(signal, at, start, n_bars)
    if rules.limit_bars == 0:
        return bar, side, prices.open[min(bar, n_bars - 1)], AT_OPEN, side * np.inf, bar - 1, at
    while bar < n_bars:
        limit = prices.close[bar - 1] * (1.0 - side * rules.limit_rate)
        until, _ = next_exit(signal, at, bar, side, n_bars)
        last = min(bar + rules.limit_bars, until)
        filled, raw, kind = find_limit(prices, bar, last, side, limit, by_trades)
        if filled < last:
            return filled, side, raw, kind, limit, bar - 1, at
        bar, side, at = next_entry(signal, at, last, n_bars)
    return n_bars, 0, np.nan, AT_OPEN, np.nan, n_bars, at


@borrowing
def _simulate(
    prices: Prices, signal: Signal, rules: Rules, inside: Inside, daily: F64, curve: Curve, trades: Trades
) -> Outcome:
    """Run the account over all bars. Writes `daily`, `inside.wanted`, and `curve` and `trades` where they have room."""
    n_bars, cash, position, n_trades, n_refused = prices.close.size, rules.initial_cash, 0.0, 0, 0
    n_by_trades, n_by_guess, n_wanted = 0, 0, 0
    marks = Marks(cash, 0, cash, 0.0, 0, 0.0)
    tally = Tally(0, 0, 0.0, 0.0, 0.0, 0.0, 0)
    flat_from, look_from, at = 0, 1, -1
    while True:
        bar, side, raw, kind, limit, known, at = _next_fill(prices, signal, rules, at, look_from, trades_price(inside))
        if bar == n_bars or cash <= 0.0:  # a ruined account trades no more
            marks = mark_flat(prices, flat_from, n_bars, cash, marks, daily, curve)
            break
        held = enter(prices, rules, bar, side, raw, kind, limit, known, cash)
        if held.quantity <= 0.0:
            n_refused, look_from = n_refused + 1, bar + 1
            continue
        marks = mark_flat(prices, flat_from, bar, cash, marks, daily, curve)
        guard, position = guard_of(rules, held), side * held.quantity
        until, _ = next_exit(signal, at, bar, side, n_bars)
        ending, marks = hold(prices, bar, until, guard, held.cash, position, marks, inside, n_wanted)
        leave, n_wanted = ending.bar, ending.n_wanted
        write_stretch(prices, bar, leave, held.cash, position, daily, curve)
        end = settle(prices, rules, held, guard, ending, until, trades_price(inside))
        # What ends within a bar has held it; a signal at its open has not.
        was_inside = end.reason != SIGNAL and end.reason != OPEN
        held_us = prices.ts_close[leave if was_inside else leave - 1] - prices.ts_close[bar - 1]
        tally = _add_trade(tally, held, end, held_us)
        _keep(trades, n_trades, held, ending, end)
        n_by_trades += int(ending.source == BY_TRADES)
        n_by_guess += int(ending.source == BY_GUESS)
        n_trades, cash = n_trades + 1, held.cash
        if end.reason == OPEN:
            break
        cash, position = cash + (side * end.exit_notional - end.exit_fee), 0.0
        # After a signal the other side may be entered at the same open; after a stop that open is past.
        flat_from, look_from = leave, leave + 1 if was_inside else leave
    worst, longest = drawdowns(prices, marks)
    equity = cash + position * prices.close[n_bars - 1]
    total, counts = marks.equity_sum, (n_refused, n_by_trades, n_by_guess, n_wanted)
    return Outcome(n_trades, cash, position, equity, worst, longest, total, *counts, tally)


def run_summary(prices: Prices, signal: Signal, rules: Rules, inside: Inside = ALONE) -> tuple[Outcome, F64]:
    """Trade the signals; return the account at the end and its equity at the close of each UTC day.

    inside            the trades of bars, as far as they were opened; `wanted` is written
    daily  (n_days,)  from the first bar's day to the last's; a day without a bar has the equity of the day before

    Nothing at a bar depends on a later bar. O(bars held + n_changes + n_days) time, O(n_days) memory.
    """
    daily = np.empty(prices.last_bar.size)
    return _simulate(prices, signal, rules, inside, daily, new_curve(0), new_trades(0)), daily


def run_full(
    prices: Prices, signal: Signal, rules: Rules, inside: Inside = ALONE
) -> tuple[Outcome, F64, Curve, Trades]:
    """Do what `run_summary` does, by the same loop, and keep the curve (n_bars,) and the trades (n_trades,)."""
    outcome, daily = run_summary(prices, signal, rules, inside)
    curve, trades = new_curve(prices.close.size), new_trades(outcome.n_trades)
    return _simulate(prices, signal, rules, inside, daily, curve, trades), daily, curve, trades
