"""Bars the slow and obvious way: one trade after another, in Python integers and fractions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd


@dataclass
class Bar:
    """The trades of one bar: (id, ts, price, quantity, side); the first may be the rest of one of the bar before."""

    trades: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    begins_with_rest: bool = False

    def row(self) -> dict[str, int]:
        prices = [p for _, _, p, _, _ in self.trades]
        bought = [(p, q) for _, _, p, q, side in self.trades if side > 0]
        return {
            "ts_first": self.trades[0][1],
            "ts_last": self.trades[-1][1],
            "first_trade_id": self.trades[0][0],
            "last_trade_id": self.trades[-1][0],
            "open": prices[0],
            "high": max(prices),
            "low": min(prices),
            "close": prices[-1],
            "volume": sum(q for _, _, _, q, _ in self.trades),
            "notional": sum(p * q for _, _, p, q, _ in self.trades),
            "n_trades": len(self.trades) - self.begins_with_rest,
            "buy_volume": sum(q for _, q in bought),
            "buy_notional": sum(p * q for p, q in bought),
        }


def bars(trades: Sequence[tuple[int, int, int, int, int]], kind: str, size: int) -> tuple[list[Bar], Bar]:
    """Return the bars that close and the one left open."""
    closed, bar = [], Bar()
    for trade in trades:
        if kind == "time" and bar.trades and bar.trades[0][1] // size != trade[1] // size:
            closed.append(bar)
            bar = Bar()
        bar.trades.append(trade)
        reached = {
            "tick": len(bar.trades),
            "volume": sum(q for _, _, _, q, _ in bar.trades),
            "dollar": sum(p * q for _, _, p, q, _ in bar.trades),
            "range": max(p for _, _, p, _, _ in bar.trades) - min(p for _, _, p, _, _ in bar.trades),
            "time": -1,
        }[kind]
        if reached >= size:
            closed.append(bar)
            bar = Bar()
    return closed, bar


def grid_bars(
    trades: Sequence[tuple[int, int, int, int, int]], kind: str, size: int, cut: bool, unit: int = 1
) -> tuple[list[Bar], Bar]:
    """Return the bars that close where all that was traded passes a multiple of size, trades whole or cut to lots.

    unit  what a lot is at first, a power of ten; then it is the finest that a quantity so far needed
    """
    closed, bar, total = [], Bar(), 0
    for i, ts, price, quantity, side in trades:
        while quantity % unit:
            unit //= 10
        lot = unit if kind == "dollar" else gcd(unit, size)
        lots = [lot] * (quantity // lot) if cut else [quantity]
        is_rest = False
        for lot in lots:
            before = total // size
            total += lot * (price if kind == "dollar" else 1)
            if is_rest and bar.trades:
                bar.trades[-1] = (i, ts, price, bar.trades[-1][3] + lot, side)
            else:
                bar.begins_with_rest = bar.begins_with_rest or is_rest
                bar.trades.append((i, ts, price, lot, side))
            is_rest = True
            if total // size > before:
                closed.append(bar)
                bar = Bar()
    return closed, bar


def renko_bars(trades: Sequence[tuple[int, int, int, int, int]], size: int) -> tuple[list[Bar], Bar, list[int]]:
    """Return the bars, the one left open, and the bricks of each: brick by brick."""
    closed, bar, bricks, way = [], Bar(), [], 0
    level = trades[0][2] // size * size if trades else 0
    for trade in trades:
        bar.trades.append(trade)
        done = 0
        while trade[2] >= level + size * (2 if way < 0 else 1):
            level, done, way = level + size * (2 if way < 0 else 1), done + 1, 1
        while done <= 0 and trade[2] <= level - size * (2 if way > 0 else 1):
            level, done, way = level - size * (2 if way > 0 else 1), done - 1, -1
        if done:
            closed.append(bar)
            bricks.append(done)
            bar = Bar()
    return closed, bar, bricks


def ends(trades: Sequence[tuple[int, int, int, int, int]], kind: str, size: int) -> list[int]:
    """Return the index of the last trade of each bar that closes."""
    closed, _ = bars(trades, kind, size)
    out, count = [], 0
    for bar in closed:
        count += len(bar.trades)
        out.append(count - 1)
    return out
