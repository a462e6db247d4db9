"""Numbers eight characters at a time: a 64-bit word holds eight bytes, the first in its lowest.

Texts are given by their address, which costs no reference count; whoever calls holds the array.

Source: Lamport (1975), Multiple byte processing with full-word instructions; Langdale and Lemire (2019), Parsing
gigabytes of JSON per second. All arithmetic is modulo 2**64, on unsigned words.
"""

import ctypes
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from tickloom.kernel import inlined

PADDING: Final = 64
"""Bytes that a text must have after its last line: words are loaded whole, a few at a time."""

_U: Any = np.uint64
_ONE, _EIGHT, _ALL = _U(1), _U(8), _U(64)
_ZEROS: Final = _U(0x3030303030303030)
_HIGH: Final = _U(0x8080808080808080)
_LOW: Final = _U(0x0101010101010101)
_TO_HIGH: Final = _U(0x7676767676767676)  # 9 + 0x76 is 0x7f, the last below the high bit
_TO_HIGH_FROM_ONE: Final = _U(0x7F7F7F7F7F7F7F7F)
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

_intrinsic: Any = intrinsic


def word_at(address: Any) -> Any:
    """Return the eight bytes at an address (uint64) as one uint64, the first lowest. Nothing checks the address."""
    return np.uint64(int.from_bytes(ctypes.string_at(int(address), 8), "little"))


def byte_at(address: Any) -> Any:
    """Return the byte at an address (uint64). Nothing checks the address."""
    return np.uint8(ctypes.string_at(int(address), 1)[0])


def put_word(address: Any, word: Any) -> None:
    """Write eight bytes to an address (uint64), the lowest first. Nothing checks the address."""
    ctypes.memmove(int(address), int(word).to_bytes(8, "little"), 8)


def _loader(bits: int, kind: Any) -> Any:
    def load(_: Any, address: Any) -> Any:
        def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
            return builder.load(builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer()), align=1)

        return kind(address), emit

    return _intrinsic(load)


def _store(_: Any, address: Any, word: Any) -> Any:
    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), align=1)
        return ir.Constant(ir.IntType(8).as_pointer(), None)

    return types.none(address, word), emit


_load_word, _load_byte = _loader(64, types.uint64), _loader(8, types.uint8)
_store_word = _intrinsic(_store)


# The parameters say nothing of types: numba compares them with those of the functions returned.
overload(word_at)(lambda address: lambda address: _load_word(address))  # noqa: ARG005
overload(byte_at)(lambda address: lambda address: _load_byte(address))  # noqa: ARG005
overload(put_word)(lambda address, word: lambda address, word: _store_word(address, word))  # noqa: ARG005


@inlined
def _first_mark(marks: Any) -> Any:
    """Return 1 << 8 n for the first byte n whose high bit is set in `marks`, 0 where none is."""
    return (marks & (~marks + _ONE)) >> _U(7)


@inlined
def _index(mark: Any) -> Any:
    """Return n of a mark 1 << 8 n."""
    return (mark * _INDEX) >> _U(56)


@inlined
def _end_of_digits(values: Any) -> Any:
    """Return the mark of the first byte that is no digit, of a word with 48 taken from each byte; 0: all are digits.

    Bytes after the first that is none may be taken for none as well, by a carry.
    """
    return _first_mark(((values + _TO_HIGH) | values) & _HIGH)


@inlined
def eight_digits(values: Any) -> Any:
    """Return the number of eight digits, the first digit in the lowest byte."""
    values = values * _U(10) + (values >> _EIGHT)
    return ((values & _PAIRS) * _UPPER + ((values >> _U(16)) & _PAIRS) * _LOWER) >> _U(32)


@inlined
def _width(mark: Any, widths: Any, k: int) -> Any:
    """Return the number of digits before a mark, and remember it as that of field k.

    While it is that of the line before, a processor takes the branch ahead of time and reads on: the position of the
    next field does not wait for the digits of this one. The store keeps the compiler from undoing the branch.
    """
    n = word_at(widths + _U(8 * k))
    if mark != _ONE << (n * _EIGHT):
        n = _index(mark)
        put_word(widths + _U(8 * k), n)
    return n


@inlined
def whole_at(at: Any, widths: Any, k: int) -> Any:
    """Return (value, position after it) of 1 to 16 digits; the position is NOT_HERE for anything else.

    widths  address of uint64 (n_fields,), 0 at first: what was found at the line before. k is this field's own.
    """
    values = word_at(at) ^ _ZEROS
    mark = _end_of_digits(values)
    if mark != _U(0):
        n = _width(mark, widths, k)
        if n == _U(0):
            return _U(0), NOT_HERE
        return eight_digits(values << (_ALL - n * _EIGHT)), at + n
    value, at = eight_digits(values), at + _EIGHT
    values = word_at(at) ^ _ZEROS
    mark = _end_of_digits(values)
    if mark != _U(0):
        n = _width(mark, widths, k)
        if n == _U(0):
            return value, at
        return value * _TEN[n] + eight_digits(values << (_ALL - n * _EIGHT)), at + n
    if _U(byte_at(at + _EIGHT)) - _U(48) <= _U(9):
        return _U(0), NOT_HERE
    return value * _UNIT + eight_digits(values), at + _EIGHT


@inlined
def units_at(at: Any, widths: Any, k: int) -> Any:
    """Return (value * 10**8, position after it) of a decimal below 10**10 with at most eight places, else NOT_HERE.

    widths  as in whole_at; k and k + 1 are this field's own
    """
    value, after = whole_at(at, widths, k)
    if after == NOT_HERE or value >= _WHOLE_LIMIT:
        return _U(0), NOT_HERE
    value *= _UNIT
    if byte_at(after) != _POINT:
        return value, after
    values = word_at(after + _ONE) ^ _ZEROS
    mark = _end_of_digits(values)
    if mark == _U(0):
        return value + eight_digits(values), after + _U(9)
    return value + eight_digits(values & (mark - _ONE)), after + _ONE + _width(mark, widths, k + 1)


@inlined
def _last_byte(values: Any) -> Any:
    """Return how many of eight digits, the first in the lowest byte, there are without the zeros at their end."""
    marks = (values + _TO_HIGH_FROM_ONE) & _HIGH
    marks |= marks >> _EIGHT
    marks |= marks >> _U(16)
    marks |= marks >> _U(32)
    return ((marks >> _U(7)) * _LOW) >> _U(56)


@inlined
def decimal_at(at: Any, widths: Any, k: int) -> Any:
    """Return (digits, places, position after it) of a decimal that units_at would read, else NOT_HERE.

    The number is digits * 10**-places, with as few places as can be.

    widths  as in whole_at; k and k + 1 are this field's own
    """
    value, after = whole_at(at, widths, k)
    if after == NOT_HERE or value >= _WHOLE_LIMIT:
        return _U(0), _U(0), NOT_HERE
    if byte_at(after) != _POINT:
        return value, _U(0), after
    values = word_at(after + _ONE) ^ _ZEROS
    mark = _end_of_digits(values)
    end = after + _U(9)
    if mark != _U(0):
        values &= mark - _ONE
        end = after + _ONE + _width(mark, widths, k + 1)
    if values == _U(0):
        return value, _U(0), end
    places = _last_byte(values)
    return value * _TEN[places] + eight_digits(values << (_ALL - places * _EIGHT)), places, end


@inlined
def boolean_at(at: Any) -> Any:
    """Return (1 or 0, position after it) of `true` or `false`, in capitals or not, else NOT_HERE. No branch."""
    word = word_at(at) | _SMALL
    true, false = _U((word & _FOUR_BYTES) == _TRUE), _U((word & _FIVE_BYTES) == _FALSE)
    return true, (at + _U(5) - true) * (true + false)


@inlined
def field_end(at: Any, widths: Any, k: int) -> Any:
    """Return the position of the comma, line end, or byte beyond ASCII that comes first from `at` on.

    widths  as in whole_at
    """
    while True:
        word = word_at(at)
        comma, feed, end = word ^ _COMMAS, word ^ _FEEDS, word ^ _RETURNS
        marks = ((comma - _LOW) & ~comma) | ((feed - _LOW) & ~feed) | ((end - _LOW) & ~end) | word
        mark = _first_mark(marks & _HIGH)
        if mark != _U(0):
            return at + _width(mark, widths, k)
        at += _EIGHT
