"""A rule bound to one set of parameters, and written out again as the SQL that Polars is given.

What Polars parses is our own rendering of the tree, never the text that was sent. It says in SQL what a missing value
means here: a division by zero, an overflow or a missing column makes a comparison unknown, never true.
"""

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
    walk,
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
            case Chain(first, rest):
                return Chain(bound(first), tuple((operator, bound(operand)) for operator, operand in rest))
            case Negative(of):
                inner = bound(of)
                return Number(-inner.value) if isinstance(inner, Number) else Negative(inner)
            case Call(function, arguments):
                return Call(function, tuple(map(bound, arguments)))
            case Compare(operator, left, right):
                return Compare(operator, bound(left), bound(right))
            case Between(of, low, high, negated):
                return Between(bound(of), bound(low), bound(high), negated)
            case IsNull(column, negated):
                return IsNull(bound(column), negated)
            case Not(of):
                return bound(of.of) if isinstance(of, Not) else Not(bound(of))
            case Logic(operator, of):
                return Logic(operator, tuple(map(bound, of)))
            case Number():
                return node

    return bound(node)


def check_columns(rule: str, node: Node, columns: Sequence[str]) -> None:
    """Raise UnknownColumn when a bound rule reads a column that is neither in `columns` nor one of them, earlier."""
    for name in columns_of(node):
        if name not in columns and name.removeprefix(PREVIOUS) not in columns:
            raise UnknownColumn(rule, name, columns)


def to_sql(rule: str, node: Node) -> str:
    """Return a bound rule as SQL. Raises RuleTooLarge."""
    sql = _sql(node)
    if len(sql) > MAX_SQL:
        raise RuleTooLarge(rule, f"written out it has {len(sql):,} characters, at most {MAX_SQL:,} are allowed")
    return sql


def _sql(node: Node) -> str:
    match node:
        case Number(value):
            return repr(value) if value >= 0 else f"({value!r})"
        case Column(name, _):
            return f'"{name}"'
        case Chain(first, rest):
            return f"({_sql(first)}{''.join(_operation(operator, operand) for operator, operand in rest)})"
        case Negative(of):
            return f"(0.0 - {_sql(of)})"
        case Call("ABS", (of,)):
            return f"ABS({_sql(of)})"
        case Call(function, arguments):
            return _if_known(list(arguments), f"{function}({', '.join(map(_sql, arguments))})")
        case Compare(operator, left, right):
            return _if_finite([left, right], f"({_sql(left)} {operator} {_sql(right)})")
        case Between(of, low, high, negated):
            between = f"({_sql(of)} >= {_sql(low)} AND {_sql(of)} <= {_sql(high)})"
            return _if_finite([of, low, high], f"(NOT {between})" if negated else between)
        case IsNull(column, negated):
            return f"({_sql(column)} IS {'NOT ' if negated else ''}NULL)"
        case Not(of):
            return f"(NOT {_sql(of)})"
        case Logic(operator, of):
            return f"({f' {operator} '.join(map(_sql, of))})"
        case Parameter(name, _):
            raise AssertionError(f"{name} is not bound")


def _operation(operator: str, operand: Node) -> str:
    if operator in "+-*" or (isinstance(operand, Number) and operand.value != 0):
        return f" {operator} {_sql(operand)}"
    return f" {operator} NULLIF({_sql(operand)}, 0.0)"


def _if_known(numbers: list[Node], sql: str) -> str:
    """GREATEST and LEAST pass over missing values: here one of them makes the result missing."""
    missing = " OR ".join(f"({_sql(number)} IS NULL)" for number in numbers)
    return f"(CASE WHEN {missing} THEN NULL ELSE {sql} END)"


def _if_finite(numbers: list[Node], sql: str) -> str:
    """A comparison of a result that overflowed, or of no number at all, is unknown. Columns and literals are finite."""
    tests = [f"(ABS({_sql(number)}) <= {_LARGEST})" for number in numbers if not isinstance(number, Number | Column)]
    return f"(CASE WHEN {' AND '.join(tests)} THEN {sql} END)" if tests else sql
