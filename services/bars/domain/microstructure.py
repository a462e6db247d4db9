"""The microstructure columns of a bar: order flow, price impact, spread, the rhythm of trades, jumps.

All are of the bar's own trades: with n trades, n - 1 changes of the price from each trade to the next, and n - 1 pauses
between them. A ratio is of two exact integers, rounded once, so a column is the same to the bit for any cut into
partitions and any scale that the symbol's numbers are kept on. What is not defined is NaN here, null in the table.

vpin         volume_imbalance = |bought - sold|, in volume. Over n bars VPIN is the sum of it over the sum of `volume`.
             Source: Easley, López de Prado and O'Hara (2012), The Review of Financial Studies 25(5), 1457-1493; López
             de Prado (2018), section 19.5.2. Where we depart: the sides are the exchange's, not bulk classified.
order_flow   signed_volume, signed_notional, signed_count: bought less sold, in volume, notional and trades.
             Source: Chordia, Roll and Subrahmanyam (2002), Journal of Financial Economics 65(1), 111-130.
kyle         kyle_lambda = sum of x d / sum of x x, for the change d of the price to a trade and the trade's signed
             volume x; kyle_sxy and kyle_sxx are these sums, so that over n bars lambda is a ratio of sums as well.
             Source: Kyle (1985), Econometrica 53(6), 1315-1335; as a regression without a constant López de Prado
             (2018), section 19.4.1.
amihud       amihud = |close / open - 1| / notional: what the source takes the mean of over days, for one bar.
             Source: Amihud (2002), Journal of Financial Markets 5(1), 31-56, equation 1. Where we depart: the return
             is from the bar's open, not from the close before.
roll         roll_covariance, of a change of the price and the one before it, over the n - 2 pairs, each mean taken off,
             divided by n - 3; roll_spread = 2 sqrt(-roll_covariance), not defined where the covariance is above 0.
             Source: Roll (1984), The Journal of Finance 39(4), 1127-1139; López de Prado (2018), section 19.3.2.
large_trades large_trade_share = the share of the notional in trades of `large_trade` or more, which is given: no later
             trade decides. Source: Barclay and Warner (1993), Journal of Financial Economics 34(3), 281-305, on trades
             by their size.
burstiness   burstiness = (s - m) / (s + m), m and s the mean and population deviation of the pauses: -1 a clock, 0
             chance (Poisson), towards 1 bursts. Not defined under two pauses, or where all are 0.
             Source: Goh and Barabási (2008), Europhysics Letters 81, 48002, equation 1.
jumps        realized_variance = sum of d d; bipower_variation = pi / 2 sum of |d| |d before| k / (k - 1) over the k
             changes that are not 0, at least 2; jump_share = max(0, 1 - bipower_variation / realized_variance).
             Source: Barndorff-Nielsen and Shephard (2004), Journal of Financial Econometrics 2(1), 1-37; the factor
             k / (k - 1) from Huang and Tauchen (2005), the same journal 3(4), 456-499. Where we depart: changes are in
             price, not in its logarithm (within a bar the two are proportional, but for the bar's own range); and those
             of 0 are left out (tick time), which stand between most trades and would make nearly every product 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from services.bars.kernels import microstructure as sums_of
from services.bars.kernels.aggregate import LIMIT
from tickloom.contracts.bars import Measure
from tickloom.kernel import F64, I64

Whole: TypeAlias = NDArray[np.object_]
"""(n_bars,) Python's integers, which have no limit and divide correctly rounded."""

NO_TRADE: Final = LIMIT + 1
"""As the notional of a large trade: none is."""


class Wanted(NamedTuple):
    """Which measures, from which notional a trade is large, and how price and quantity are counted."""

    measures: tuple[Measure, ...]
    large: int = NO_TRADE  # tick-lots
    price_scale: int = 0
    quantity_scale: int = 0


@dataclass(frozen=True)
class _Sums:
    """A bar's sums as Python's integers, and what they are counted in."""

    rows: I64
    bars: dict[str, I64]
    price: int  # ticks in 1
    quantity: int  # lots in 1

    def __getitem__(self, row: int) -> Whole:
        return _whole(self.rows[row])

    def products(self, row: int) -> Whole:
        """Return a sum of products, put together from its halves."""
        halves: Whole = _whole(self.rows[row]) * (1 << sums_of.HALF) + _whole(self.rows[row + 1])
        return halves

    def of(self, column: str) -> Whole:
        return _whole(self.bars[column])


def exact_columns(bars: dict[str, I64], rows: I64, wanted: Wanted) -> dict[str, I64]:
    """Return the columns that are whole numbers of units; `bars` and `rows` are as `ratios` takes them."""
    columns = {}
    signed = 2 * bars["buy_volume"] - bars["volume"]
    if "vpin" in wanted.measures:
        columns["volume_imbalance"] = np.abs(signed)
    if "order_flow" in wanted.measures:
        columns["signed_volume"] = signed
        columns["signed_notional"] = 2 * bars["buy_notional"] - bars["notional"]
        columns["signed_count"] = 2 * rows[sums_of.BUYS] - bars["n_trades"]
    return columns


def ratios(bars: dict[str, I64], rows: I64, wanted: Wanted) -> dict[str, F64]:
    """Return the columns that are not, (n_bars,) float64, NaN where one is not defined.

    bars  the columns of `aggregate` by name, (n_bars,)
    rows  the sums of `microstructure` for the same bars, (21, n_bars)
    """
    sums = _Sums(rows, bars, 10**wanted.price_scale, 10**wanted.quantity_scale)
    columns: dict[str, F64] = {}
    for measure, of in _RATIOS.items():
        if measure in wanted.measures:
            columns |= of(sums)
    return columns


def _kyle(sums: _Sums) -> dict[str, F64]:
    sxy, sxx = sums.products(sums_of.FLOW_CHANGE), sums.products(sums_of.FLOW_FLOW)
    pairs = np.minimum(sums[sums_of.SEEN] - 1, 1)  # 0: not one
    return {
        "kyle_lambda": _ratio(sxy * sums.quantity, sxx * sums.price),
        "kyle_sxy": _ratio(sxy, pairs * (sums.price * sums.quantity)),
        "kyle_sxx": _ratio(sxx, pairs * sums.quantity**2),
    }


def _amihud(sums: _Sums) -> dict[str, F64]:
    change = abs(sums.of("close") - sums.of("open"))
    return {"amihud": _ratio(change * (sums.price * sums.quantity), sums.of("open") * sums.of("notional"))}


def _roll(sums: _Sums) -> dict[str, F64]:
    moved, pairs = sums.of("close") - sums.of("open"), np.maximum(sums[sums_of.SEEN] - 2, 0)
    means = (moved - sums[sums_of.FIRST_CHANGE]) * (moved - sums[sums_of.LAST_CHANGE])
    top = pairs * sums.products(sums_of.CHANGE_CHANGE) - means
    bottom = pairs * np.maximum(pairs - 1, 0) * sums.price**2
    squared = _ratio(-4 * top, bottom)
    squared[squared < 0] = np.nan
    return {"roll_covariance": _ratio(top, bottom), "roll_spread": np.sqrt(squared)}


def _large_trades(sums: _Sums) -> dict[str, F64]:
    return {"large_trade_share": _ratio(sums[sums_of.LARGE], sums.of("notional"))}


def _burstiness(sums: _Sums) -> dict[str, F64]:
    pauses = sums[sums_of.SEEN] - 1
    span = sums.of("ts_last") - sums.of("ts_first")
    # s and m, each times the number of pauses: the square under the root and the span are exact.
    deviation = np.sqrt((pauses * sums.products(sums_of.PAUSE_PAUSE) - span * span).astype(np.float64))
    mean = np.where((pauses > 1) & (span > 0), span, np.nan).astype(np.float64)
    return {"burstiness": (deviation - mean) / (deviation + mean)}


def _jumps(sums: _Sums) -> dict[str, F64]:
    moves, square = sums[sums_of.N_MOVES], sums.products(sums_of.CHANGE_SQUARE)
    products, fewer = moves * sums.products(sums_of.MOVE_MOVE), np.maximum(moves - 1, 0)
    return {
        "realized_variance": _ratio(square, np.minimum(sums[sums_of.SEEN] - 1, 1) * sums.price**2),
        "bipower_variation": np.pi / 2 * _ratio(products, fewer * sums.price**2),
        "jump_share": np.maximum(1.0 - np.pi / 2 * _ratio(products, fewer * square), 0.0),
    }


_RATIOS: Final[dict[Measure, Callable[[_Sums], dict[str, F64]]]] = {
    "kyle": _kyle,
    "amihud": _amihud,
    "roll": _roll,
    "large_trades": _large_trades,
    "burstiness": _burstiness,
    "jumps": _jumps,
}


def _whole(values: I64) -> Whole:
    whole: Whole = values.astype(object)
    return whole


def _ratio(top: Any, bottom: Any) -> F64:
    """Return top / bottom, (n_bars,), each correctly rounded; NaN where bottom is 0."""
    ratio = np.full(bottom.shape, np.nan)
    known = np.flatnonzero(bottom)
    ratio[known] = top[known] / bottom[known]
    return ratio
