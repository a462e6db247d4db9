"""What a rule reads: the columns, and the parameters in their names and beside them."""

import re
from collections.abc import Mapping

from tickloom.rules.tree import Column, Node, Parameter, walk

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
