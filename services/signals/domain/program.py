"""Rules of many parameter sets as one program: what they share is calculated once.

SQL's three values, in two bits: a truth holds, or it fails, or it does neither and is unknown. So `a <= b` is
`NOT b < a`, with missing numbers too. A comparison is unknown
where a side is missing; a division by zero is missing, and so is what overflowed by the time that it is compared.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from services.signals.kernels import evaluation as ops
from tickloom.kernel import F64, I64, U64
from tickloom.rules.binding import PREVIOUS, Combination, name_of
from tickloom.rules.tree import (
    Between,
    Call,
    Chain,
    Column,
    Compare,
    IsNull,
    Logic,
    Negative,
    Node,
    Not,
    Number,
    Parameter,
)

ARITHMETIC = {"+": ops.ADD, "-": ops.SUBTRACT, "*": ops.MULTIPLY, "/": ops.DIVIDE, "%": ops.REMAINDER}
EXTREMES = {"GREATEST": ops.GREATEST, "LEAST": ops.LEAST}
JOINS = {"AND": ops.AND, "OR": ops.OR}
COMPARISONS = {
    "<": (ops.LESS, False, False), "<=": (ops.LESS, True, True), ">": (ops.LESS, True, False),
    ">=": (ops.LESS, False, True), "=": (ops.EQUAL, False, False), "<>": (ops.EQUAL, False, True),
}  # fmt: skip
"""Comparison -> operation, whether it is of the sides exchanged, and whether it is turned round."""


def clean_columns(names: Sequence[str], columns: Mapping[str, F64], n_bars: int) -> F64:
    """Return the named columns, (n_names, n_bars), with NaN for infinity; `prev_<column>` is a bar earlier.

    Rows are longer, up to a multiple of 64, by NaN.
    """
    clean = np.empty((len(names), -(-n_bars // ops.WORD) * ops.WORD))
    for name, row in zip(names, clean, strict=True):
        if name in columns:
            row[:n_bars] = columns[name]
        else:
            row[:1], row[1:n_bars] = np.nan, columns[name.removeprefix(PREVIOUS)][:-1]
        row[n_bars:] = np.nan
        if (infinite := np.isinf(row)).any():
            row[infinite] = np.nan
    return clean


class _Operation(NamedTuple):
    """An operation on two values, which are named by number: columns and then operations from 0 up, constants down."""

    op: int
    a: int
    b: int


class Program:
    """A program under construction: rules go in by `add`, `run` says of each what it is at every bar."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = {name: k for k, name in enumerate(columns)}
        self._constants: dict[float, int] = {}
        self._values: dict[_Operation, int] = {}
        self._results: dict[int, int] = {}

    def add(self, rule: Node, parameters: Combination) -> int:
        """Add a rule with numbers for its parameters; return its row of the results."""
        return self._results.setdefault(self._truth(rule, parameters), len(self._results))

    def _value(self, op: int, a: int, b: int) -> int:
        return self._values.setdefault(_Operation(op, a, b), len(self._columns) + len(self._values))

    def _one(self, op: int, value: int) -> int:
        return self._value(op, value, value)

    def _constant(self, number: float) -> int:
        return self._constants.setdefault(number, -1 - len(self._constants))

    def _number(self, node: Node, parameters: Combination) -> int:
        match node:
            case Number(value):
                return self._constant(value)
            case Parameter(name, _):
                return self._constant(float(parameters[name]))
            case Column():
                return self._columns[name_of(node, parameters)]
            case Chain(first, rest):
                number = self._number(first, parameters)
                for operator, operand in rest:
                    number = self._value(ARITHMETIC[operator], number, self._number(operand, parameters))
                return number
            case Negative(of):
                return self._one(ops.NEGATE, self._number(of, parameters))
            case Call("ABS", (of,)):
                return self._one(ops.ABSOLUTE, self._number(of, parameters))
            case Call(function, (first, *others)):
                number = self._number(first, parameters)
                for other in others:
                    number = self._value(EXTREMES[function], number, self._number(other, parameters))
                return number
        raise AssertionError(f"{node} is no number")

    def _comparable(self, node: Node, parameters: Combination) -> int:
        """Return a number, missing where it is infinite; columns and constants never are."""
        number = self._number(node, parameters)
        return number if isinstance(node, Number | Parameter | Column) else self._one(ops.FINITE, number)

    def _truth(self, node: Node, parameters: Combination) -> int:
        match node:
            case Compare(operator, left, right):
                op, is_exchanged, is_negated = COMPARISONS[operator]
                a, b = self._comparable(left, parameters), self._comparable(right, parameters)
                truth = self._value(op, b, a) if is_exchanged else self._value(op, a, b)
                return self._one(ops.NOT, truth) if is_negated else truth
            case Between(of, low, high, is_negated):
                truth = self._truth(Logic("AND", (Compare(">=", of, low), Compare("<=", of, high))), parameters)
                return self._one(ops.NOT, truth) if is_negated else truth
            case IsNull(column, is_negated):
                truth = self._one(ops.IS_MISSING, self._number(column, parameters))
                return self._one(ops.NOT, truth) if is_negated else truth
            case Not(of):
                return self._one(ops.NOT, self._truth(of, parameters))
            case Logic(operator, (first, *others)):
                truth = self._truth(first, parameters)
                for other in others:
                    truth = self._value(JOINS[operator], truth, self._truth(other, parameters))
                return truth
        raise AssertionError(f"{node} is no truth")

    def run(self, columns: F64) -> U64:
        """Return where each rule holds and where it fails, (n_results, 2, n_words).

        A word has a bit for each of 64 bars, the first is the lowest.

        columns  (n_columns, n_bars)  in the order given, as `clean_columns` returns them
        """
        code, n_numbers, n_truths = self._assembled()
        numbers = np.empty((n_numbers, ops.BLOCK))
        numbers[: len(self._constants)] = np.array([*self._constants])[:, None]
        truths = np.empty((n_truths, 2, ops.BLOCK // ops.WORD), np.uint64)
        results = np.empty((len(self._results), 2, columns.shape[1] // ops.WORD), np.uint64)
        ops.evaluate(code, columns, numbers, truths, results)
        return results

    def _assembled(self) -> tuple[I64, int, int]:
        """Return the code, and how many registers numbers and truths need: one is free after its value's last use."""
        n_columns, operations = len(self._columns), list(self._values)
        last_use = {value: k for k, operation in enumerate(operations) for value in (operation.a, operation.b)}
        numbers, truths = _Registers(n_columns + len(self._constants)), _Registers(0)
        place = {-1 - k: n_columns + k for k in range(len(self._constants))} | {k: k for k in range(n_columns)}
        code = []
        for k, operation in enumerate(operations):
            value, kind = n_columns + k, numbers if operation.op < ops.LESS else truths
            place[value] = kind.take()
            code.append((operation.op, place[value], place[operation.a], place[operation.b]))
            if value in self._results:
                code.append((ops.STORE, self._results[value], place[value], 0))
            for used in {operation.a, operation.b} if value in last_use else {operation.a, operation.b, value}:
                if used >= n_columns and last_use.get(used, k) == k:
                    (numbers if operations[used - n_columns].op < ops.LESS else truths).give(place[used])
        return np.array(code, np.int64).reshape(-1, 4), numbers.size - n_columns, truths.size


class _Registers:
    """Numbers of registers, handed out and taken back."""

    def __init__(self, size: int) -> None:
        self.size, self._free = size, list[int]()

    def take(self) -> int:
        if self._free:
            return self._free.pop()
        self.size += 1
        return self.size - 1

    def give(self, register: int) -> None:
        self._free.append(register)
