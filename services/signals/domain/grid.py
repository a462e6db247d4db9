"""The grid: every combination of the parameters' values, numbered in the order in which they were written."""

from collections.abc import Mapping, Sequence
from itertools import product

from services.signals.domain.binding import parameters_of
from services.signals.domain.errors import UnknownParameter
from services.signals.domain.tree import Node

RESERVED = ("combo", "symbol")
"""Names that the tables of trials use for themselves."""

Combination = dict[str, int | float]


def combinations(parameters: Mapping[str, Sequence[int | float]]) -> list[Combination]:
    """Return all combinations; the last parameter varies fastest. Without parameters there is one, empty."""
    return [dict(zip(parameters, values, strict=True)) for values in product(*parameters.values())]


def check_parameters(rules: Mapping[str, Node], parameters: Mapping[str, Sequence[int | float]]) -> None:
    """Raise UnknownParameter where rules and grid do not fit: a parameter without values, unused, or ill named."""
    used = {name: rule for rule, node in rules.items() for name in sorted(parameters_of(node))}
    for name, rule in used.items():
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise UnknownParameter(rule, f"{{{name}}} has no values in the grid, whose parameters are: {known}")
    for name, values in parameters.items():
        if name in RESERVED:
            raise UnknownParameter("parameters", f"{name} is a column of the table of trials: choose another name")
        if name not in used:
            raise UnknownParameter(
                "parameters", f"no rule uses {{{name}}}: each trial would be made {len(values)} times"
            )
