"""The backtest again, slow and obvious: one bar after the other, in exact fractions.

Floats go in as the fractions that they are, so nothing here is rounded; the engine is to agree to 1e-9. Over a year of
bars the fractions grow too long: `decimals()` makes the same code work in 50 digits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from math import sqrt
from typing import Any

DAY_US = 86_400_000_000


@contextmanager
def decimals() -> Iterator[None]:
    """Work in decimals of 50 digits inside the block."""
    exact = globals()["Fraction"]
    globals()["Fraction"] = Decimal
    try:
        with localcontext(prec=50):
            yield
    finally:
        globals()["Fraction"] = exact


@dataclass
class Account:
    """The whole state between two events."""

    cash: Fraction
    position: Fraction | int = 0
    trade: dict[str, Any] | None = None
    trades: list[dict[str, Any]] = field(default_factory=list)
    curve: list[tuple[Fraction, Fraction | int, Fraction]] = field(default_factory=list)


def _enter(account: Account, bar: int, side: int, price: Fraction, rules: dict[str, Fraction]) -> None:
    fill = price * (1 + side * rules["slippage_rate"])
    quantity = account.cash * rules["fraction"] / (fill * (1 + rules["commission_rate"]))
    fee = fill * quantity * rules["commission_rate"]
    account.cash -= side * quantity * fill + fee
    account.position = side * quantity
    account.trade = {
        "entry_bar": bar, "side": side, "quantity": quantity, "entry_fill": fill, "fees": fee, "exit_bar": -1,
        "exit_fill": None, "reason": "open",
        "stop": fill * (1 - side * rules["stop_loss_rate"]) if rules["stop_loss_rate"] else None,
    }  # fmt: skip


def _leave(account: Account, bar: int, price: Fraction, reason: str, rules: dict[str, Fraction]) -> None:
    trade = account.trade
    assert trade is not None
    fill = price * (1 - trade["side"] * rules["slippage_rate"])
    fee = fill * trade["quantity"] * rules["commission_rate"]
    account.cash += account.position * fill - fee
    account.position = 0
    pnl = trade["side"] * trade["quantity"] * (fill - trade["entry_fill"]) - trade["fees"] - fee
    account.trades.append(
        trade | {"exit_bar": bar, "exit_fill": fill, "reason": reason, "fees": trade["fees"] + fee, "pnl": pnl}
    )
    account.trade = None


def run(bars: list[tuple[float, float, float, float]], signal: list[int], rules: dict[str, float]) -> Account:
    """Trade `signal` over `bars` of (open, high, low, close)."""
    exact = {name: Fraction(value) for name, value in rules.items()}
    account = Account(cash=exact["initial_cash"])
    for i, bar in enumerate(bars):
        open_, high, low, close = (Fraction(price) for price in bar)
        known = signal[i - 1] if i else 0
        long_entry, long_exit, short_entry, short_exit = (bool(known & bit) for bit in (1, 2, 4, 8))
        if account.trade and (long_exit if account.trade["side"] > 0 else short_exit):
            _leave(account, i, open_, "signal", exact)
        go_long, go_short = long_entry and not long_exit, short_entry and not short_exit
        if not account.trade and go_long != go_short and account.cash > 0:
            _enter(account, i, 1 if go_long else -1, open_, exact)
        if account.trade and account.trade["stop"] is not None:
            stop = account.trade["stop"]
            if account.trade["side"] > 0 and low <= stop:
                _leave(account, i, min(stop, open_), "stop", exact)
            elif account.trade["side"] < 0 and high >= stop:
                _leave(account, i, max(stop, open_), "stop", exact)
        account.curve.append((account.cash, account.position, account.cash + account.position * close))
    if account.trade:
        trade, last = account.trade, Fraction(bars[-1][3])
        account.trades.append(
            trade | {"pnl": trade["side"] * trade["quantity"] * (last - trade["entry_fill"]) - trade["fees"]}
        )
    return account


def metrics(account: Account, ts_close: list[int], initial_cash: float) -> dict[str, float | None]:
    """The figures of a run, each from its definition."""
    equity = [row[2] for row in account.curve]
    closed = [t["pnl"] for t in account.trades if t["reason"] != "open"]
    wins, losses = [p for p in closed if p > 0], [p for p in closed if p < 0]
    elapsed = ts_close[-1] - ts_close[0]
    growth = equity[-1] / Fraction(initial_cash)
    cagr = float(growth) ** (365 * DAY_US / elapsed) - 1 if elapsed and growth > 0 else None
    drawdowns = [e / max(equity[: i + 1]) - 1 for i, e in enumerate(equity)]
    notional = sum((_notional(t) for t in account.trades), Fraction(0))
    sharpe, sortino = _daily_ratios(equity, ts_close)
    return {
        "total_return": float(growth - 1),
        "cagr": cagr,
        "sharpe_ratio": sharpe,
        "sortino_ratio": sortino,
        "calmar_ratio": cagr / -float(min(drawdowns)) if cagr is not None and min(drawdowns) < 0 else None,
        "max_drawdown": float(min(drawdowns)),
        "max_drawdown_duration": _longest_under_water(equity, ts_close) / DAY_US,
        "win_rate": len(wins) / len(closed) if closed else None,
        "profit_factor": float(sum(wins) / -sum(losses)) if losses else None,
        "exposure": sum(_held(t, ts_close) for t in account.trades) / elapsed if elapsed else None,
        "turnover": float(notional / (sum(equity) / len(equity))),
        "fees_paid": float(sum(t["fees"] for t in account.trades)),
        "n_trades": len(account.trades),
        "final_equity": float(equity[-1]),
    }


def _notional(trade: dict[str, Any]) -> Fraction:
    return trade["quantity"] * (trade["entry_fill"] + (trade["exit_fill"] or 0))


def _held(trade: dict[str, Any], ts_close: list[int]) -> int:
    last = {"open": len(ts_close) - 1, "stop": trade["exit_bar"], "signal": trade["exit_bar"] - 1}[trade["reason"]]
    return ts_close[last] - ts_close[trade["entry_bar"] - 1]


def _longest_under_water(equity: list[Fraction], ts_close: list[int]) -> int:
    longest = 0
    for i in range(1, len(equity)):
        before = equity[:i]
        top = max(before)
        last_at_top = max(k for k in range(i) if equity[k] == top)
        if equity[i] < top or any(e < top for e in before[last_at_top:]):
            longest = max(longest, ts_close[i] - ts_close[last_at_top])
    return longest


def _daily_ratios(equity: list[Fraction], ts_close: list[int]) -> tuple[float | None, float | None]:
    days = [(ts - 1) // DAY_US for ts in ts_close]
    closes, last = [], equity[0]
    for day in range(days[0], days[-1] + 1):
        last = next((e for e, d in reversed(list(zip(equity, days, strict=True))) if d == day), last)
        closes.append(last)
    if len(closes) < 3 or min(closes) <= 0:
        return None, None
    returns = [b / a - 1 for a, b in pairwise(closes)]
    n, mean = len(returns), sum(returns) / len(returns)
    variance = sum((r - mean) ** 2 for r in returns) / (n - 1)
    downside = sum(min(r, Fraction(0)) ** 2 for r in returns) / n
    ratio = float(mean) * sqrt(365)
    return ratio / sqrt(variance) if variance else None, ratio / sqrt(downside) if downside else None
