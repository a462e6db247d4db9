"""A program of rules over columns: blocks of bars small enough for the cache, one operation at a time over a block.

Numbers are float64 with NaN for a missing one. A truth is two bits a bar: whether it holds, and whether it fails; where
it does neither it is unknown, for every comparison with NaN is false. So SQL's logic of three values needs AND and OR
of bits alone, 64 bars at a time: NOT exchanges the two.

Source: Boncz, Zukowski and Nes (2005), MonetDB/X100: Hyper-Pipelining Query Execution, sections 3 and 4.1.
"""

from typing import Final

import numpy as np

from tickloom.kernel import F64, I64, U64, borrowing, inlined_borrowing

BLOCK: Final = 1024
WORD: Final = 64
ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER, NEGATE, ABSOLUTE, GREATEST, LEAST, FINITE = range(10)
LESS, EQUAL, IS_MISSING = range(10, 13)
NOT, AND, OR, STORE = range(13, 17)
"""Numbers to a number; numbers to a truth; truths to a truth; a truth to the result."""


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
def _compare(op: int, x: F64, y: F64, holds: U64, fails: U64) -> None:
    """Write where a comparison holds and where it fails; with a missing number it does neither."""
    if op == LESS:
        for w in range(holds.size):
            yes, no = np.uint64(0), np.uint64(0)
            for k in range(WORD):
                a, b = x[WORD * w + k], y[WORD * w + k]
                yes |= np.uint64(a < b) << np.uint64(k)
                no |= np.uint64(a >= b) << np.uint64(k)
            holds[w], fails[w] = yes, no
    elif op == EQUAL:
        for w in range(holds.size):
            yes, no = np.uint64(0), np.uint64(0)
            for k in range(WORD):
                a, b = x[WORD * w + k], y[WORD * w + k]
                yes |= np.uint64(a == b) << np.uint64(k)
                no |= np.uint64((a < b) | (a > b)) << np.uint64(k)
            holds[w], fails[w] = yes, no
    else:
        for w in range(holds.size):
            yes = np.uint64(0)
            for k in range(WORD):
                a = x[WORD * w + k]
                yes |= np.uint64(a != a) << np.uint64(k)
            holds[w], fails[w] = yes, ~yes


@inlined_borrowing
def _join(op: int, p: U64, q: U64, to: U64) -> None:
    """Write the truth that `op` makes of two, or of `p` alone; each is (2, n_words): where it holds, where it fails."""
    for w in range(to.shape[1]):
        if op == AND:
            to[0, w], to[1, w] = p[0, w] & q[0, w], p[1, w] | q[1, w]
        elif op == OR:
            to[0, w], to[1, w] = p[0, w] | q[0, w], p[1, w] & q[1, w]
        elif op == NOT:
            to[0, w], to[1, w] = p[1, w], p[0, w]
        else:
            to[0, w], to[1, w] = p[0, w], p[1, w]


@borrowing
def evaluate(code: I64, columns: F64, numbers: F64, truths: U64, results: U64) -> None:
    """Run a program over all bars; write where each of its results holds, and where it fails.

    code     (n_operations, 4)               operation, target, and one or two operands, as `Program` makes them
    columns  (n_columns, n_bars)             n_bars is a multiple of 64; NaN where a value is missing, and no infinity;
                                             operands 0 to n_columns - 1
    numbers  (n_registers, BLOCK)            constants, each in its row, and room; operands from n_columns on
    truths   (n_registers, 2, BLOCK / 64)    room
    results  (n_results, 2, n_bars / 64)     a bit a bar, the first is the lowest

    Every operation is on one bar: nothing at a bar depends on another. O(n_operations * n_bars).
    """
    n_columns, n_bars = columns.shape
    for start in range(0, n_bars, BLOCK):
        n = min(BLOCK, n_bars - start)
        word, n_words = start // WORD, n // WORD
        for k in range(code.shape[0]):
            op, to, a, b = code[k, 0], code[k, 1], code[k, 2], code[k, 3]
            if op == STORE:
                _join(op, truths[a], truths[a], results[to, :, word : word + n_words])
                continue
            if op >= NOT:
                _join(op, truths[a], truths[b], truths[to, :, :n_words])
                continue
            x = columns[a, start : start + n] if a < n_columns else numbers[a - n_columns, :n]
            y = columns[b, start : start + n] if b < n_columns else numbers[b - n_columns, :n]
            if op < LESS:
                _calculate(op, x, y, numbers[to - n_columns, :n])
            else:
                _compare(op, x, y, truths[to, 0, :n_words], truths[to, 1, :n_words])
