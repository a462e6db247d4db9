"""The grid: every combination of the parameters' values, and its number.

A request's id does not know the order in which its parameters were written, so neither may the numbers: parameters go
by name, values as they were given.
"""

from collections.abc import Mapping, Sequence
from itertools import product

from services.signals.domain.binding import parameters_of
from services.signals.domain.errors import UnknownParameter
from services.signals.domain.tree import Node
from tickloom.errors import InvalidRequest

RESERVED = ("combo", "symbol")
"""Names that the tables of trials use for themselves."""

Combination = dict[str, int | float]


def combinations(parameters: Mapping[str, Sequence[int | float]]) -> list[Combination]:
    """Return all combinations; the last parameter by name varies fastest. Without parameters there is one, empty."""
    names = sorted(parameters)
    return [dict(zip(names, values, strict=True)) for values in product(*(parameters[name] for name in names))]


def check_parameters(rules: Mapping[str, Node], parameters: Mapping[str, Sequence[int | float]]) -> None:
    """Raise where rules and grid do not fit: UnknownParameter, and InvalidRequest for a name or a value."""
    used = {name: rule for rule, node in rules.items() for name in sorted(parameters_of(node))}
    for name, rule in used.items():
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise UnknownParameter(rule, f"{{{name}}} has no values in the grid, whose parameters are: {known}")
    check_values(parameters)
    for name, values in parameters.items():
        if name not in used:
            raise UnknownParameter(
                "parameters", f"no rule uses {{{name}}}: each trial would be made {len(values)} times"
            )


def check_values(parameters: Mapping[str, Sequence[int | float]]) -> None:
    """Raise InvalidRequest where a name is taken or a value is given twice."""
    for name, values in parameters.items():
        if name in RESERVED:
            raise InvalidRequest(f"parameters.{name}", "is a column of the table of trials: choose another name")
        if len(set(values)) < len(values):
            twice = next(value for k, value in enumerate(values) if value in values[:k])
            raise InvalidRequest(f"parameters.{name}", f"{twice} is given twice, and would be tried twice")
