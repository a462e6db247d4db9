"""A rule bound to one set of parameters, and the columns that it reads."""

import re
from collections.abc import Mapping, Sequence

from services.signals.domain.errors import RuleNotAllowed, UnknownColumn, UnknownParameter
from services.signals.domain.tree import Column, Node, Number, Parameter, children, walk, with_children

PREVIOUS = "prev_"
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
        return with_children(node, tuple(map(bound, children(node))))

    return bound(node)


def check_columns(rule: str, node: Node, columns: Sequence[str]) -> None:
    """Raise UnknownColumn when a bound rule reads a column that is neither in `columns` nor one of them, earlier."""
    for name in columns_of(node):
        if name not in columns and name.removeprefix(PREVIOUS) not in columns:
            raise UnknownColumn(rule, name, columns)
