"""A rule bound to one set of parameters, and the columns that it reads."""

import re
from collections.abc import Mapping

from tickloom.rules.tree import Column, Node, Number, Parameter, children, walk, with_children

PREVIOUS = "prev_"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")

Combination = dict[str, int | float]
"""One value for each parameter of a grid."""


def columns_of(node: Node) -> list[Column]:
    """Return the columns that a rule reads, from left to right; their names may hold `{name}`s."""
    return [part for part in walk(node) if isinstance(part, Column)]


def parameters_in(column: Column) -> list[str]:
    """Return the names of the parameters in a column's name."""
    return _PLACEHOLDER.findall(column.name)


def parameters_of(node: Node) -> set[str]:
    """Return the names of the parameters that a rule uses."""
    numbers = {part.name for part in walk(node) if isinstance(part, Parameter)}
    return numbers.union(*map(parameters_in, columns_of(node)))


def name_of(column: Column, parameters: Mapping[str, int | float]) -> str:
    """Return a column's name with numbers for its parameters. The grammar lets nothing else stand in braces."""
    return column.name.format_map(parameters)


def bind(node: Node, parameters: Mapping[str, int | float]) -> Node:
    """Return the tree with numbers for its parameters."""
    match node:
        case Parameter(name, _):
            return Number(float(parameters[name]))
        case Column(_, position):
            return Column(name_of(node, parameters), position)
    return with_children(node, tuple(bind(child, parameters) for child in children(node)))
