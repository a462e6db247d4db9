"""The slow and obvious reader of archive text: split, Decimal, int. None stands for a line that is no row."""

import re
from decimal import Decimal

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,18})?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def decimal(text: str) -> tuple[int, int] | None:
    """Return (digits, places) with as few places as can be, or None."""
    if not NUMBER.fullmatch(text):
        return None
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("+-").partition(".")
    fraction = fraction.rstrip("0")
    digits, places = int((whole + fraction) or "0"), len(fraction) - int(exponent or "0")
    if digits == 0:
        return 0, 0
    if abs(places) > 400:
        return None
    while places > 0 and digits % 10 == 0:
        digits, places = digits // 10, places - 1
    if places < 0:
        digits, places = digits * 10**-places, 0
    if digits >= 10**18 or places > 18:
        return None
    return (-digits if text.startswith("-") else digits), places


def integer(text: str) -> int | None:
    """Return a whole number of at most 18 digits (leading zeros aside), or None."""
    if not WHOLE.fullmatch(text) or abs(int(text)) >= 10**18:
        return None
    return int(text)


def boolean(text: str) -> int | None:
    return {"true": 1, "false": 0}.get(text.lower())


def row(line: str, kinds: list[int]) -> list[int] | None:
    """Return one line's integers, or None where it is no row. Kinds: 0 skip, 1 integer, 2 decimal, 3 boolean."""
    fields = line.split(",")
    if len(fields) != len(kinds) or not line.isascii():
        return None
    values: list[int] = []
    for text, kind in zip(fields, kinds, strict=True):
        if kind == 2:
            pair = decimal(text)
            if pair is None:
                return None
            values += pair
        elif kind:
            value = integer(text) if kind == 1 else boolean(text)
            if value is None:
                return None
            values.append(value)
    return values


def value(digits: int, places: int) -> Decimal:
    return Decimal(int(digits)).scaleb(-int(places))


def difference(left: dict[int, tuple], right: dict[int, tuple]) -> tuple[int, int, int]:
    """Return how many ids only the left has, only the right has, and how many of both have other rows."""
    both = left.keys() & right.keys()
    return len(left.keys() - both), len(right.keys() - both), sum(left[i] != right[i] for i in both)


def united(monthly: dict[int, str], daily: dict[int, str]) -> dict[int, str]:
    """Return the rows by id that a month's and a day's archive make together."""
    rows = dict(monthly)
    for i, row in daily.items():
        rows[i] = row
    return rows


def holes(ids: set[int]) -> list[tuple[int, int]]:
    """Return the ids on both sides of each hole, by asking every number whether it is there."""
    found, before = [], None
    for i in range(min(ids), max(ids) + 1):
        if i in ids:
            if before is not None and before < i - 1:
                found.append((before, i))
            before = i
    return found


def doubtful_days(days: dict[int, set[int]]) -> set[int]:
    """Return the days, by number, that hold or border a missing id: those of the known ids on both sides of it."""
    day_of = {i: day for day, ids in days.items() for i in ids}
    return {day_of[edge] for hole in holes(set(day_of)) for edge in hole} if day_of else set()
