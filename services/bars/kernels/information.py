"""Imbalance and run bars: close a bar once its flow is more one-sided than the bars before it made one expect.

With b the aggressor's side of a trade, +1 or -1, and v what it counts (1, quantity or notional), a bar of T trades
closes at the first T at which

    imbalance:  |sum b v|                              >= max(E[T] |E[b v]|, imbalance_floor sqrt(E[T] E[v v]))
    run:        max(sum of v bought, sum of v sold)    >= E[T] max(E[v; b = 1], E[v; b = -1])

where E[T] is an exponential average of T over the bars before, and E[v], E[v v], E[b v] are such averages over the
trades before the bar, taken when it opens. E[v; b = 1] = (E[v] + E[b v]) / 2 is P[b = 1] E[v | b = 1]. The sums are
integers. The first bar has no expectation: it closes on its expected_trades-th trade, and it is the first expectation.

Source: López de Prado (2018), Advances in Financial Machine Learning, sections 2.3.2.1 to 2.3.2.3. Where we depart from
it: the side is the exchange's, not the tick rule's; >=; and the guards, without which the feedback runs away to one
trade a bar, or to one bar for ever. E[T] changes by a factor of `clamp` at most and stays in [floor, cap]. No less
imbalance is expected than chance makes of a balanced flow, whose standard deviation after E[T] trades is the square
root: it gets there after E[T] trades on average. A bar closes at the latest on its cap-th trade.
"""

from typing import Final, NamedTuple

import numpy as np

from tickloom.kernel import I8, I64, kernel

TRADES, VOLUME, DOLLARS = 0, 1, 2
"""What a trade counts."""

NEVER: Final = 4 * 10**18
"""More than any flow can be: sums stay below 10**18."""

MOST: Final = 3e18
"""The largest level, no less out of reach."""

GUARDS: Final = ("clamp", "floor", "cap", "imbalance_floor", "length_cap")
"""What `fired` counts, in bars: E[T] changed less, raised, lowered; imbalance expected raised; bar closed by length."""

CLAMP, FLOOR, CAP, IMBALANCE_FLOOR, LENGTH_CAP = 0, 1, 2, 3, 4


class Tuning(NamedTuple):
    """What does not change from bar to bar."""

    measure: int  # TRADES, VOLUME or DOLLARS
    runs: bool  # run bars, else imbalance bars
    first: int  # trades of the first bar, >= 1
    last: int  # trades of the longest bar, >= 1
    bars_gain: float  # weight of the newest bar, of the newest trade: 2 / (window + 1)
    trades_gain: float
    floor: float  # least and most of E[T], and the factor by which it may change
    cap: float
    clamp: float
    imbalance_floor: float  # least imbalance expected, in standard deviations of a balanced flow; 0 for run bars


class Expected(NamedTuple):
    """What the bars and trades so far make one expect. In the first bar the averages are still sums."""

    trades: float  # E[T]
    signed: float  # E[b v], of all trades so far
    total: float  # E[v], likewise
    square: float  # E[v v], likewise
    level: int  # of the bar that is open: the flow by which it closes, doubled for runs; NEVER in the first bar


@kernel
def information_bar_ends(
    price: I64, quantity: I64, side: I8, opened: I64, expected: Expected, tuning: Tuning
) -> tuple[I64, I64, Expected, I64]:
    """Return the last trade of each bar that closes, what is open, what to expect, and how often each guard fired.

    price, quantity, side  (n_trades,)  in id order, price and quantity > 0, side +1 or -1; every price * quantity is
                                        below 10**18
    opened    (3,)         the bar open before the first trade: its trades, what they count, and bought less sold;
                           as is the one returned
    expected               as of the last trade before the first; level NEVER where no bar has closed yet
    ends      (n_bars,)    strictly increasing indices into price
    fired     (5,)         by GUARDS

    The averages are float64, one multiplication and addition a trade in the order of the trades, so any cut into
    partitions gives the same bits. A bar's sums are the caller's to hold below 10**18. O(n_trades).
    """
    ends, n_bars, fired = np.empty(side.size, np.int64), 0, np.zeros(len(GUARDS), np.int64)
    n_trades, traded, flow = opened[0], opened[1], opened[2]
    trades, signed, total, square, level = expected
    gain, keep, last = tuning.trades_gain, 1.0 - tuning.trades_gain, tuning.last
    if level == NEVER:
        gain, keep, last = 1.0, 1.0, tuning.first
    for i in range(side.size):
        amount = 1
        if tuning.measure != TRADES:
            amount = quantity[i]
            if tuning.measure == DOLLARS:
                amount *= price[i]
        value = float(amount)
        n_trades, traded, flow = n_trades + 1, traded + amount, flow + amount * side[i]
        signed, total = keep * signed + gain * (value * side[i]), keep * total + gain * value
        square = keep * square + gain * (value * value)
        reached = abs(flow) + traded if tuning.runs else abs(flow)
        if reached >= level or n_trades >= last:
            if level == NEVER:
                signed, total, square = signed / n_trades, total / n_trades, square / n_trades
                gain, keep, last = tuning.trades_gain, 1.0 - tuning.trades_gain, tuning.last
            elif reached < level:
                fired[LENGTH_CAP] += 1
            trades, level = _learnt(Expected(trades, signed, total, square, level), n_trades, tuning, fired)
            ends[n_bars], n_bars = i, n_bars + 1
            n_trades, traded, flow = 0, 0, 0
    left = np.array([n_trades, traded, flow], np.int64)
    return ends[:n_bars].copy(), left, Expected(trades, signed, total, square, level), fired


@kernel
def _learnt(before: Expected, n_trades: int, tuning: Tuning, fired: I64) -> tuple[float, int]:
    """Return E[T] after a bar of so many trades, and the next bar's level; count in `fired` the guards that it took."""
    trades = float(n_trades)
    if before.level != NEVER:
        trades = before.trades + tuning.bars_gain * (trades - before.trades)
        clamped = min(max(trades, before.trades / tuning.clamp), before.trades * tuning.clamp)
        fired[CLAMP] += clamped != trades
        trades = clamped
    fired[FLOOR] += trades < tuning.floor
    fired[CAP] += trades > tuning.cap
    trades = min(max(trades, tuning.floor), tuning.cap)
    if tuning.runs:
        level = trades * (before.total + abs(before.signed))
    else:
        level, chance = trades * abs(before.signed), tuning.imbalance_floor * np.sqrt(trades * before.square)
        fired[IMBALANCE_FLOOR] += chance > level
        level = max(level, chance)
    return trades, int(min(max(np.ceil(level), 1.0), MOST))
