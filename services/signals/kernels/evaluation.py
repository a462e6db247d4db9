"""A program of rules over columns: blocks of bars small enough for the cache, one operation at a time over a block.

Numbers are float64 with NaN for a missing one. A truth is kept as two: where it holds, and where it fails; where it
does neither it is unknown, for every comparison with NaN is false. So SQL's logic of three values needs AND and OR of
bits alone: NOT exchanges the two.

Source: Boncz, Zukowski and Nes (2005), MonetDB/X100: Hyper-Pipelining Query Execution, sections 3 and 4.1.
"""

import numpy as np

from tickloom.kernel import F64, I64, Bool, borrowing, inlined_borrowing

BLOCK = 1024
ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER, NEGATE, ABSOLUTE, GREATEST, LEAST, FINITE = range(10)
LESS, AT_MOST, EQUAL, UNEQUAL, IS_MISSING, IS_KNOWN = range(10, 16)
AND, OR, STORE = range(16, 19)
"""Numbers to a number; numbers to a truth; truths to a truth; a truth to a row of the result."""


@inlined_borrowing
def _calculate(op: int, x: F64, y: F64, to: F64) -> None:
    """Write the number that `op` makes of two, or of `x` alone."""
    n = to.size
    if op == ADD:
        for i in range(n):
            to[i] = x[i] + y[i]
    elif op == SUBTRACT:
        for i in range(n):
            to[i] = x[i] - y[i]
    elif op == MULTIPLY:
        for i in range(n):
            to[i] = x[i] * y[i]
    elif op == DIVIDE:
        for i in range(n):
            to[i] = x[i] / (y[i] if y[i] != 0.0 else np.nan)
    elif op == REMAINDER:
        for i in range(n):
            to[i] = np.fmod(x[i], y[i] if y[i] != 0.0 else np.nan)
    elif op == NEGATE:
        for i in range(n):
            to[i] = -x[i]
    elif op == ABSOLUTE:
        for i in range(n):
            to[i] = abs(x[i])
    elif op == GREATEST:
        for i in range(n):
            to[i] = (x[i] if x[i] >= y[i] else y[i]) if x[i] == x[i] and y[i] == y[i] else np.nan
    elif op == LEAST:
        for i in range(n):
            to[i] = (x[i] if x[i] <= y[i] else y[i]) if x[i] == x[i] and y[i] == y[i] else np.nan
    else:
        for i in range(n):
            to[i] = x[i] if abs(x[i]) < np.inf else np.nan


@inlined_borrowing
def _compare(op: int, x: F64, y: F64, to: Bool) -> None:
    """Write where a comparison holds; with a missing number it does not."""
    n = to.size
    if op == LESS:
        for i in range(n):
            to[i] = x[i] < y[i]
    elif op == AT_MOST:
        for i in range(n):
            to[i] = x[i] <= y[i]
    elif op == EQUAL:
        for i in range(n):
            to[i] = x[i] == y[i]
    elif op == UNEQUAL:
        for i in range(n):
            to[i] = (x[i] < y[i]) | (x[i] > y[i])
    elif op == IS_MISSING:
        for i in range(n):
            to[i] = x[i] != x[i]
    else:
        for i in range(n):
            to[i] = x[i] == x[i]


@borrowing
def evaluate(code: I64, columns: F64, numbers: F64, truths: Bool, results: Bool) -> None:
    """Run a program over all bars; write where each of its results holds.

    code     (n_operations, 4)       operation, target, and one or two operands, as `Program` makes them
    columns  (n_columns, n_bars)     NaN where a value is missing, and no infinity; operands 0 to n_columns - 1
    numbers  (n_registers, BLOCK)    constants, each in its row, and room; operands from n_columns on
    truths   (n_registers, BLOCK)    room
    results  (n_results, >= n_bars)  written up to n_bars

    Every operation is on one bar: nothing at a bar depends on another. O(n_operations * n_bars).
    """
    n_columns, n_bars = columns.shape
    for start in range(0, n_bars, BLOCK):
        n = min(BLOCK, n_bars - start)
        for k in range(code.shape[0]):
            op, to, a, b = code[k, 0], code[k, 1], code[k, 2], code[k, 3]
            if op >= AND:
                p = truths[a, :n]
                if op == STORE:
                    for i in range(n):
                        results[to, start + i] = p[i]
                    continue
                q, t = truths[b, :n], truths[to, :n]
                if op == AND:
                    for i in range(n):
                        t[i] = p[i] & q[i]
                else:
                    for i in range(n):
                        t[i] = p[i] | q[i]
                continue
            x = columns[a, start : start + n] if a < n_columns else numbers[a - n_columns, :n]
            y = columns[b, start : start + n] if b < n_columns else numbers[b - n_columns, :n]
            if op < LESS:
                _calculate(op, x, y, numbers[to - n_columns, :n])
            else:
                _compare(op, x, y, truths[to, :n])
