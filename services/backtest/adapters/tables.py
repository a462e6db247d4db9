"""Tables of an account of one symbol."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from services.backtest.domain.metrics import (
    buy_and_hold_signal,
    without_risk_rules,
)
from services.backtest.domain.untraded import untraded_fills
from services.backtest.kernels.engine import run_full
from services.backtest.kernels.inside import BY_BARS, BY_GUESS, BY_TRADES
from services.backtest.kernels.types import (
    INSIDE,
    LIQUIDATION,
    OPEN,
    SIGNAL,
    STOP,
    TARGET,
    TRAIL,
    Curve,
    Prices,
    Trades,
)
from tickloom.kernel import F64, I64
from tickloom.strategy.rules import Rules

REASONS = {
    SIGNAL: "signal", STOP: "stop", OPEN: "open", TARGET: "target", TRAIL: "trailing_stop", LIQUIDATION: "liquidation",
}  # fmt: skip
SOURCES = {BY_BARS: "bars", BY_TRADES: "trades", BY_GUESS: "guess"}


def trades_table(
    prices: Prices, ts_open: I64, trades: Trades, ended: Mapping[int, tuple[int, int]], volume: F64
) -> pa.Table:
    """Return the trades as a table; an open trade has no exit.

    A fill at an open is stamped with the bar's ts_open. A fill within a bar (a stop, a target, a limit) is stamped with
    the bar's ts_close, when it is sure to have happened; where `ended` knows the id and the time of the market's trade
    that did it, with that time. `volume` is that of each bar, (n_bars,).
    """
    is_open = trades.reason == OPEN
    exit_bar = np.where(is_open, 0, trades.exit_bar)
    exit_ts = np.where(trades.reason == SIGNAL, ts_open[exit_bar], prices.ts_close[exit_bar])
    exit_id = np.zeros(trades.side.size, np.int64)
    for k, (trade_id, ts) in ended.items():
        exit_id[k] = trade_id
        exit_ts[k] = min(max(ts, ts_open[exit_bar[k]]), prices.ts_close[exit_bar[k]])
    entry_ts = np.where(trades.kind == INSIDE, prices.ts_close[trades.entry_bar], ts_open[trades.entry_bar])
    return pa.table(
        {
            "side": trades.side,
            "entry_bar": trades.entry_bar,
            "exit_bar": pa.array(trades.exit_bar, mask=is_open),
            "entry_ts": entry_ts,
            "exit_ts": pa.array(exit_ts, mask=is_open),
            "quantity": trades.quantity,
            "entry_price": trades.entry_fill,
            "exit_price": pa.array(trades.exit_fill, mask=is_open),
            "fees": trades.fees,
            "slippage": trades.slippage,
            "pnl": trades.pnl,
            "reason": pa.array([REASONS[reason] for reason in trades.reason.tolist()], pa.string()),
            "is_open": is_open,
            "inside_bar": pa.array([SOURCES[source] for source in trades.source.tolist()], pa.string()),
            "exit_trade_id": pa.array(exit_id, mask=trades.exit_trade < 0),
            "n_untraded": untraded_fills(volume, trades.entry_bar, trades.exit_bar),
        }
    )


def equity_table(prices: Prices, rules: Rules, curve: Curve) -> pa.Table:
    """Return the account at the close of each bar, beside all cash in at the second open and never out."""
    benchmark: F64 = run_full(prices, buy_and_hold_signal(), without_risk_rules(rules))[2].equity
    peak = np.maximum(np.maximum.accumulate(curve.equity), rules.initial_cash)
    return pa.table(
        {
            "ts": prices.ts_close,
            "equity": curve.equity,
            "cash": curve.cash,
            "position": curve.position,
            "drawdown": curve.equity / peak - 1.0,
            "buy_and_hold": benchmark,
        }
    )
