"""Lines of trades to integer columns, and from there to the day they belong to: the fast lane.

A line in the form that exchanges write is read eight characters at a time; any other is given to the careful reader
of rows.py, so that both lanes read the same numbers and find the same faults. Decimals are units of 10**-8 here; a
value that is none (more places, or more than 18 digits) ends the fast lane with UNPACKED.
"""

from typing import Any, Final

import numpy as np

from services.download.kernels.rows import BLANK, OK, U8, parse_line
from services.download.kernels.shape import WORDS, is_alike, learn, units_in, whole_in
from services.download.kernels.swar import (
    NOT_HERE,
    boolean_at,
    byte_at,
    field_end,
    put_word,
    units_at,
    whole_at,
    word_at,
)
from tickloom.kernel import I64, inlined, kernel

TRADE_ID: Final = 0
TS: Final = 1
PRICE: Final = 2
QUANTITY: Final = 3
IS_BUYER_MAKER: Final = 4
FIRST_ID: Final = 5
LAST_ID: Final = 6
PLACES: Final = 8
"""What the rows of a block hold; FIRST_ID and LAST_ID for aggregate trades alone."""

WIDTHS: Final = 11 + 2 * WORDS
"""What parse_trades remembers: widths of ten fields, how many lines were unlike, two pieces of the line before."""

_UNLIKE, _HEAD, _TAIL = np.uint64(80), np.uint64(88), np.uint64(88 + 8 * WORDS)

UNPACKED: Final = 7
"""A fault of this lane alone: the line is well, and does not fit here."""

TAKEN, FULL, OTHER_DAY, UNORDERED = 0, 1, 2, 3
NO_PRICE, NO_QUANTITY, NO_ID, NO_RANGE = 4, 5, 6, 7
"""Why take_trades stopped."""

_U: Any = np.uint64
_ONE: Final = _U(1)
NOTHING: Final = (_U(0), _U(0), _U(0), _U(0), _U(0), _U(0), _U(0), NOT_HERE)
_COMMA, _LF, _CR = 44, 10, 13
_TEN: Final = np.array([10**n for n in range(PLACES + 1)], np.int64)
_LIMIT: Final = 10**18
_MILLISECONDS_BELOW: Final = 10**14  # domain/times.py


@inlined
def _fast_line(at: Any, aggregates: bool, best_match: bool, widths: Any) -> Any:
    """Return what a line at the address `at` holds, in the order of a block, and the address after it, or NOT_HERE."""
    head, tail, n_fields = widths + _HEAD, widths + _TAIL, 3 if aggregates else 1
    first, last, begin, n_unlike = _U(0), _U(0), at, 0
    if is_alike(at, head, 4):
        trade_id, price, at = whole_in(at, head, 0), units_in(at, head), at + word_at(head)
    else:
        trade_id, at = whole_at(at, widths, 0)
        if at == NOT_HERE or byte_at(at) != _COMMA:
            return NOTHING
        price, at = units_at(at + _ONE, widths, 1)
        if at == NOT_HERE or byte_at(at) != _COMMA:
            return NOTHING
        at, n_unlike = at + _ONE, 1
    quantity, at = units_at(at, widths, 3)
    if at == NOT_HERE or byte_at(at) != _COMMA:
        return NOTHING
    if not aggregates:
        at = field_end(at + _ONE, widths, 7)
    middle = at
    if is_alike(at, tail, 6):
        ts = whole_in(at, tail, n_fields - 1)
        if aggregates:
            first, last = whole_in(at, tail, 0), whole_in(at, tail, 1)
        at += word_at(tail)
    else:
        if aggregates:
            first, at = whole_at(at + _ONE, widths, 5)
            if at == NOT_HERE or byte_at(at) != _COMMA:
                return NOTHING
            last, at = whole_at(at + _ONE, widths, 6)
        if at == NOT_HERE or byte_at(at) != _COMMA:
            return NOTHING
        ts, at = whole_at(at + _ONE, widths, 8)
        if at == NOT_HERE or byte_at(at) != _COMMA:
            return NOTHING
        at, n_unlike = at + _ONE, 1
    if n_unlike:
        _learn(begin, middle, n_fields, widths)
    maker, at = boolean_at(at)
    if at == NOT_HERE:
        return NOTHING
    if best_match:
        if byte_at(at) != _COMMA:
            return NOTHING
        at = field_end(at + _ONE, widths, 9)
    if byte_at(at) == _CR:
        at += _ONE
    if byte_at(at) != _LF:
        return NOTHING
    return trade_id, ts, price, quantity, maker, first, last, at + _ONE


@kernel
def _learn(begin: Any, middle: Any, n_fields: int, widths: Any) -> None:
    """Take note of a line that is unlike those before; of every eighth, so that it does not matter if all are."""
    n = word_at(widths + _UNLIKE)
    put_word(widths + _UNLIKE, n + _ONE)
    if n % _U(8) == _U(0):
        learn(begin, widths + _HEAD, 2, 4, True)
        learn(middle, widths + _TAIL, n_fields + 1, 6, False)


@inlined
def _units(digits: int, places: int) -> tuple[int, bool]:
    """Return digits * 10**-places in units of 10**-8, and whether that is exact and below 10**18."""
    if places > PLACES:
        return 0, False
    factor = _TEN[PLACES - places]
    return digits * factor, abs(digits) <= (_LIMIT - 1) // factor


@kernel
def _careful_line(text: U8, at: int, kinds: I64, aggregates: bool, group: I64, n: int, row: I64) -> tuple[int, int]:
    """Fill column n of the group by way of a row of rows.py; return (position after the line, fault)."""
    after, fault = parse_line(text, at, kinds, row)
    if fault != OK:
        return at, fault
    price, price_fits = _units(row[1], row[2])
    quantity, quantity_fits = _units(row[3], row[4])
    if not (price_fits and quantity_fits):
        return at, UNPACKED
    group[TRADE_ID, n], group[PRICE, n], group[QUANTITY, n] = row[0], price, quantity
    slot = 5
    if aggregates:
        group[FIRST_ID, n], group[LAST_ID, n] = row[5], row[6]
        slot = 7
    group[TS, n], group[IS_BUYER_MAKER, n] = row[slot], row[slot + 1]
    return after, OK


@kernel
def parse_trades(
    text: U8,
    at: int,
    end: int,
    kinds: I64,
    aggregates: bool,
    best_match: bool,
    group: I64,
    begin: int,
    limit: int,
    row: I64,
    widths: Any,
) -> tuple[int, int, int]:
    """Parse lines of trades into a group; return (columns filled, position after them, fault of the next line).

    text        (n_bytes,)  swar.PADDING bytes or more after `end`
    at, end     where the lines begin and end: text[end - 1] is a line feed
    kinds       (n_columns,)  as parse_rows takes them: id, price, quantity, first and last id or a field to skip,
                time, boolean, and a field to skip when `best_match`
    group       (7 or 5, capacity)  filled from column `begin` to before `limit`: a column is a trade
    row         (width,)  a row as parse_rows fills it, to work in
    widths      (WIDTHS,)  uint64, zeros at first: what this kernel remembers of the line before

    Stops where parse_rows stops, with its faults, and before a line that does not fit: UNPACKED. O(n_bytes).
    """
    n, start, memory = begin, _U(text.ctypes.data), _U(widths.ctypes.data)
    while at < end and n < limit:
        trade_id, ts, price, quantity, maker, first, last, after = _fast_line(
            start + _U(at), aggregates, best_match, memory
        )
        if after != NOT_HERE:
            group[TRADE_ID, n], group[TS, n] = np.int64(trade_id), np.int64(ts)
            group[PRICE, n], group[QUANTITY, n] = np.int64(price), np.int64(quantity)
            group[IS_BUYER_MAKER, n] = np.int64(maker)
            if aggregates:
                group[FIRST_ID, n], group[LAST_ID, n] = np.int64(first), np.int64(last)
            at = np.int64(after - start)  # type: ignore[assignment]
        else:
            if text[at] == _LF or (text[at] == _CR and text[at + 1] == _LF):
                return n - begin, at, BLANK
            at, fault = _careful_line(text, at, kinds, aggregates, group, n, row)
            if fault != OK:
                return n - begin, at, fault
        n += 1
    return n - begin, at, OK


@kernel
def take_at_once(group: I64, begin: int, end: int, day: tuple[int, int], before: int) -> tuple[bool, int]:
    """Take columns begin..end - 1 of a group, begin < end, as they stand; return (whether they are well, n in ms).

    They are taken when take_trades would take every one of them: then their times are in microseconds afterwards.
    Else nothing is changed. `day` and `before` are as there.
    """
    ids, ts = group[TRADE_ID, begin:end], group[TS, begin:end]
    price, quantity = group[PRICE, begin:end], group[QUANTITY, begin:end]
    n_wrong = np.int64(ids[0] <= before)
    least, greatest = ts[0], ts[0]
    for i in range(ids.size):
        n_wrong += (price[i] <= 0) | (quantity[i] <= 0)
    for i in range(1, ids.size):
        n_wrong += ids[i] <= ids[i - 1]
    if group.shape[0] > FIRST_ID:
        first, last = group[FIRST_ID, begin:end], group[LAST_ID, begin:end]
        for i in range(ids.size):
            n_wrong += last[i] < first[i]
    for i in range(ts.size):
        least, greatest = min(least, ts[i]), max(greatest, ts[i])
    milliseconds = least > -_MILLISECONDS_BELOW and greatest < _MILLISECONDS_BELOW
    factor = 1000 if milliseconds else 1
    mixed = not milliseconds and least < _MILLISECONDS_BELOW
    if n_wrong or mixed or ids[0] < 0 or least * factor < day[0] or greatest * factor >= day[1]:
        return False, 0
    if milliseconds:
        for i in range(ts.size):
            ts[i] *= 1000
    return True, ts.size if milliseconds else 0


@kernel
def take_trades(
    group: I64, begin: int, end: int, period: tuple[int, int], day: tuple[int, int], before: int, at: int, capacity: int
) -> tuple[int, int, int, int, int, int]:
    """Take trades of one day among those that parse_trades left in a group, as long as nothing is amiss.

    group   (7 or 5, n)  columns begin..end - 1 are trades as parse_trades leaves them; those taken are moved to
            column `at` <= begin and on, times in microseconds
    period  first microsecond of the source's period, and the first after it
    day     the same of the day that the columns before `at` are of
    before  id of the trade before, below any id when there is none

    Returns (next column to look at, next column to fill, why it stopped, times in milliseconds, sentinels, trades of
    other periods); the last two are dropped on the way. Stops before a trade that is of another day, has an id not
    above that before, or cannot be a trade, and when `capacity` columns are filled.
    """
    n_milliseconds, n_sentinels, n_others, aggregates = 0, 0, 0, group.shape[0] > FIRST_ID
    for i in range(begin, end):
        ts: Any = group[TS, i]
        is_milliseconds: Any = np.int64(-_MILLISECONDS_BELOW < ts < _MILLISECONDS_BELOW)
        ts *= 1 + 999 * is_milliseconds
        fault = _fault(group, i, aggregates)
        if fault != TAKEN:
            if not (aggregates and _is_sentinel(group, i)):
                return i, at, fault, n_milliseconds, n_sentinels, n_others
            n_sentinels += 1
        elif ts < day[0] or ts >= day[1]:
            if period[0] <= ts < period[1]:
                return i, at, OTHER_DAY, n_milliseconds, n_sentinels, n_others
            n_others += 1
        else:
            if group[TRADE_ID, i] <= before:
                return i, at, UNORDERED, n_milliseconds, n_sentinels, n_others
            if at == capacity:
                return i, at, FULL, n_milliseconds, n_sentinels, n_others
            for row in range(group.shape[0]):
                group[row, at] = group[row, i]
            group[TS, at] = ts
            before, at = int(group[TRADE_ID, at]), at + 1
        n_milliseconds += is_milliseconds
    return end, at, TAKEN, n_milliseconds, n_sentinels, n_others


@inlined
def _fault(group: I64, i: int, aggregates: bool) -> int:
    """Return why column i cannot be a trade, or TAKEN."""
    if group[PRICE, i] <= 0:
        return NO_PRICE
    if group[QUANTITY, i] <= 0:
        return NO_QUANTITY
    if group[TRADE_ID, i] < 0:
        return NO_ID
    if aggregates and group[LAST_ID, i] < group[FIRST_ID, i]:
        return NO_RANGE
    return TAKEN


@kernel
def _is_sentinel(group: I64, i: int) -> bool:
    """Tell whether column i stands where a voided duplicate was: see domain/trades.py."""
    no_trade = group[PRICE, i] == 0 and group[QUANTITY, i] == 0
    return bool(no_trade and group[FIRST_ID, i] == -1 and group[LAST_ID, i] == -1)
