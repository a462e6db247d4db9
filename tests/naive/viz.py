"""Slow, obvious twins of the viz stage's kernels and rules."""

from collections.abc import Sequence


def candles(bars: Sequence[dict[str, float]], max_candles: int) -> list[dict[str, float]]:
    """Merge bars (ts_close in microseconds) into candles, one at a time."""
    seconds: list[list[dict[str, float]]] = []
    for bar in bars:
        second = -int(-bar["ts_close"] // 1_000_000)
        if seconds and -int(-seconds[-1][-1]["ts_close"] // 1_000_000) == second:
            seconds[-1].append(bar)
        else:
            seconds.append([bar])
    run = 1
    while run * max_candles < len(seconds):
        run += 1
    merged = []
    for start in range(0, len(seconds), run):
        together = [bar for second in seconds[start : start + run] for bar in second]
        merged.append(
            {
                "time_s": -int(-together[-1]["ts_close"] // 1_000_000),
                "open": together[0]["open"],
                "high": max(bar["high"] for bar in together),
                "low": min(bar["low"] for bar in together),
                "close": together[-1]["close"],
                "volume": sum(bar["volume"] for bar in together),
            }
        )
    return merged


def outline(values: Sequence[float], n_groups: int) -> list[int]:
    """Keep the first, lowest, highest and last of each run of neighbours."""
    if len(values) <= 4 * n_groups:
        return list(range(len(values)))
    kept = set()
    for group in range(n_groups):
        rows = range(int(group * (len(values) / n_groups)), int((group + 1) * (len(values) / n_groups)))
        if group == n_groups - 1:
            rows = range(rows.start, len(values))
        kept |= {rows[0], rows[-1], min(rows, key=lambda i: (values[i], i)), max(rows, key=lambda i: (values[i], -i))}
    return sorted(kept)


def longest_under_days(ts: list[int], equity: list[float], initial_cash: float) -> float:
    """The longest time from a peak to the close that regained it, or to the end, in days: bar by bar."""
    peak, peak_ts, longest, under = initial_cash, ts[0], 0, False
    for at, value in zip(ts, equity, strict=True):
        if value >= peak:
            longest = max(longest, at - peak_ts if under else 0)
            peak, peak_ts, under = value, at, False
        else:
            under, longest = True, max(longest, at - peak_ts)
    return longest / 86_400_000_000
