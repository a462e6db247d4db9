"""The cuts that no seed decides: at the moments, and with the prices, that bring out what drawn ones may miss."""

from collections.abc import Iterator, Sequence
from typing import Final

from cli.lookahead.cuts import POISONS, Cut, Times

WARMUPS: Final = 4
"""Ends of warm-ups at which the data are cut, the shortest and the longest among them."""
FILLS: Final = 4
"""Opens with a fill right after which the data are cut, the first and the last among them."""


def fixed_cuts(symbols: Sequence[Times], fills: int = FILLS) -> list[Cut]:
    """Return the cuts that every probe makes, in the order of time; none without a bar.

    After the first bar and at the end of warm-ups, where values that were filled in backwards are; right after opens
    with a fill, where orders that knew their bar are; halfway and in the last bar, there with every poison, for what
    depends on how all ends (a universe of later winners, a scale of all data) depends on which way the prices go.
    Of the symbol with the most bars, or most fills; the first of several.

    fills  opens with a fill at most right after which to cut, 2 or more
    """
    symbols = [times for times in symbols if times.close.size]
    if not symbols:
        return []
    longest, traded = max(symbols, key=lambda of: of.close.size), max(symbols, key=lambda of: of.fills.size)
    found: set[Cut] = set()
    for k, ts in enumerate(_told(symbols, longest, _early(longest))):
        found |= {Cut(ts), Cut(ts, ("doubled", "mirrored")[k % 2])}
    for ts in (int(traded.first[bar]) + 1 for bar in _spread(traded.fills.tolist(), fills)):
        if all(of.tells(ts) for of in symbols):
            found |= {Cut(ts), Cut(ts, "halved")}
    n_bars = longest.close.size
    ends = [*_told(symbols, longest, [n_bars // 2]), int(longest.first[-1]) + 1]
    for ts in ends:
        if all(of.tells(ts) for of in symbols):
            found |= {Cut(ts, poison) for poison in ("", *POISONS)}
    return sorted(found, key=lambda cut: (cut.ts, cut.poison))


def _early(times: Times) -> list[int]:
    """Return the bars after whose close a value may be there that only later bars can have given: rising."""
    waits = [wait for wait in times.warmup if 0 < wait < times.close.size]
    return sorted({0} | {wait - 1 for wait in _spread(waits, WARMUPS)})


def _spread(values: Sequence[int], n: int) -> list[int]:
    """Return at most `n` of the values, from the first to the last as evenly as can be."""
    last = len(values) - 1
    return list(dict.fromkeys(values[round(k * last / (n - 1))] for k in range(n))) if values else []


def _told(symbols: Sequence[Times], times: Times, bars: Sequence[int]) -> Iterator[int]:
    """Yield the moment right after each bar's close, or after the next one that data which end there tell of."""
    for bar in bars:
        moments = (int(close) + 1 for close in times.close[bar:])
        told = next((ts for ts in moments if all(of.tells(ts) for of in symbols)), None)
        if told is not None:
            yield told
