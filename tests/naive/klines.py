"""The slow and obvious way from an archive's text to klines, or to the name of what is wrong with it."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tests.naive.archives import day_of, each_line, fits
from tests.naive.download import row, value

NAMES = [
    "open_time ts_open", "open", "high", "low", "close", "volume", "close_time",
    "quote_volume quote_asset_volume notional", "count number_of_trades n_trades",
    "taker_buy_volume taker_buy_base_asset_volume buy_volume",
    "taker_buy_quote_volume taker_buy_quote_asset_volume buy_notional", "ignore",
]  # fmt: skip
INVERSE = {7: "quote_volume quote_asset_volume base_volume",
           10: "taker_buy_quote_volume taker_buy_quote_asset_volume buy_base_volume"}  # fmt: skip
MINUTE_US = 60_000_000
COLUMNS = ("ts_open", "open", "high", "low", "close", "volume", "notional", "n_trades", "buy_volume", "buy_notional")


@dataclass
class Found:
    """Klines of a minute in order, values by COLUMNS, and what was dropped."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    other_days: int = 0
    duplicates: int = 0


def read(text: bytes, inverse: bool, first: str, last: str) -> Found | str:
    """Return what a text holds between two days (ISO, both included), or the name of the error and the line.

    Of inverse futures nobody reads the amounts of base currency: their columns are None.
    """
    names = [INVERSE.get(at, name) if inverse else name for at, name in enumerate(NAMES)]
    rows: list[tuple[Any, ...]] = []
    return each_line(text, names, lambda line: _take(line, inverse, rows)) or _settled(rows, first, last)


def _take(line: bytes, inverse: bool, rows: list[tuple[Any, ...]]) -> str:
    skipped = {6, 11, 7, 10} if inverse else {6, 11}
    kinds = [0 if at in skipped else 1 if at in (0, 8) else 2 for at in range(12)]
    try:
        values = row(line.decode("ascii"), kinds)
    except UnicodeDecodeError:
        return "BadRow"
    if values is None:
        return "BadRow"
    rest, found = list(values), []
    for at in range(12):
        if kinds[at] == 1:
            found.append(rest.pop(0))
        elif kinds[at] == 2:
            found.append(value(rest.pop(0), rest.pop(0)))
        elif at in (7, 10):
            found.append(None)
    time, prices, amounts = found[0], found[1:5], found[5:]
    if min(prices) <= 0 or any(amount < 0 for amount in amounts if amount is not None):
        return "BadRow"
    if not fits(prices):
        return "DoesNotFit"
    opened, high, low, closed = prices
    if low > min(opened, closed) or high < max(opened, closed):
        return "BadRow"
    rows.append((time * 1000 if abs(time) < 10**14 else time, *found[1:]))
    return ""


def _settled(rows: list[tuple[Any, ...]], first: str, last: str) -> Found | str:
    kept = [one for one in rows if first <= day_of(one[0]) <= last]
    found = Found(other_days=len(rows) - len(kept))
    if found.other_days and not kept:
        return "WrongPeriod"
    days: list[str] = sorted({day_of(one[0]) for one in kept})
    runs: list[list[str]] = [days[:1]] if days else []
    for before, day in pairwise(days):
        follows = (date.fromisoformat(day) - date.fromisoformat(before)).days == 1 and day[:4] == before[:4]
        runs[-1].append(day) if follows else runs.append([day])
    for run in runs:
        fault = _run([one for one in kept if day_of(one[0]) in run], found)
        if fault:
            return fault
    return found


def _run(rows: list[tuple[Any, ...]], found: Found) -> str:
    by_time: dict[int, tuple[Any, ...]] = {}
    for one in rows:
        if by_time.setdefault(one[0], one) != one:
            return "ConflictingRows"
    found.duplicates += len(rows) - len(by_time)
    steps = [after - before for before, after in pairwise(sorted(by_time))]
    short = sum(step < MINUTE_US for step in steps)
    if len(steps) > 1 and (short * 10 > len(steps) or MINUTE_US not in steps):
        return "WrongInterval"
    ordered = [by_time[time] for time in sorted(by_time)]
    for group in ((1, 2, 3, 4), (5, 8), (6, 9)):
        values: list[Decimal] = [one[at] for one in ordered for at in group if one[at] is not None]
        if values and not fits(values):
            return "DoesNotFit"
    found.rows += ordered
    return ""
