"""Lines of any layout to rows, as parse_rows of rows.py reads them: the fast lane.

A line in the form that exchanges write is read eight characters at a time; any other is given to the careful reader,
so that both lanes read the same numbers and find the same faults.
"""

from typing import Any, Final

import numpy as np

from services.download.kernels.rows import BLANK, BOOLEAN, DECIMAL, INTEGER, OK, U8, parse_line
from services.download.kernels.swar import NOT_HERE, boolean_at, byte_at, decimal_at, field_end, whole_at
from tickloom.kernel import I64, inlined, kernel

_U: Any = np.uint64
_ONE: Final = _U(1)
_COMMA, _LF, _CR = 44, 10, 13


def widths_of(columns: I64) -> Any:
    """Return what read_rows remembers of the line before, of lines with these columns: nothing yet."""
    return np.zeros(2 * columns.size, np.uint64)


@inlined
def _fast_line(at: Any, columns: I64, row: I64, widths: Any) -> Any:
    """Fill a row from the line at the address `at`; return the address after it, or NOT_HERE."""
    slot = 0
    for c in range(columns.size):
        if columns[c] == DECIMAL:
            digits, places, at = decimal_at(at, widths, 2 * c)
            row[slot], row[slot + 1] = np.int64(digits), np.int64(places)
            slot += 2
        elif columns[c] == INTEGER:
            value, at = whole_at(at, widths, 2 * c)
            row[slot] = np.int64(value)
            slot += 1
        elif columns[c] == BOOLEAN:
            value, at = boolean_at(at)
            row[slot] = np.int64(value)
            slot += 1
        else:
            at = field_end(at, widths, 2 * c)
        if at == NOT_HERE:
            return NOT_HERE
        if c + 1 < columns.size:
            if byte_at(at) != _COMMA:
                return NOT_HERE
            at += _ONE
    if byte_at(at) == _CR:
        at += _ONE
    return at + _ONE if byte_at(at) == _LF else NOT_HERE


@kernel
def read_rows(text: U8, at: int, end: int, columns: I64, rows: I64, widths: Any) -> tuple[int, int, int]:
    """Parse lines into `rows`; return (rows filled, position after the last one, fault of the next line).

    text     (n_bytes,)  swar.PADDING bytes or more after `end`
    at, end  where the lines begin and end: text[end - 1] is a line feed
    columns  (n_columns,)  SKIP, INTEGER, DECIMAL or BOOLEAN for each column of a line
    rows     (capacity, width)  filled from row 0, as parse_rows fills them
    widths   widths_of(columns) at first

    Stops where parse_rows stops, with its faults. O(n_bytes).
    """
    n, start, memory = 0, _U(text.ctypes.data), _U(widths.ctypes.data)
    while at < end and n < rows.shape[0]:
        after = _fast_line(start + _U(at), columns, rows[n], memory)
        if after != NOT_HERE:
            at = np.int64(after - start)  # type: ignore[assignment]
        else:
            if text[at] == _LF or (text[at] == _CR and text[at + 1] == _LF):
                return n, at, BLANK
            careful, fault = parse_line(text, at, columns, rows[n])
            if fault != OK:
                return n, at, fault
            at = careful
        n += 1
    return n, at, OK
