"""Tasks of the backtest stage: a batch of trials to their metrics, and the best trial to its trades and curve."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from services.backtest.domain.account import account_rules
from services.backtest.domain.metrics import (
    buy_and_hold_return,
    buy_and_hold_signal,
    metrics,
    without_risk_rules,
)
from services.backtest.domain.prices import checked_prices
from services.backtest.kernels.engine import expand_mask, run_full, run_summary
from services.backtest.kernels.types import OPEN, SIGNAL, STOP, Curve, Prices, Rules, Trades
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.backtest import BacktestRequest
from tickloom.kernel import F64, I8, I64
from tickloom.lake import Lake, floats

STAGE = "backtest"
REASONS = {SIGNAL: "signal", STOP: "stop", OPEN: "open"}


def run_batch(
    lake: Lake, key: str, symbol: str, features: FileEntry, signals: FileEntry, request: BacktestRequest
) -> Part:
    """Run the trials of one file of signals over one symbol's bars; the part keeps their metrics, in order."""
    prices, _ = read_prices(lake, symbol, features)
    rules = account_rules(request)
    benchmark = buy_and_hold_return(prices, rules)
    trials = []
    for combo, signal in read_signals(lake, signals, prices.close.size):
        outcome, daily = run_summary(prices, signal, rules)
        trials.append({"combo": combo, **metrics(prices, rules, outcome, daily, benchmark)})
    facts = {"symbol": symbol, "n_bars": int(prices.close.size), "trials": trials}
    return lake.put_part(STAGE, key, Part(facts=facts))


def run_best(
    lake: Lake, key: str, symbol: str, features: FileEntry, signals: FileEntry, combo: int, request: BacktestRequest
) -> Part:
    """Run one trial again, by the same loop, and keep its trades and its curve."""
    prices, ts_open = read_prices(lake, symbol, features)
    rules = account_rules(request)
    signal = dict(read_signals(lake, signals, prices.close.size))[combo]
    _, _, curve, trades = run_full(prices, signal, rules)
    facts = {"symbol": symbol, "combo": combo}
    files = (
        lake.add_table(f"trades/{symbol}.parquet", trades_table(prices, ts_open, trades), facts=facts),
        lake.add_table(f"equity/{symbol}.parquet", equity_table(prices, rules, curve), facts=facts),
    )
    return lake.put_part(STAGE, key, Part(files=files))


def read_prices(lake: Lake, symbol: str, features: FileEntry) -> tuple[Prices, I64]:
    """Return one symbol's bars and the time of each open. Raises BadPrices and CorruptFile."""
    table = lake.read_table(features, ["ts_open", "ts_close", "open", "high", "low", "close"])
    open_, high, low, close = (floats(table[name]) for name in ("open", "high", "low", "close"))
    ts_close = table["ts_close"].to_numpy()
    return checked_prices(symbol, open_, high, low, close, ts_close), table["ts_open"].to_numpy()


def read_signals(lake: Lake, signals: FileEntry, n_bars: int) -> Iterator[tuple[int, I8]]:
    """Yield (combo, the mask of every bar) of each parameter set in the file, those without any signal included."""
    table = lake.read_table(signals, ["combo", "bar", "mask"])
    combo, bar, mask = (table[name].to_numpy() for name in ("combo", "bar", "mask"))
    first = int(signals.facts["first_combo"])
    for number in range(first, first + int(signals.facts["n_combos"])):
        start, stop = np.searchsorted(combo, [number, number + 1])
        yield number, expand_mask(bar[start:stop], mask[start:stop], n_bars)


def trades_table(prices: Prices, ts_open: I64, trades: Trades) -> pa.Table:
    """Return the trades as a table; an open trade has no exit.

    A fill at an open is stamped with the bar's ts_open. A stop is somewhere within its bar: it is stamped with the
    bar's ts_close, when it is sure to have happened.
    """
    is_open = trades.reason == OPEN
    exit_bar = np.where(is_open, 0, trades.exit_bar)
    exit_ts = np.where(trades.reason == STOP, prices.ts_close[exit_bar], ts_open[exit_bar])
    return pa.table(
        {
            "side": trades.side,
            "entry_bar": trades.entry_bar,
            "exit_bar": pa.array(trades.exit_bar, mask=is_open),
            "entry_ts": ts_open[trades.entry_bar],
            "exit_ts": pa.array(exit_ts, mask=is_open),
            "quantity": trades.quantity,
            "entry_price": trades.entry_fill,
            "exit_price": pa.array(trades.exit_fill, mask=is_open),
            "fees": trades.fees,
            "pnl": trades.pnl,
            "reason": pa.array([REASONS[reason] for reason in trades.reason.tolist()], pa.string()),
            "is_open": is_open,
        }
    )


def equity_table(prices: Prices, rules: Rules, curve: Curve) -> pa.Table:
    """Return the account at the close of each bar, beside all cash in at the second open and never out."""
    benchmark: F64 = run_full(prices, buy_and_hold_signal(prices.close.size), without_risk_rules(rules))[2].equity
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
