"""The grid: every combination of the parameters' values, its number, and whether rules and grid fit.

A request's id does not know the order in which its parameters were written, so neither may the numbers: parameters go
by name, values as they were given.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from tickloom.rules.binding import Combination, columns_of, name_of, parameters_in, parameters_of
from tickloom.rules.tree import Node

RESERVED = ("combo", "symbol")
"""Names that the tables of trials use for themselves."""

Values = Mapping[str, Sequence[int | float]]
"""The values of each parameter."""


def combinations(parameters: Values) -> list[Combination]:
    """Return all combinations; the last parameter by name varies fastest. Without parameters there is one, empty."""
    names = sorted(parameters)
    return [dict(zip(names, values, strict=True)) for values in product(*(parameters[name] for name in names))]


def column_names(node: Node, parameters: Values) -> Iterator[str]:
    """Yield the names of the columns that a rule reads somewhere in the grid."""
    for column in set(columns_of(node)):
        for combination in combinations({name: parameters[name] for name in parameters_in(column)}):
            yield name_of(column, combination)


def check_parameters(rules: Mapping[str, Node], parameters: Values) -> None:
    """Raise ValueError where rules and grid do not name the same parameters, or a value can be no part of a name."""
    used: set[str] = set()
    for rule, node in rules.items():
        for name in sorted(parameters_of(node)):
            if name not in parameters:
                known = ", ".join(parameters) or "none"
                raise ValueError(f"{rule}: {{{name}}} has no values in the grid, whose parameters are: {known}")
            used.add(name)
        for column in columns_of(node):
            for name in parameters_in(column):
                _check_whole(f"{rule}, character {column.position + 1}: {{{name}}}", parameters[name])
    for name, values in parameters.items():
        if name not in used:
            raise ValueError(f"no rule uses {{{name}}}: each trial would be made {len(values)} times")


def _check_whole(parameter: str, values: Sequence[int | float]) -> None:
    for value in values:
        if isinstance(value, float) or value < 0:
            raise ValueError(f"{parameter} in a column's name is a whole number, not {value}")


def check_values(parameters: Values) -> None:
    """Raise ValueError where a name is taken or a value is given twice."""
    for name, values in parameters.items():
        if name in RESERVED:
            raise ValueError(f"{name} is a column of the table of trials: choose another name")
        value, times = Counter(values).most_common(1)[0]
        if times > 1:
            raise ValueError(f"{value} is given twice for {name}, and would be tried twice")
