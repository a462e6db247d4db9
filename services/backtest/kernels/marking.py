"""Marking the account to the close of each bar: drawdowns, daily closes, the curve.

Between two fills cash and position stand still, so a stretch of bars is marked at once.
"""

from services.backtest.kernels.types import Curve, Marks, Prices
from tickloom.kernel import F64, inlined_borrowing


@inlined_borrowing
def write_stretch(
    prices: Prices, start: int, stop: int, cash: float, position: float, daily: F64, curve: Curve
) -> None:
    """Write the days and the curve of bars [start, stop) with `position` open at their closes. O(days) without a curve.

    daily  (n_days,)  written: the equity at the last close of each day whose last bar is in the stretch
    curve             written where it has room
    """
    if start >= stop:
        return
    until = prices.day[stop] if stop < prices.day.size else daily.size
    for day in range(prices.day[start], until):
        daily[day] = cash + position * prices.close[prices.last_bar[day]]
    if curve.equity.size:
        for i in range(start, stop):
            curve.cash[i], curve.position[i], curve.equity[i] = cash, position, cash + position * prices.close[i]


@inlined_borrowing
def mark_flat(prices: Prices, start: int, stop: int, cash: float, marks: Marks, daily: F64, curve: Curve) -> Marks:
    """Mark bars [start, stop) on which no position is open at the close. The arguments are those of `write_stretch`."""
    if start >= stop:
        return marks
    write_stretch(prices, start, stop, cash, 0.0, daily, curve)
    total = marks.equity_sum + cash * (stop - start)
    if cash < marks.peak:
        trough = min(marks.trough, cash)
        return Marks(marks.peak, marks.peak_bar, trough, marks.max_drawdown, marks.max_under_us, total)
    worst, longest = _ended(prices, start, marks)
    return Marks(cash, stop - 1, cash, worst, longest, total)


@inlined_borrowing
def _ended(prices: Prices, bar: int, marks: Marks) -> tuple[float, int]:
    """Return the deepest and the longest drawdown when the one that is under way, if any, ends at `bar`."""
    if marks.trough >= marks.peak:
        return marks.max_drawdown, marks.max_under_us
    under_us = prices.ts_close[bar] - prices.ts_close[marks.peak_bar]
    return min(marks.max_drawdown, marks.trough / marks.peak - 1.0), max(marks.max_under_us, under_us)


@inlined_borrowing
def drawdowns(prices: Prices, marks: Marks) -> tuple[float, int]:
    """Return the deepest drawdown and the longest time under water, up to the last close."""
    return _ended(prices, prices.close.size - 1, marks)
