"""The backtest again, slow and obvious: one bar after the other, in exact fractions.

Floats go in as the fractions that they are, so nothing here is rounded; the engine is to agree to 1e-9. Over a year of
bars the fractions grow too long: `decimals()` makes the same code work in 50 digits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import accumulate, pairwise
from math import floor, isnan, sqrt
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


class Twin:
    """The account and its one position, bar by bar. `volume`, `volatility` and `span` (years) are those of each bar."""

    def __init__(
        self, bars: list[Any], rules: dict[str, float], volume: Any = None, volatility: Any = None, unit: Any = None,
        span: Any = (),
    ) -> None:  # fmt: skip
        self.bars = [tuple(Fraction(price) for price in bar) for bar in bars]
        self.rules = {name: Fraction(value) for name, value in rules.items()}
        self.volume, self.volatility, self.unit, self.span = volume, volatility, unit, span
        self.account = Account(cash=self.rules["initial_cash"])
        self.order: dict[str, Any] | None = None

    def impact(self, bar: int, quantity: Fraction) -> Fraction:
        kind, cap = self.rules.get("impact_kind", 0), self.rules.get("impact_cap", Fraction(0))
        if not kind:
            return Fraction(0)
        volume = self.volume[bar]
        if volume <= 0:
            return cap
        share = quantity / Fraction(volume)
        if kind == 1:
            moved = share**2
        else:
            known = self.volatility[bar - 1] * sqrt(self.span[bar])
            if isnan(known):
                return cap
            moved = Fraction(known) * Fraction(sqrt(share))
        return min(cap, self.rules["impact"] * moved)

    def taken(self, bar: int, side: int, price: Fraction, quantity: Fraction) -> Fraction:
        return price * (1 + side * (self.rules["slippage_rate"] + self.impact(bar, quantity)))

    def stop(self, side: int, fill: Fraction, known: int) -> Fraction | None:
        """Where the stop-loss stands of what was signalled at bar `known`, None without one."""
        if multiple := self.rules.get("stop_multiple"):
            return fill - side * multiple * Fraction(self.unit[known])
        rate = self.rules["stop_loss_rate"]
        return fill * (1 - side * rate) if rate else None

    def quantity(self, bar: int, side: int, fill: Fraction, fee_rate: Fraction, known: int) -> Fraction:
        rules, cash = self.rules, self.account.cash
        if cash <= 0 or (rules.get("stop_multiple") and not self.unit[known] > 0):
            return Fraction(0)
        unit, sizing, leverage = fill * (1 + fee_rate), rules.get("sizing", 0), rules.get("leverage", Fraction(1))
        if sizing == 0:
            wanted = rules["fraction"] * leverage * cash / unit
        elif sizing == 1:
            wanted = rules["fraction"] / fill
        elif sizing == 2:
            known = self.volatility[bar - 1]
            wanted = rules["fraction"] / Fraction(known) * cash / unit if known > 0 else Fraction(0)
        else:
            stop = self.stop(side, fill, known)
            assert stop is not None
            stopped = max(stop, Fraction(0)) * (1 - side * rules["slippage_rate"])
            lost = side * (fill - stopped) + fee_rate * fill + rules["commission_rate"] * stopped
            wanted = rules["fraction"] * cash / lost
        wanted = min(wanted, leverage * cash / unit)
        if step := rules.get("lot_step"):
            wanted = floor(wanted / step + Fraction(1) / 10**9) * step
        return wanted if wanted * fill >= rules.get("min_notional", 0) else Fraction(0)

    def enter(self, bar: int, side: int, price: Fraction, kind: str, known: int, limit: Fraction | None = None) -> None:
        rules, account = self.rules, self.account
        fee_rate, fill = rules["commission_rate"] if kind == "market" else rules["maker_rate"], price
        if kind == "market":
            wanted = self.quantity(bar, side, price * (1 + side * rules["slippage_rate"]), fee_rate, known)
            fill = self.taken(bar, side, price, wanted)
            if limit is not None:
                fill = min(fill, limit) if side > 0 else max(fill, limit)
        quantity = self.quantity(bar, side, fill, fee_rate, known)
        if quantity <= 0:
            return
        fee = fill * quantity * fee_rate
        account.cash -= side * quantity * fill + fee
        account.position = side * quantity
        at = {name: fill * (1 + sign * side * rules.get(name, 0)) if rules.get(name) else None
              for name, sign in (("trailing_rate", -1), ("take_profit_rate", 1))}  # fmt: skip
        keep, held = rules.get("maintenance_rate", Fraction(0)), account.position
        liquidation = -account.cash / (held - keep * abs(held)) if keep and (side < 0 or account.cash < 0) else None
        account.trade = {
            "entry_bar": bar, "side": side, "quantity": quantity, "entry_fill": fill, "fees": fee, "exit_bar": -1,
            "exit_fill": None, "reason": "open", "target": at["take_profit_rate"], "kind": kind,
            "levels": {
                "stop": self.stop(side, fill, known), "liquidation": liquidation, "trailing_stop": at["trailing_rate"],
            },
        }  # fmt: skip

    def leave(self, bar: int, price: Fraction, reason: str) -> None:
        account, trade = self.account, self.account.trade
        assert trade is not None
        fill, fee_rate = price, self.rules.get("maker_rate", Fraction(0))
        if reason != "target":
            fill = self.taken(bar, -trade["side"], price, trade["quantity"])
            fee_rate = self.rules["commission_rate"]
        fee = fill * trade["quantity"] * fee_rate
        account.cash += account.position * fill - fee
        account.position = 0
        pnl = trade["side"] * trade["quantity"] * (fill - trade["entry_fill"]) - trade["fees"] - fee
        account.trades.append(
            trade | {"exit_bar": bar, "exit_fill": fill, "reason": reason, "fees": trade["fees"] + fee, "pnl": pnl}
        )
        account.trade = None

    def decide(self, i: int, known: int) -> None:
        """Act at the open of bar `i` on the mask that was known before it."""
        long_entry, long_exit, short_entry, short_exit = (bool(known & bit) for bit in (1, 2, 4, 8))
        trade, opened = self.account.trade, self.bars[i][0]
        if trade and (long_exit if trade["side"] > 0 else short_exit):
            self.leave(i, opened, "signal")
        if self.order and (i == self.order["last"] or (long_exit if self.order["side"] > 0 else short_exit)):
            self.order = None
        go_long, go_short = long_entry and not long_exit, short_entry and not short_exit
        if self.account.trade or self.order or go_long == go_short:
            return
        side = 1 if go_long else -1
        if bars := int(self.rules.get("limit_bars", 0)):
            limit = self.bars[i - 1][3] * (1 - side * self.rules["limit_rate"])
            self.order = {"side": side, "limit": limit, "first": i, "last": i + bars}
        else:
            self.enter(i, side, opened, "market", i - 1)

    def rest(self, i: int) -> None:
        """Fill the order that rests in the book, if bar `i` does."""
        if not self.order:
            return
        opened, high, low, _ = self.bars[i]
        side, limit, known = self.order["side"], self.order["limit"], self.order["first"] - 1
        is_better = opened < limit if side > 0 else opened > limit
        if i == self.order["first"] and (is_better or opened == limit):
            self.enter(i, side, opened, "market", known, limit)
        elif is_better:
            self.enter(i, side, opened, "gap", known)
        elif low < limit if side > 0 else high > limit:
            self.enter(i, side, limit, "inside", known)
        else:
            return
        self.order = None

    def guard(self, i: int) -> None:
        """End the trade within bar `i` if it reaches a stop or else a target; then move the trailing stop."""
        trade = self.account.trade
        if not trade:
            return None
        opened, high, low, close = self.bars[i]
        is_long, came_inside = trade["side"] > 0, trade["kind"] == "inside" and trade["entry_bar"] == i
        levels = {name: level for name, level in trade["levels"].items() if level is not None}
        best = close if came_inside else (high if is_long else low)
        target = trade["target"]
        if target is not None and not came_inside and (opened > target if is_long else opened < target):
            return self.leave(i, opened, "target")
        if levels:
            reason = max(levels, key=lambda name: trade["side"] * levels[name])
            level = levels[reason]
            if low <= level if is_long else high >= level:
                worse = min(level, opened) if is_long else max(level, opened)
                return self.leave(i, level if came_inside else worse, reason)
        if target is not None and (best > target if is_long else best < target):
            return self.leave(i, target, "target")
        if "trailing_stop" in levels:
            moved = best * (1 - trade["side"] * self.rules["trailing_rate"])
            nearer = max if is_long else min
            trade["levels"]["trailing_stop"] = nearer(levels["trailing_stop"], moved)
        return None

    def play(self, signal: list[int]) -> Account:
        """Trade the signal over all bars; what is open at the end is marked to the last close."""
        account = self.account
        for i, bar in enumerate(self.bars):
            if i:
                self.decide(i, signal[i - 1])
            self.rest(i)
            self.guard(i)
            account.curve.append((account.cash, account.position, account.cash + account.position * bar[3]))
        if account.trade:
            trade, last = account.trade, self.bars[-1][3]
            pnl = trade["side"] * trade["quantity"] * (last - trade["entry_fill"]) - trade["fees"]
            account.trades.append(trade | {"pnl": pnl})
        return account


def run(
    bars: list[tuple[float, float, float, float]], signal: list[int], rules: dict[str, float], **flow: Any
) -> Account:
    """Trade `signal` over `bars` of (open, high, low, close)."""
    return Twin(bars, rules, **flow).play(signal)


def metrics(account: Account, ts_close: list[int], initial_cash: float) -> dict[str, float | None]:
    """The figures of a run, each from its definition."""
    equity = [row[2] for row in account.curve]
    closed = [t["pnl"] for t in account.trades if t["reason"] != "open"]
    wins, losses = [p for p in closed if p > 0], [p for p in closed if p < 0]
    elapsed = ts_close[-1] - ts_close[0]
    growth = equity[-1] / Fraction(initial_cash)
    try:
        cagr = float(growth) ** (365 * DAY_US / elapsed) - 1 if elapsed and growth > 0 else None
    except OverflowError:  # no float is so large
        cagr = None
    drawdowns = [e / peak - 1 for e, peak in zip(equity, accumulate(equity, max), strict=True)]
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
    last = {"open": len(ts_close) - 1, "signal": trade["exit_bar"] - 1}.get(trade["reason"], trade["exit_bar"])
    return ts_close[last] - ts_close[trade["entry_bar"] - 1]


def _longest_under_water(equity: list[Fraction], ts_close: list[int]) -> int:
    longest, top, last_at_top, is_under = 0, equity[0], 0, False
    for i, e in enumerate(equity):
        is_under = is_under or e < top
        if is_under:
            longest = max(longest, ts_close[i] - ts_close[last_at_top])
        if e >= top:
            top, last_at_top, is_under = e, i, False
    return longest


def _daily_ratios(equity: list[Fraction], ts_close: list[int]) -> tuple[float | None, float | None]:
    days = [(ts - 1) // DAY_US for ts in ts_close]
    closes, last, last_of_day = [], equity[0], dict(zip(days, equity, strict=True))
    for day in range(days[0], days[-1] + 1):
        last = last_of_day.get(day, last)
        closes.append(last)
    if len(closes) < 3 or min(closes) <= 0:
        return None, None
    returns = [b / a - 1 for a, b in pairwise(closes)]
    n, mean = len(returns), sum(returns) / len(returns)
    variance = sum((r - mean) ** 2 for r in returns) / (n - 1)
    downside = sum(min(r, Fraction(0)) ** 2 for r in returns) / n
    ratio = float(mean) * sqrt(365)
    return ratio / sqrt(variance) if variance else None, ratio / sqrt(downside) if downside else None
