"""Numbers eight characters at a time: a 64-bit word holds eight bytes, the first in its lowest.

Source: Lamport (1975), Multiple byte processing with full-word instructions; Langdale and Lemire (2019), Parsing
gigabytes of JSON per second. All arithmetic is modulo 2**64, on unsigned words.
"""

from typing import Any, Final

import numpy as np

from services.download.kernels.rows import U8
from tickloom.kernel import kernel

PADDING: Final = 32
"""Bytes that a text must have after its last line: words are loaded whole, a few at a time."""

_U: Final = np.uint64
_ONE, _EIGHT, _ALL = _U(1), _U(8), _U(64)
_ZEROS: Final = _U(0x3030303030303030)
_HIGH: Final = _U(0x8080808080808080)
_LOW: Final = _U(0x0101010101010101)
_TO_HIGH: Final = _U(0x7676767676767676)  # 9 + 0x76 is 0x7f, the last below the high bit
_INDEX: Final = _U(0x0001020304050607)
_PAIRS: Final = _U(0x000000FF000000FF)
_UPPER: Final = _U(0x000F424000000064)  # 10**6 and 10**2
_LOWER: Final = _U(0x0000271000000001)  # 10**4 and 1
_COMMAS, _FEEDS, _RETURNS = _U(0x2C2C2C2C2C2C2C2C), _U(0x0A0A0A0A0A0A0A0A), _U(0x0D0D0D0D0D0D0D0D)
_TEN: Final = np.array([10**n for n in range(9)], np.uint64)
_UNIT: Final = _U(10**8)
_WHOLE_LIMIT: Final = _U(10**10)
_POINT: Final = 46
_TRUE, _FALSE = _U(0x65757274), _U(0x65736C6166)
_FOUR_BYTES, _FIVE_BYTES, _SMALL = _U(0xFFFFFFFF), _U(0xFFFFFFFFFF), _U(0x2020202020202020)

NOT_HERE: Final = _U(0)
"""A position that says: this field is for the careful reader."""


@kernel
def word_at(text: U8, at: Any) -> Any:
    """Return the eight bytes from `at` (uint64) on as one word; the compiler makes one load of it."""
    low = _U(text[at]) | _U(text[at + _U(1)]) << _U(8) | _U(text[at + _U(2)]) << _U(16) | _U(text[at + _U(3)]) << _U(24)
    high = _U(text[at + _U(4)]) << _U(32) | _U(text[at + _U(5)]) << _U(40)
    return low | high | _U(text[at + _U(6)]) << _U(48) | _U(text[at + _U(7)]) << _U(56)


@kernel
def _first_mark(marks: Any) -> Any:
    """Return 1 << 8 n for the first byte n whose high bit is set in `marks`, 0 where none is."""
    return (marks & (~marks + _ONE)) >> _U(7)


@kernel
def _index(mark: Any) -> Any:
    """Return n of a mark 1 << 8 n."""
    return (mark * _INDEX) >> _U(56)


@kernel
def _end_of_digits(values: Any) -> Any:
    """Return the mark of the first byte that is no digit, of a word with 48 taken from each byte; 0: all are digits.

    Bytes after the first that is none may be taken for none as well, by a carry.
    """
    return _first_mark(((values + _TO_HIGH) | values) & _HIGH)


@kernel
def _number(values: Any) -> Any:
    """Return the number of eight digits, the first digit in the lowest byte."""
    values = values * _U(10) + (values >> _EIGHT)
    return ((values & _PAIRS) * _UPPER + ((values >> _U(16)) & _PAIRS) * _LOWER) >> _U(32)


@kernel
def whole_at(text: U8, at: Any) -> Any:
    """Return (value, position after it) of 1 to 16 digits; the position is NOT_HERE for anything else."""
    values = word_at(text, at) ^ _ZEROS
    mark = _end_of_digits(values)
    if mark != _U(0):
        n = _index(mark)
        if n == _U(0):
            return _U(0), NOT_HERE
        return _number(values << (_ALL - n * _EIGHT)), at + n
    value = _number(values)
    values = word_at(text, at + _EIGHT) ^ _ZEROS
    mark = _end_of_digits(values)
    n = _index(mark)
    if n != _U(0):
        return value * _TEN[n] + _number(values << (_ALL - n * _EIGHT)), at + _EIGHT + n
    if mark != _U(0):
        return value, at + _EIGHT
    if _U(text[at + _U(16)]) - _U(48) <= _U(9):
        return _U(0), NOT_HERE
    return value * _UNIT + _number(values), at + _U(16)


@kernel
def units_at(text: U8, at: Any) -> Any:
    """Return (value * 10**8, position after it) of a decimal below 10**10 with at most eight places, else NOT_HERE."""
    value, after = whole_at(text, at)
    if after == NOT_HERE or value >= _WHOLE_LIMIT:
        return _U(0), NOT_HERE
    value *= _UNIT
    if text[after] != _POINT:
        return value, after
    values = word_at(text, after + _ONE) ^ _ZEROS
    mark = _end_of_digits(values)
    if mark == _U(0):
        return value + _number(values), after + _U(9)
    return value + _number(values & (mark - _ONE)), after + _ONE + _index(mark)


@kernel
def boolean_at(text: U8, at: Any) -> Any:
    """Return (1 or 0, position after it) of `true` or `false`, in capitals or not, else NOT_HERE. No branch."""
    word = word_at(text, at) | _SMALL
    true, false = _U((word & _FOUR_BYTES) == _TRUE), _U((word & _FIVE_BYTES) == _FALSE)
    return true, (at + _U(5) - true) * (true + false)


@kernel
def field_end(text: U8, at: Any) -> Any:
    """Return the position of the comma, line end, or byte beyond ASCII that comes first from `at` on."""
    while True:
        word = word_at(text, at)
        comma, feed, end = word ^ _COMMAS, word ^ _FEEDS, word ^ _RETURNS
        marks = ((comma - _LOW) & ~comma) | ((feed - _LOW) & ~feed) | ((end - _LOW) & ~end) | word
        mark = _first_mark(marks & _HIGH)
        if mark != _U(0):
            return at + _index(mark)
        at += _EIGHT
