"""Lines of trades to integer columns, and from there to the day they belong to: the fast lane.

A line in the form that exchanges write is read eight characters at a time; any other is given to the careful reader
of rows.py, so that both lanes read the same numbers and find the same faults. Decimals are units of 10**-8 here; a
value that is none (more places, or more than 18 digits) ends the fast lane with UNPACKED.
"""

from typing import Any, Final

import numpy as np

from services.download.kernels.rows import BLANK, OK, U8, parse_line
from services.download.kernels.swar import NOT_HERE, boolean_at, byte_at, field_end, units_at, whole_at
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

WIDTHS: Final = 10

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
    first, last = _U(0), _U(0)
    trade_id, at = whole_at(at, widths, 0)
    if at == NOT_HERE or byte_at(at) != _COMMA:
        return NOTHING
    price, at = units_at(at + _ONE, widths, 1)
    if at == NOT_HERE or byte_at(at) != _COMMA:
        return NOTHING
    quantity, at = units_at(at + _ONE, widths, 3)
    if at == NOT_HERE or byte_at(at) != _COMMA:
        return NOTHING
    if aggregates:
        first, at = whole_at(at + _ONE, widths, 5)
        if at == NOT_HERE or byte_at(at) != _COMMA:
            return NOTHING
        last, at = whole_at(at + _ONE, widths, 6)
    else:
        at = field_end(at + _ONE, widths, 7)
    if at == NOT_HERE or byte_at(at) != _COMMA:
        return NOTHING
    ts, at = whole_at(at + _ONE, widths, 8)
    if at == NOT_HERE or byte_at(at) != _COMMA:
        return NOTHING
    maker, at = boolean_at(at + _ONE)
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


@inlined
def _units(digits: int, places: int) -> tuple[int, bool]:
    """Return digits * 10**-places in units of 10**-8, and whether that is exact and below 10**18."""
    if places > PLACES:
        return 0, False
    factor = _TEN[PLACES - places]
    return digits * factor, abs(digits) <= (_LIMIT - 1) // factor


@kernel
def _careful_line(text: U8, at: int, kinds: I64, aggregates: bool, block: I64, n: int, row: I64) -> tuple[int, int]:
    """Fill column n of the block by way of a row of rows.py; return (position after the line, fault)."""
    after, fault = parse_line(text, at, kinds, row)
    if fault != OK:
        return at, fault
    price, price_fits = _units(row[1], row[2])
    quantity, quantity_fits = _units(row[3], row[4])
    if not (price_fits and quantity_fits):
        return at, UNPACKED
    block[TRADE_ID, n], block[PRICE, n], block[QUANTITY, n] = row[0], price, quantity
    slot = 5
    if aggregates:
        block[FIRST_ID, n], block[LAST_ID, n] = row[5], row[6]
        slot = 7
    block[TS, n], block[IS_BUYER_MAKER, n] = row[slot], row[slot + 1]
    return after, OK


@kernel
def parse_trades(
    text: U8, at: int, end: int, kinds: I64, aggregates: bool, best_match: bool, block: I64, row: I64, widths: Any
) -> tuple[int, int, int]:
    """Parse lines of trades into a block; return (columns filled, position after them, fault of the next line).

    text        (n_bytes,)  swar.PADDING bytes or more after `end`
    at, end     where the lines begin and end: text[end - 1] is a line feed
    kinds       (n_columns,)  as parse_rows takes them: id, price, quantity, first and last id or a field to skip,
                time, boolean, and a field to skip when `best_match`
    block       (7 or 5, capacity)  filled from column 0: a column is a trade
    row         (width,)  a row as parse_rows fills it, to work in
    widths      (WIDTHS,)  uint64, zeros at first: what this kernel remembers of the line before

    Stops where parse_rows stops, with its faults, and before a line that does not fit: UNPACKED. O(n_bytes).
    """
    n, start, memory = 0, _U(text.ctypes.data), _U(widths.ctypes.data)
    while at < end and n < block.shape[1]:
        trade_id, ts, price, quantity, maker, first, last, after = _fast_line(
            start + _U(at), aggregates, best_match, memory
        )
        if after != NOT_HERE:
            block[TRADE_ID, n], block[TS, n] = np.int64(trade_id), np.int64(ts)
            block[PRICE, n], block[QUANTITY, n] = np.int64(price), np.int64(quantity)
            block[IS_BUYER_MAKER, n] = np.int64(maker)
            if aggregates:
                block[FIRST_ID, n], block[LAST_ID, n] = np.int64(first), np.int64(last)
            at = np.int64(after - start)  # type: ignore[assignment]
        else:
            if text[at] == _LF or (text[at] == _CR and text[at + 1] == _LF):
                return n, at, BLANK
            at, fault = _careful_line(text, at, kinds, aggregates, block, n, row)
            if fault != OK:
                return n, at, fault
        n += 1
    return n, at, OK


@kernel
def take_trades(
    block: I64, begin: int, end: int, period: tuple[int, int], day: tuple[int, int], before: int, group: I64, at: int
) -> tuple[int, int, int, int, int, int]:
    """Move trades of one day from a block into a group of rows, as long as nothing is amiss.

    block   (7 or 5, capacity)  columns begin..end - 1 are trades as parse_trades leaves them
    period  first microsecond of the source's period, and the first after it
    day     the same of the day that the group is of
    before  id of the trade before, below any id when there is none
    group   (7 or 5, capacity)  filled from column `at` on, times in microseconds

    Returns (next of the block, next of the group, why it stopped, times in milliseconds, sentinels, trades of other
    periods); the last three are dropped on the way. Stops before a trade that is of another day, has an id not above
    that before, or cannot be a trade, and when the group is full.
    """
    n_milliseconds, n_sentinels, n_others, aggregates = 0, 0, 0, block.shape[0] > FIRST_ID
    for i in range(begin, end):
        ts: Any = block[TS, i]
        is_milliseconds: Any = np.int64(-_MILLISECONDS_BELOW < ts < _MILLISECONDS_BELOW)
        ts *= 1 + 999 * is_milliseconds
        fault = _fault(block, i, aggregates)
        if fault != TAKEN:
            if not (aggregates and _is_sentinel(block, i)):
                return i, at, fault, n_milliseconds, n_sentinels, n_others
            n_sentinels += 1
        elif ts < day[0] or ts >= day[1]:
            if period[0] <= ts < period[1]:
                return i, at, OTHER_DAY, n_milliseconds, n_sentinels, n_others
            n_others += 1
        else:
            if block[TRADE_ID, i] <= before:
                return i, at, UNORDERED, n_milliseconds, n_sentinels, n_others
            if at == group.shape[1]:
                return i, at, FULL, n_milliseconds, n_sentinels, n_others
            for row in range(block.shape[0]):
                group[row, at] = block[row, i]
            group[TS, at] = ts
            before, at = int(block[TRADE_ID, i]), at + 1
        n_milliseconds += is_milliseconds
    return end, at, TAKEN, n_milliseconds, n_sentinels, n_others


@inlined
def _fault(block: I64, i: int, aggregates: bool) -> int:
    """Return why column i cannot be a trade, or TAKEN."""
    if block[PRICE, i] <= 0:
        return NO_PRICE
    if block[QUANTITY, i] <= 0:
        return NO_QUANTITY
    if block[TRADE_ID, i] < 0:
        return NO_ID
    if aggregates and block[LAST_ID, i] < block[FIRST_ID, i]:
        return NO_RANGE
    return TAKEN


@kernel
def _is_sentinel(block: I64, i: int) -> bool:
    """Tell whether column i stands where a voided duplicate was: see domain/trades.py."""
    no_trade = block[PRICE, i] == 0 and block[QUANTITY, i] == 0
    return bool(no_trade and block[FIRST_ID, i] == -1 and block[LAST_ID, i] == -1)
