"""Bars the slow and obvious way: one trade after another, in Python integers and fractions."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Bar:
    """The trades of one bar: (id, ts, price, quantity, side)."""

    trades: list[tuple[int, int, int, int, int]] = field(default_factory=list)

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
            "n_trades": len(self.trades),
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
            "time": -1,
        }[kind]
        if reached >= size:
            closed.append(bar)
            bar = Bar()
    return closed, bar


def ends(trades: Sequence[tuple[int, int, int, int, int]], kind: str, size: int) -> list[int]:
    """Return the index of the last trade of each bar that closes."""
    closed, _ = bars(trades, kind, size)
    out, count = [], 0
    for bar in closed:
        count += len(bar.trades)
        out.append(count - 1)
    return out
