"""Lines of comma-separated numbers to integers, exactly: a decimal becomes digits and a count of places.

`0.0150` is (15, 3), `1.5e-3` is (15, 4), `61837.63000000` is (6183763, 2). No value ever passes through a float.
"""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tickloom.kernel import I64, kernel

U8: TypeAlias = NDArray[np.uint8]

SKIP: Final = 0
INTEGER: Final = 1
DECIMAL: Final = 2
BOOLEAN: Final = 3
WIDTH: Final = (0, 1, 2, 1)
"""How many int64 a column of each kind takes in a row: a decimal takes two, its digits and its places."""

OK: Final = 0
NOT_A_NUMBER: Final = 1
TOO_LONG: Final = 2
NOT_A_BOOLEAN: Final = 3
COLUMNS: Final = 4
NOT_ASCII: Final = 5
BLANK: Final = 6

DIGITS: Final = 18
_TEN: Final = np.array([10**n for n in range(DIGITS + 1)], np.int64)
_LF, _CR, _COMMA, _PLUS, _MINUS, _POINT = 10, 13, 44, 43, 45, 46


@kernel
def read_integer(text: U8, at: int) -> tuple[int, int, int]:
    """Return (value, position after it, fault) of the whole number that begins at `at`: 18 digits at most."""
    negative = text[at] == _MINUS
    if negative or text[at] == _PLUS:
        at += 1
    value: Any = np.int64(0)
    begin = at
    while 48 <= text[at] <= 57:
        if value >= _TEN[DIGITS - 1]:
            return 0, at, TOO_LONG
        value = value * 10 + (np.int64(text[at]) - 48)
        at += 1
    return (-value if negative else value), at, (OK if at > begin else NOT_A_NUMBER)


@kernel
def read_decimal(text: U8, at: int) -> tuple[int, int, int, int]:
    """Return (digits, places, position after it, fault) of the decimal number at `at`; places are as few as can be.

    The number is digits * 10**-places, 0 <= places <= 18, |digits| < 10**18. NaN, infinities and empty fields are
    NOT_A_NUMBER; what needs more digits or places is TOO_LONG. An exponent is exact, as in `1.912e-05`.
    """
    negative = text[at] == _MINUS
    if negative or text[at] == _PLUS:
        at += 1
    digits: Any = np.int64(0)
    n_digits, places, zeros = 0, 0, 0
    any_digit, point = False, False
    while 48 <= text[at] <= 57 or (text[at] == _POINT and not point):
        if text[at] == _POINT:
            point = True
        else:
            any_digit = True
            digit: Any = np.int64(text[at]) - 48
            zeros += 1
            # Zeros after the point wait for a digit that needs them, so that places stay as few as can be.
            if not point or digit != 0:
                n_digits = n_digits + zeros if digits != 0 else 1
                if n_digits > DIGITS:
                    return 0, 0, at, TOO_LONG
                digits = digits * _TEN[zeros] + digit if digits != 0 else digit
                places, zeros = places + zeros if point else 0, 0
        at += 1
    if not any_digit:
        return 0, 0, at, NOT_A_NUMBER
    fault = OK
    if text[at] == 101 or text[at] == 69:  # e, E
        exponent, at, fault = read_integer(text, at + 1)
        digits, places = _shift(digits, places - exponent)
    if fault == OK and (places > DIGITS or places < 0):
        fault = TOO_LONG
    return (-digits if negative else digits), places, at, fault


@kernel
def _shift(digits: int, places: int) -> tuple[int, int]:
    """Return digits * 10**-places with 0 <= places, as few as can be; places are -1 where the digits do not fit."""
    if digits == 0:
        return 0, 0
    while places < 0 and digits < _TEN[DIGITS - 1]:
        digits, places = digits * 10, places + 1
    while places > 0 and digits % 10 == 0:
        digits, places = digits // 10, places - 1
    return digits, max(places, -1)


@kernel
def read_boolean(text: U8, at: int) -> tuple[int, int, int]:
    """Return (1 or 0, position after it, fault) of `true`, `True`, `false` or `False`, in capitals or not."""
    for value, word in ((1, b"true"), (0, b"false")):
        n = 0
        while n < len(word) and np.int64(text[at + n]) | 32 == word[n]:
            n += 1
        if n == len(word):
            return value, at + n, OK
    return 0, at, NOT_A_BOOLEAN


@kernel
def skip_field(text: U8, at: int) -> tuple[int, int]:
    """Return (position after the field at `at`, fault): its bytes must be ASCII, nothing else is asked of it."""
    while text[at] != _COMMA and text[at] != _LF and text[at] != _CR:
        if text[at] >= 128:
            return at, NOT_ASCII
        at += 1
    return at, OK


@kernel
def parse_rows(text: U8, at: int, columns: I64, rows: I64) -> tuple[int, int, int]:
    """Parse lines from `at` on into `rows`; return (rows filled, position after the last one, fault of the next line).

    text     (n_bytes,)  ends with a line feed; lines end in LF or CR LF
    columns  (n_columns,)  SKIP, INTEGER, DECIMAL or BOOLEAN for each column of a line
    rows     (capacity, width)  filled from row 0; the width is the sum of WIDTH over columns

    Stops at the end of the text, when `rows` is full, or before a line with a fault: BLANK is a line without text.
    O(n_bytes).
    """
    n_rows = 0
    while at < text.size and n_rows < rows.shape[0]:
        if text[at] == _LF or (text[at] == _CR and text[at + 1] == _LF):
            return n_rows, at, BLANK
        after, fault = parse_line(text, at, columns, rows[n_rows])
        if fault != OK:
            return n_rows, at, fault
        at, n_rows = after, n_rows + 1
    return n_rows, at, OK


@kernel
def parse_line(text: U8, at: int, columns: I64, row: I64) -> tuple[int, int]:
    """Fill one row; return (position of the next line, fault)."""
    slot = 0
    for c in range(columns.size):
        fault = OK
        if columns[c] == INTEGER:
            row[slot], at, fault = read_integer(text, at)
            slot += 1
        elif columns[c] == DECIMAL:
            row[slot], row[slot + 1], at, fault = read_decimal(text, at)
            slot += 2
        elif columns[c] == BOOLEAN:
            row[slot], at, fault = read_boolean(text, at)
            slot += 1
        else:
            at, fault = skip_field(text, at)
        if fault != OK:
            return at, (NOT_ASCII if text[at] >= 128 else fault)
        if c + 1 < columns.size:
            if text[at] != _COMMA:
                return at, _misplaced(text[at])
            at += 1
    if text[at] == _CR:
        at += 1
    if text[at] != _LF:
        return at, _misplaced(text[at])
    return at + 1, OK


@kernel
def _misplaced(byte: int) -> int:
    """Return the fault of a byte that stands where a field should end."""
    if byte >= 128:
        return NOT_ASCII
    return COLUMNS if byte in (_COMMA, _LF, _CR) else NOT_A_NUMBER


@kernel
def shortest(units: I64, scale: int, digits: I64, places: I64) -> None:
    """Write units * 10**-scale as digits and places, which are as few as can be. All (n,), 0 <= scale <= 18."""
    for i in range(units.size):
        digits[i], places[i] = _shift(units[i], scale)
