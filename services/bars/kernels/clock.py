"""Time bars: a bar for each interval of the clock that has trades, [start, end), aligned to the epoch."""

import numpy as np

from tickloom.kernel import I64, kernel


@kernel
def time_bar_ends(ts: I64, interval: int, opened: int, until: int) -> tuple[I64, int]:
    """Return the last trade of each bar that closes, and the start of the interval still open, or -1.

    ts        (n_trades,)  microseconds >= 0, non-decreasing, none before `opened`
    interval               microseconds, > 0
    opened                 start of the interval that has a bar open before ts[0]; -1: none
    until                  microseconds: no trade before it is still to come, so intervals that end by then close
    ends      (n_bars,)    strictly increasing indices into ts; the first is -1 where the bar open before ts[0] closes
                           without a trade from here

    A trade at an interval's end belongs to the next interval. Intervals without trades have no bar. Passing the open
    interval from one partition to the next equals one call on their concatenation. O(n_trades).
    """
    ends, n_bars = np.empty(ts.size + 1, np.int64), 0
    over = opened + interval if opened >= 0 else 0  # from when on a trade belongs to a later interval
    for i in range(ts.size):
        if ts[i] >= over:
            if opened >= 0:
                ends[n_bars] = i - 1
                n_bars += 1
            opened = ts[i] - ts[i] % interval
            over = opened + interval
    if opened >= 0 and opened + interval <= until:
        ends[n_bars] = ts.size - 1
        n_bars, opened = n_bars + 1, -1
    return ends[:n_bars].copy(), opened


@kernel
def runs_forwards(ts: I64, latest: int) -> bool:
    """Return whether no time of ts (n_trades,) is earlier than one before it, or than `latest`. No branches: fast."""
    if ts.size == 0:
        return True
    before, after, backwards = ts[:-1], ts[1:], 0
    for i in range(after.size):
        backwards |= after[i] < before[i]
    return ts[0] >= latest and backwards == 0


@kernel
def forwards(ts: I64, latest: int) -> I64:
    """Return ts (n_trades,) with each time that is earlier than one before it, or than `latest`, raised to that one."""
    raised = np.empty(ts.size, np.int64)
    for i in range(ts.size):
        latest = max(latest, ts[i])
        raised[i] = latest
    return raised
