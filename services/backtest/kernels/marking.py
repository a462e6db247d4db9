"""Marking the account to the close of each bar: drawdowns, daily closes, the curve.

Between two fills cash and position stand still, so a stretch of bars is marked at once.
"""

from services.backtest.kernels.types import Curve, Marks, Prices
from tickloom.kernel import F64, kernel


@kernel
def mark_flat(prices: Prices, start: int, stop: int, cash: float, marks: Marks, daily: F64, curve: Curve) -> Marks:
    """Mark bars [start, stop) on which no position is open at the close. O(days), plus O(bars) to keep the curve.

    daily  (n_days,)  written: the equity at the last close of each day
    curve             written where it has room
    """
    if start >= stop:
        return marks
    daily[prices.day[start] : prices.day[stop - 1] + 1] = cash
    if curve.equity.size:
        curve.cash[start:stop], curve.position[start:stop], curve.equity[start:stop] = cash, 0.0, cash
    total = marks.equity_sum + cash * (stop - start)
    last = prices.ts_close[stop - 1]
    if cash >= marks.peak:
        regained = prices.ts_close[start] - marks.peak_ts if marks.is_under else 0
        return Marks(cash, last, False, marks.max_drawdown, max(marks.max_under_us, regained), total)
    worst = min(marks.max_drawdown, cash / marks.peak - 1.0)
    return Marks(marks.peak, marks.peak_ts, True, worst, max(marks.max_under_us, last - marks.peak_ts), total)


@kernel
def mark_held(
    prices: Prices, start: int, stop: int, cash: float, position: float, marks: Marks, daily: F64, curve: Curve
) -> Marks:
    """Mark bars [start, stop) on which `position` is open at the close; the arguments are those of `mark_flat`."""
    peak, peak_ts, is_under, worst, longest, total = marks
    for i in range(start, stop):
        equity = cash + position * prices.close[i]
        daily[prices.day[i]] = equity
        total += equity
        if equity >= peak:
            if is_under:
                longest = max(longest, prices.ts_close[i] - peak_ts)
            peak, peak_ts, is_under = equity, prices.ts_close[i], False
        else:
            is_under = True
            worst = min(worst, equity / peak - 1.0)
            longest = max(longest, prices.ts_close[i] - peak_ts)
        if curve.equity.size:
            curve.cash[i], curve.position[i], curve.equity[i] = cash, position, equity
    return Marks(peak, peak_ts, is_under, worst, longest, total)
