"""A rule bound to one set of parameters, and written out again as the SQL that Polars is given.

What Polars parses is our own rendering of the tree, never the text that was sent. It says in SQL what a missing value
means here: a division by zero, an overflow or a missing column makes a comparison unknown, never true.
"""

import math
import re
from collections.abc import Mapping, Sequence

from services.signals.domain.errors import RuleNotAllowed, RuleTooLarge, UnknownColumn, UnknownParameter
from services.signals.domain.tree import (
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
    children,
    walk,
    with_children,
)

PREVIOUS = "prev_"
MAX_SQL = 100_000
_LARGEST = "1.7976931348623157e308"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def parameters_of(node: Node) -> set[str]:
    """Return the names of the parameters that a rule uses."""
    names = set()
    for part in walk(node):
        if isinstance(part, Parameter):
            names.add(part.name)
        elif isinstance(part, Column):
            names.update(_PLACEHOLDER.findall(part.name))
    return names


def columns_of(node: Node) -> list[str]:
    """Return the names of the columns that a bound rule reads, sorted."""
    return sorted({part.name for part in walk(node) if isinstance(part, Column)})


def bind(rule: str, node: Node, parameters: Mapping[str, int | float]) -> Node:
    """Return the tree with numbers for its parameters. Raises UnknownParameter and RuleNotAllowed."""

    def value(name: str) -> int | float:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise UnknownParameter(rule, f"{{{name}}} has no values in the grid, whose parameters are: {known}")
        return parameters[name]

    def in_name(column: Column, name: str) -> str:
        number = value(name)
        if isinstance(number, float) or number < 0:
            raise RuleNotAllowed(
                rule, column.position, f"{{{name}}} in a column's name is a whole number, not {number}"
            )
        return str(number)

    def bound(node: Node) -> Node:
        match node:
            case Parameter(name, _):
                return Number(float(value(name)))
            case Column(name, position):
                return Column(_PLACEHOLDER.sub(lambda m: in_name(node, m[1]), name), position)
            case Not(Not(of)):
                return bound(of)
        return _folded(with_children(node, tuple(map(bound, children(node)))))

    return bound(node)


def _folded(node: Node) -> Node:
    """Return `node` with its constants calculated: Polars folds constants by other rules than it computes columns."""
    match node:
        case Negative(Number(value)):
            return Number(-value)
        case Call("ABS", (Number(value),)):
            return Number(abs(value))
        case Chain(Number(value), ((operator, Number(operand)), *rest)):
            result = _calculated(value, operator, operand)
            if result is None:
                return node
            return _folded(Chain(Number(result), tuple(rest))) if rest else Number(result)
        case _:
            return node


def _calculated(a: float, operator: str, b: float) -> float | None:
    """Return the result, or None where it is missing or too large."""
    match operator:
        case "+":
            result = a + b
        case "-":
            result = a - b
        case "*":
            result = a * b
        case _ if b == 0:
            return None
        case "/":
            result = a / b
        case _:
            result = math.fmod(a, b)
    return result if math.isfinite(result) else None


def check_columns(rule: str, node: Node, columns: Sequence[str]) -> None:
    """Raise UnknownColumn when a bound rule reads a column that is neither in `columns` nor one of them, earlier."""
    for name in columns_of(node):
        if name not in columns and name.removeprefix(PREVIOUS) not in columns:
            raise UnknownColumn(rule, name, columns)


def to_sql(rule: str, node: Node) -> str:
    """Return a bound rule as SQL. Raises RuleTooLarge."""

    def written(node: Node) -> str:
        # Each part is written once and its length watched: nested GREATESTs double it at every level.
        sql = _sql(node, tuple(written(child) for child in children(node)))
        if len(sql) > MAX_SQL:
            raise RuleTooLarge(rule, f"written out it has more than {MAX_SQL:,} characters")
        return sql

    return written(node)


def _sql(node: Node, parts: tuple[str, ...]) -> str:
    """Return a node as SQL; `parts` are its children."""
    match node:
        case Number(value):
            return repr(value) if value >= 0 else f"({value!r})"
        case Column(name, _):
            return f'"{name}"'
        case Chain(_, rest):
            operations = (_operation(*step, sql) for step, sql in zip(rest, parts[1:], strict=True))
            return f"({parts[0]}{''.join(operations)})"
        case Negative(_):
            return f"(0.0 - {parts[0]})"
        case Call("ABS", _):
            return f"ABS({parts[0]})"
        case Call(function, _):
            return _if_known(parts, f"{function}({', '.join(parts)})")
        case Compare(operator, _, _):
            return _if_finite(node, parts, f"({parts[0]} {operator} {parts[1]})")
        case Between(_, _, _, negated):
            between = f"({parts[0]} >= {parts[1]} AND {parts[0]} <= {parts[2]})"
            return _if_finite(node, parts, f"(NOT {between})" if negated else between)
        case IsNull(_, negated):
            return f"({parts[0]} IS {'NOT ' if negated else ''}NULL)"
        case Not(_):
            return f"(NOT {parts[0]})"
        case Logic(operator, _):
            return f"({f' {operator} '.join(parts)})"
        case Parameter(name, _):
            raise AssertionError(f"{name} is not bound")


def _operation(operator: str, operand: Node, sql: str) -> str:
    if operator in "+-*" or (isinstance(operand, Number) and operand.value != 0):
        return f" {operator} {sql}"
    return f" {operator} NULLIF({sql}, 0.0)"


def _if_known(parts: tuple[str, ...], sql: str) -> str:
    """GREATEST and LEAST pass over missing values: here one of them makes the result missing."""
    return f"(CASE WHEN {' OR '.join(f'({part} IS NULL)' for part in parts)} THEN NULL ELSE {sql} END)"


def _if_finite(node: Node, parts: tuple[str, ...], sql: str) -> str:
    """A comparison of a result that overflowed, or of no number at all, is unknown. Columns and literals are finite."""
    operands = zip(children(node), parts, strict=True)
    tests = [f"(ABS({part}) <= {_LARGEST})" for operand, part in operands if not isinstance(operand, Number | Column)]
    return f"(CASE WHEN {' AND '.join(tests)} THEN {sql} END)" if tests else sql
