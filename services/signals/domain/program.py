"""Rules of many parameter sets as one program: what they share is calculated once.

SQL's three values, in two bits: a truth holds, or it fails, or it does neither and is unknown. A comparison is unknown
where a side is missing; a division by zero is missing, and so is what overflowed by the time that it is compared.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from services.signals.kernels import evaluation as ops
from tickloom.kernel import F64, I64, Bool
from tickloom.rules.binding import PREVIOUS
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
)

ARITHMETIC = {"+": ops.ADD, "-": ops.SUBTRACT, "*": ops.MULTIPLY, "/": ops.DIVIDE, "%": ops.REMAINDER}
EXTREMES = {"GREATEST": ops.GREATEST, "LEAST": ops.LEAST}
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "="}


def clean_columns(names: Sequence[str], columns: Mapping[str, F64], n_bars: int) -> F64:
    """Return the named columns, (n_names, n_bars), with NaN for infinity; `prev_<column>` is a bar earlier."""
    clean = np.empty((len(names), n_bars))
    for name, row in zip(names, clean, strict=True):
        if name in columns:
            row[:] = columns[name]
        else:
            row[:1], row[1:] = np.nan, columns[name.removeprefix(PREVIOUS)][:-1]
    clean[np.isinf(clean)] = np.nan
    return clean


class _Operation(NamedTuple):
    """An operation on two values, which are named by number: columns and then operations from 0 up, constants down."""

    op: int
    a: int
    b: int


class Program:
    """A program under construction: rules go in by `holds` and `fails`, `run` says of each what it is at every bar."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = {name: k for k, name in enumerate(columns)}
        self._constants: dict[float, int] = {}
        self._values: dict[_Operation, int] = {}
        self._results: dict[int, int] = {}

    def holds(self, rule: Node) -> int:
        """Add a bound rule; return the row of the result that says where it is true."""
        return self._result(self._truth(rule, True))

    def fails(self, rule: Node) -> int:
        """Add a bound rule; return the row of the result that says where it is false."""
        return self._result(self._truth(rule, False))

    def _result(self, truth: int) -> int:
        return self._results.setdefault(truth, len(self._results))

    def _value(self, op: int, a: int, b: int) -> int:
        return self._values.setdefault(_Operation(op, a, b), len(self._columns) + len(self._values))

    def _number(self, node: Node) -> int:
        match node:
            case Number(value):
                return self._constants.setdefault(value, -1 - len(self._constants))
            case Column(name, _):
                return self._columns[name]
            case Chain(first, rest):
                number = self._number(first)
                for operator, operand in rest:
                    number = self._value(ARITHMETIC[operator], number, self._number(operand))
                return number
            case Negative(of):
                return self._one(ops.NEGATE, self._number(of))
            case Call("ABS", (of,)):
                return self._one(ops.ABSOLUTE, self._number(of))
            case Call(function, (first, *others)):
                number = self._number(first)
                for other in others:
                    number = self._value(EXTREMES[function], number, self._number(other))
                return number
        raise AssertionError(f"{node} is no number that is bound")

    def _one(self, op: int, number: int) -> int:
        return self._value(op, number, number)

    def _comparable(self, node: Node) -> int:
        """Return a number, missing where it is infinite; columns and constants never are."""
        number = self._number(node)
        return number if isinstance(node, Number | Column) else self._one(ops.FINITE, number)

    def _truth(self, node: Node, wanted: bool) -> int:
        """Return where a rule is true, or where it is false."""
        match node:
            case Compare(operator, left, right):
                a, b = self._comparable(left), self._comparable(right)
                return self._comparison(operator if wanted else OPPOSITE[operator], a, b)
            case Between(of, low, high, negated):
                inside = Logic("AND", (Compare(">=", of, low), Compare("<=", of, high)))
                return self._truth(inside, wanted is not negated)
            case IsNull(column, negated):
                return self._one(ops.IS_MISSING if wanted is not negated else ops.IS_KNOWN, self._number(column))
            case Not(of):
                return self._truth(of, not wanted)
            case Logic(operator, (first, *others)):
                join = ops.AND if (operator == "AND") is wanted else ops.OR
                truth = self._truth(first, wanted)
                for other in others:
                    truth = self._value(join, truth, self._truth(other, wanted))
                return truth
        raise AssertionError(f"{node} is no truth")

    def _comparison(self, operator: str, a: int, b: int) -> int:
        match operator:
            case "<":
                return self._value(ops.LESS, a, b)
            case "<=":
                return self._value(ops.AT_MOST, a, b)
            case ">":
                return self._value(ops.LESS, b, a)
            case ">=":
                return self._value(ops.AT_MOST, b, a)
            case "=":
                return self._value(ops.EQUAL, a, b)
        return self._value(ops.UNEQUAL, a, b)

    def run(self, columns: F64) -> Bool:
        """Return what was asked for, (n_results, n_bars) or wider by less than eight bars that say no.

        columns  (n_columns, n_bars)  in the order given; NaN where a value is missing, no infinity
        """
        code, n_numbers, n_truths = self._assembled()
        numbers = np.empty((n_numbers, ops.BLOCK))
        numbers[: len(self._constants)] = np.array([*self._constants])[:, None]
        results = np.zeros((len(self._results), -(-columns.shape[1] // 8) * 8), np.bool_)
        ops.evaluate(code, columns, numbers, np.empty((n_truths, ops.BLOCK), np.bool_), results)
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
