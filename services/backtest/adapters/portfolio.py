"""The tables of an account of many symbols."""

from typing import Any

import numpy as np
import pyarrow as pa

from services.backtest.domain.portfolio import Account, buy_and_hold
from services.backtest.domain.untraded import untraded_fills
from services.backtest.kernels.portfolio import PortfolioRun
from services.backtest.kernels.portfolio_types import (
    BY_DAILY_LOSS,
    BY_DRAWDOWN,
    BY_LIQUIDATION,
    BY_MARGIN,
    BY_REBALANCE,
    BY_SIGNAL,
    GROSS,
    GROSS_AT_FILL,
    HALT_DAILY_LOSS,
    HALT_DRAWDOWN,
    HALT_MARGIN,
    HOLDINGS,
    NET,
    NET_AT_FILL,
    RESUMED,
    STILL_OPEN,
    WEIGHT,
    AccountCurve,
)
from tickloom.kernel import F64, I8, I64

REASONS = {
    BY_SIGNAL: "signal", BY_REBALANCE: "rebalance", BY_DRAWDOWN: "max_drawdown", BY_DAILY_LOSS: "max_daily_loss",
    BY_MARGIN: "margin_call", STILL_OPEN: "open", BY_LIQUIDATION: "liquidation",
}  # fmt: skip
LIMITS = {
    WEIGHT: "max_weight", HOLDINGS: "min_holdings", GROSS: "max_gross", NET: "max_net",
    GROSS_AT_FILL: "max_gross_at_fill", NET_AT_FILL: "max_net_at_fill", HALT_DRAWDOWN: "max_drawdown",
    HALT_DAILY_LOSS: "max_daily_loss", HALT_MARGIN: "margin_call", RESUMED: "resumed",
}  # fmt: skip


def tables(account: Account, run: PortfolioRun, volume: F64) -> dict[str, pa.Table]:
    """Return name -> table: the trades, all fills, the curve, the positions and the limits that fired.

    volume  (n_bars,) of the bars of all symbols, one symbol's behind the other's
    """
    return {
        "trades": _trades(account, run, volume),
        "fills": _fills(account, run, volume),
        "equity": _equity(account, run.curve),
        "positions": _positions(account, run.curve),
        "limits": _limits(run),
    }


def _words(codes: I8, words: dict[int, str]) -> pa.Array:
    return pa.array([words[code] for code in codes.tolist()], pa.string())


def _names(account: Account, symbol: I64) -> pa.Array:
    return pa.array([account.symbols[s] for s in symbol.tolist()], pa.string())


def _opened(account: Account, bar: I64) -> I64:
    """Return when the bars opened; `bar` counts those of all symbols."""
    ts_open: I64 = np.concatenate(account.ts_open)
    opened: I64 = ts_open[bar]
    return opened


def _filled(account: Account, bar: I64, reason: I8) -> I64:
    """Return when the fills of `bar` are sure to have happened: at its open, or, inside it, at its close."""
    ts_close: I64 = np.concatenate([prices.ts_close for prices in account.prices])
    return np.where(reason == BY_LIQUIDATION, ts_close[bar], _opened(account, bar))


def _own(account: Account, symbol: I64, bar: I64) -> I64:
    """Return the number of each bar among its symbol's."""
    first: I64 = np.cumsum([0, *(prices.close.size for prices in account.prices)])
    own: I64 = bar - first[symbol]
    return own


def _trades(account: Account, run: PortfolioRun, volume: F64) -> pa.Table:
    trades = run.trades
    order = np.lexsort((trades.symbol, _opened(account, trades.entry_bar)))  # as they were entered
    symbol, entry, leave = (column[order] for column in (trades.symbol, trades.entry_bar, trades.exit_bar))
    is_open = leave < 0
    left = np.where(is_open, entry, leave)
    plain = ("quantity", "entry_fill", "exit_fill", "fees", "slippage", "pnl")
    quantity, entry_price, exit_price, fees, slippage, pnl = (getattr(trades, name)[order] for name in plain)
    return pa.table(
        {
            "symbol": _names(account, symbol),
            "side": trades.side[order],
            "entry_bar": _own(account, symbol, entry),
            "exit_bar": pa.array(_own(account, symbol, left), mask=is_open),
            "entry_ts": _opened(account, entry),
            "exit_ts": pa.array(_filled(account, left, trades.reason[order]), mask=is_open),
            "quantity": quantity,
            "entry_price": entry_price,
            "exit_price": pa.array(exit_price, mask=is_open),
            "fees": fees,
            "slippage": slippage,
            "pnl": pnl,
            "reason": _words(trades.reason[order], REASONS),
            "is_open": is_open,
            "n_untraded": untraded_fills(volume, entry, leave),
        }
    )


def _fills(account: Account, run: PortfolioRun, volume: F64) -> pa.Table:
    fills = run.fills
    return pa.table(
        {
            "ts": _filled(account, fills.bar, fills.reason),
            "symbol": _names(account, fills.symbol),
            "side": fills.side,
            "quantity": fills.quantity,
            "price": fills.price,
            "fee": fills.fee,
            "slippage": fills.slippage,
            "reason": _words(fills.reason, REASONS),
            "is_untraded": volume[fills.bar] == 0.0,
        }
    )


def _equity(account: Account, curve: AccountCurve) -> pa.Table:
    peak = np.maximum(np.maximum.accumulate(curve.equity), account.rules.initial_cash)
    return pa.table(
        {
            "ts": curve.ts,
            "equity": curve.equity,
            "cash": curve.cash,
            "gross": curve.gross,
            "net": curve.net,
            "n_held": curve.n_held,
            "drawdown": curve.equity / peak - 1.0,
            "buy_and_hold": buy_and_hold(account, curve.ts),
        }
    )


def _positions(account: Account, curve: AccountCurve) -> pa.Table:
    columns = {symbol: curve.position[:, s].copy() for s, symbol in enumerate(account.symbols)}
    return pa.table({"ts": curve.ts} | columns)


def _limits(run: PortfolioRun) -> pa.Table:
    events = run.events
    return pa.table(
        {"ts": events.ts, "limit": _words(events.limit, LIMITS), "found": events.found, "allowed": events.allowed}
    )


def summary(account: Account, run: PortfolioRun) -> dict[str, Any]:
    """Return what each symbol brought, and how often each limit fired, as JSON values."""
    fills, trades, n_closes = run.fills, run.trades, run.curve.ts.size
    symbols = []
    for s, name in enumerate(account.symbols):
        mine, filled = trades.symbol == s, fills.symbol == s
        symbols.append(
            {
                "symbol": name,
                "pnl": float(trades.pnl[mine].sum()),
                "fees": float(trades.fees[mine].sum()),
                "slippage": float(trades.slippage[mine].sum()),
                "notional": float((fills.quantity[filled] * fills.price[filled]).sum()),
                "n_trades": int(mine.sum()),
                "n_fills": int(filled.sum()),
                "held": float((run.curve.position[:, s] != 0).sum() / n_closes),
            }
        )
    limits = []
    for code, name in LIMITS.items():
        at = run.events.ts[run.events.limit == code]
        if at.size:
            limits.append({"limit": name, "n": at.size, "first_ts": int(at[0]), "last_ts": int(at[-1])})
    first = min(int(opened[0]) for opened in account.ts_open)
    return {"first_open_ts": first, "symbols": symbols, "limits": limits}
