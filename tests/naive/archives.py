"""The slow and obvious way from an archive's text to days of trades, or to the name of what is wrong with it.

It takes the text whole, splits it, and keeps every number as a Decimal: no chunks, no lanes, no columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tests.naive.download import row, value

NAMES = {
    "aggTrades": ("agg_trade_id agg_id trade_id id", "price", "quantity qty", "first_trade_id first_id",
                  "last_trade_id last_id", "transact_time time timestamp ts", "is_buyer_maker"),
    "trades": ("id trade_id agg_trade_id agg_id", "price", "qty quantity", "quote_qty quote_quantity",
               "time timestamp ts transact_time", "is_buyer_maker"),
}  # fmt: skip
BEST_MATCH = "is_best_match was_the_trade_the_best_price_match"
LONGEST_LINE = 65_536
KINDS = {"aggTrades": [1, 2, 2, 1, 1, 1, 3], "trades": [1, 2, 2, 0, 1, 3]}


@dataclass
class Found:
    """Trades by day, (id, us, price, quantity, side, first id, last id) each, and what was dropped."""

    days: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    sentinels: int = 0
    other_days: int = 0
    duplicates: int = 0


def read(text: bytes, kind: str, best_match: bool, first: str, last: str) -> Found | str:
    """Return what a text holds between two days (ISO, both included), or the name of the error and the line."""
    names = [*NAMES[kind], BEST_MATCH] if best_match else list(NAMES[kind])
    rows: list[tuple[Any, ...]] = []
    fault = each_line(text, names, lambda line: "BadRow" if _take(line, kind, best_match, rows) else "")
    return fault or _by_day(rows, first, last)


def each_line(text: bytes, names: list[str], take: Callable[[bytes], str]) -> str:
    """Give each line but the header to `take`; return the first fault that it finds, a bad row with its line."""
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    lines = [line.removesuffix(b"\r") for line in lines]
    number = 1
    if lines and lines[0] and lines[0][:1] not in [bytes([c]) for c in b"0123456789+-."]:
        if len(lines[0]) > LONGEST_LINE:
            return "BadRow 1"
        if not _is_header(lines[0], names):
            return "BadHeader"
        lines, number = lines[1:], 2
    while lines and not lines[-1]:
        lines.pop()
    for at, line in enumerate(lines, number):
        if fault := take(line):
            return f"{fault} {at}" if fault == "BadRow" else fault
    return ""


def _is_header(line: bytes, wanted: list[str]) -> bool:
    names = [name.strip().lower() for name in line.decode("utf-8", "replace").split(",")]
    return len(names) == len(wanted) and all(name in known.split() for name, known in zip(names, wanted, strict=True))


def _take(line: bytes, kind: str, best_match: bool, rows: list[tuple[Any, ...]]) -> bool:
    """Add a line's trade to the rows; tell whether it is none."""
    kinds = KINDS[kind] + [0] * best_match
    try:
        values = row(line.decode("ascii"), kinds)
    except UnicodeDecodeError:
        return True
    if values is None:
        return True
    identity, price, quantity = values[0], value(*values[1:3]), value(*values[3:5])
    first, last = (values[5], values[6]) if kind == "aggTrades" else (None, None)
    time, maker = values[-2:]
    sentinel = kind == "aggTrades" and price == 0 and quantity == 0 and first == last == -1
    wrong_range = first is not None and last is not None and last < first
    if not sentinel and (price <= 0 or quantity <= 0 or identity < 0 or wrong_range):
        return True
    us = time * 1000 if abs(time) < 10**14 else time
    rows.append((sentinel, identity, us, price, quantity, -1 if maker else 1, first, last))
    return False


def _by_day(rows: list[tuple[Any, ...]], first: str, last: str) -> Found | str:
    found, days = Found(), {}
    for sentinel, *trade in rows:
        day = day_of(trade[1])
        if sentinel:
            found.sentinels += 1
        elif not first <= day <= last:
            found.other_days += 1
        else:
            days.setdefault(day, []).append(tuple(trade))
    before: set[int] = set()
    for day in sorted(days):
        by_id: dict[int, tuple[Any, ...]] = {}
        for trade in days[day]:
            if by_id.setdefault(trade[0], trade) != trade:
                return "ConflictingRows"
        found.duplicates += len(days[day]) - len(by_id)
        found.days[day] = [by_id[identity] for identity in sorted(by_id)]
        for column in (2, 3):
            if not fits([trade[column] for trade in found.days[day]]):
                return "DoesNotFit"
        if before & by_id.keys():
            return "ConflictingRows"
        before = set(by_id)
    if found.other_days and not days:
        return "WrongPeriod"
    return found


def day_of(us: int) -> str:
    seconds = us // 1_000_000
    if not -62_135_596_800 <= seconds < 253_402_300_800:  # the years that a date has
        return ""
    return datetime.fromtimestamp(seconds, UTC).date().isoformat() if seconds >= 0 else ""


def fits(values: list[Decimal]) -> bool:
    """Tell whether all values have at most 18 digits on the smallest scale that holds every one of them."""
    places = max(max(0, -int(one.normalize().as_tuple().exponent)) for one in values)
    return all(abs(int(one.scaleb(places))) < 10**18 for one in values)
