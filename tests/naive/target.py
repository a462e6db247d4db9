"""Bars of a target a day the slow and obvious way: a day's threshold from all trades of the days before it."""

from collections.abc import Sequence
from fractions import Fraction

from tests.naive.bars import Bar

Trade = tuple[int, int, int, int, int]  # id, ts, price, quantity, side


def amount(trade: Trade, kind: str) -> int:
    return {"tick": 1, "volume": trade[3], "dollar": trade[2] * trade[3]}[kind]


def threshold(trades: Sequence[Trade], kind: str, target: int, days: int, now: int, length: int) -> Fraction | None:
    """Return the threshold of the day `now`, of days of so many microseconds; None before the first day is over."""
    past = sorted({trade[1] // length for trade in trades if trade[1] // length < now})[-days:]
    if not past:
        return None
    traded = sum(amount(trade, kind) for trade in trades if trade[1] // length in past)
    return Fraction(traded, len(past) * target)


def bars(
    trades: Sequence[Trade], kind: str, target: int, days: int, length: int
) -> tuple[list[tuple[Bar, Fraction | None]], Bar]:
    """Return the bars that close, each with the threshold in force, and the one left open at the end of its day."""
    closed: list[tuple[Bar, Fraction | None]] = []
    bar = Bar()
    for trade in trades:
        day = trade[1] // length
        wanted = threshold(trades, kind, target, days, day, length)
        if (
            wanted is not None
            and bar.trades
            and threshold(trades, kind, target, days, bar.trades[0][1] // length, length) is None
        ):
            closed.append((bar, None))  # midnight closes the bar of a day without a threshold
            bar = Bar()
        bar.trades.append(trade)
        if wanted is not None and sum(amount(one, kind) for one in bar.trades) >= wanted:
            closed.append((bar, wanted))
            bar = Bar()
    return closed, bar
