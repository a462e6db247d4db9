"""The engine: one account, one symbol, one loop from trade to trade, for grids and for full runs alike.

Signals fill at the next bar's open, slippage against you, commission on the filled notional. docs/backtest.md has the
rules in full and an example by hand.
"""

from typing import NamedTuple

import numpy as np

from services.backtest.kernels.fills import find_entry, find_exit
from services.backtest.kernels.marking import mark_flat, mark_held
from services.backtest.kernels.types import (
    OPEN,
    SIGNAL,
    STOP,
    Curve,
    Marks,
    Outcome,
    Prices,
    Rules,
    Tally,
    Trades,
    new_curve,
    new_trades,
)
from tickloom.kernel import F64, I8, I64, kernel


@kernel
def expand_mask(bar: I64, mask: I8, n_bars: int) -> I8:
    """Return the signal of every bar from the bars where it changes.

    bar   (n_changes,)  strictly increasing, 0 <= bar < n_bars
    mask  (n_changes,)  in force from its bar on; before the first it is 0
    """
    signal = np.zeros(n_bars, np.int8)
    for k in range(bar.size):
        end = bar[k + 1] if k + 1 < bar.size else n_bars
        signal[bar[k] : end] = mask[k]
    return signal


class _Settled(NamedTuple):
    """A trade's money: what came in and went out, in quote currency. Nothing has left an open trade."""

    exit_fill: float
    entry_fee: float
    exit_fee: float
    exit_notional: float
    pnl: float


@kernel
def _stop_price(fill: float, side: int, stop_loss_rate: float) -> float:
    """Return the price that ends the position, infinitely far away without a stop."""
    return fill * (1.0 - side * stop_loss_rate) if stop_loss_rate > 0.0 else -side * np.inf


@kernel
def _settle(rules: Rules, side: int, quantity: float, fill: float, raw: float, is_open: bool) -> _Settled:
    """Return the trade's money; `raw` is the price it ends at before slippage, or the last close if it is open."""
    entry_fee = quantity * fill * rules.commission_rate
    exit_fill = raw if is_open else raw * (1.0 - side * rules.slippage_rate)
    exit_notional = 0.0 if is_open else quantity * exit_fill
    exit_fee = exit_notional * rules.commission_rate
    pnl = side * quantity * (exit_fill - fill) - entry_fee - exit_fee
    return _Settled(exit_fill, entry_fee, exit_fee, exit_notional, pnl)


@kernel
def _add_trade(tally: Tally, money: _Settled, notional: float, held_us: int, is_open: bool) -> Tally:
    """Return the tally with one trade more."""
    won, lost = not is_open and money.pnl > 0.0, not is_open and money.pnl < 0.0
    return Tally(
        tally.n_closed + int(not is_open),
        tally.n_won + int(won),
        tally.gross_profit + (money.pnl if won else 0.0),
        tally.gross_loss - (money.pnl if lost else 0.0),
        tally.fees + (money.entry_fee + money.exit_fee),
        tally.notional + notional,
        tally.held_us + held_us,
    )


@kernel
def _keep(
    trades: Trades, k: int, span: tuple[int, int], side: int, reason: int, quantity: float, fill: float, money: _Settled
) -> None:
    """Write trade `k`, if there is room; `span` is its entry and exit bar."""
    if k < trades.side.size:
        is_open = reason == OPEN
        trades.entry_bar[k], trades.exit_bar[k] = span[0], -1 if is_open else span[1]
        trades.side[k], trades.reason[k], trades.quantity[k] = side, reason, quantity
        trades.entry_fill[k], trades.exit_fill[k] = fill, np.nan if is_open else money.exit_fill
        trades.fees[k], trades.pnl[k] = money.entry_fee + money.exit_fee, money.pnl


@kernel
def _simulate(prices: Prices, signal: I8, rules: Rules, daily: F64, curve: Curve, trades: Trades) -> Outcome:
    """Run the account over all bars. Writes `daily`, and `curve` and `trades` where they have room."""
    n_bars, cash, position, n_trades = signal.size, rules.initial_cash, 0.0, 0
    marks = Marks(cash, prices.ts_close[0], False, 0.0, 0, 0.0)
    tally = Tally(0, 0, 0.0, 0.0, 0.0, 0.0, 0)
    flat_from, look_from = 0, 1
    while True:
        entry, side = find_entry(signal, look_from)
        if cash <= 0.0:  # a ruined account trades no more
            entry = n_bars
        marks = mark_flat(prices, flat_from, entry, cash, marks, daily, curve)
        if entry == n_bars:
            break
        fill = prices.open[entry] * (1.0 + side * rules.slippage_rate)
        quantity = rules.fraction * cash / (fill * (1.0 + rules.commission_rate))
        stop = _stop_price(fill, side, rules.stop_loss_rate)
        leave, raw, reason = find_exit(prices, signal, entry, side, stop)
        money = _settle(rules, side, quantity, fill, raw, reason == OPEN)
        cash -= side * (quantity * fill) + money.entry_fee
        marks = mark_held(prices, entry, leave, cash, side * quantity, marks, daily, curve)
        # A stop ends within its bar, which counts as held; a signal at the open of a bar that does not.
        held_us = prices.ts_close[leave if reason == STOP else leave - 1] - prices.ts_close[entry - 1]
        tally = _add_trade(tally, money, quantity * fill + money.exit_notional, held_us, reason == OPEN)
        _keep(trades, n_trades, (entry, leave), side, reason, quantity, fill, money)
        n_trades += 1
        if reason == OPEN:
            position = side * quantity
            break
        cash += side * money.exit_notional - money.exit_fee
        # After a signal the other side may be entered at the same open; after a stop that open is past.
        flat_from, look_from = leave, leave if reason == SIGNAL else leave + 1
    return Outcome(n_trades, cash, position, cash + position * prices.close[n_bars - 1], marks, tally)


@kernel
def _carry_forward(daily: F64) -> None:
    """Give days without a bar the equity of the day before. The first day always has a bar."""
    for day in range(1, daily.size):
        if np.isnan(daily[day]):
            daily[day] = daily[day - 1]


@kernel
def run_summary(prices: Prices, signal: I8, rules: Rules) -> tuple[Outcome, F64]:
    """Trade the signals; return the account at the end and its equity at the close of each UTC day.

    signal  (n_bars,)  masks, known at the close of their bar
    daily   (n_days,)  from the first bar's day to the last's, days without a bar included

    Nothing at a bar depends on a later bar. O(n_bars) time, O(n_days) memory.
    """
    daily = np.full(prices.day[-1] + 1, np.nan)
    outcome = _simulate(prices, signal, rules, daily, new_curve(0), new_trades(0))
    _carry_forward(daily)
    return outcome, daily


@kernel
def run_full(prices: Prices, signal: I8, rules: Rules) -> tuple[Outcome, F64, Curve, Trades]:
    """Do what `run_summary` does, by the same loop, and keep the curve (n_bars,) and the trades (n_trades,)."""
    n_trades = run_summary(prices, signal, rules)[0].n_trades
    daily = np.full(prices.day[-1] + 1, np.nan)
    curve, trades = new_curve(signal.size), new_trades(n_trades)
    outcome = _simulate(prices, signal, rules, daily, curve, trades)
    _carry_forward(daily)
    return outcome, daily, curve, trades
