"""A request's rules, parsed once and bound to every set of parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.signals.domain.program import Program, clean_columns
from services.signals.kernels.masks import Changes, signal_changes
from tickloom.contracts.signals import RULES, SignalsRequest
from tickloom.kernel import F64
from tickloom.rules.binding import PREVIOUS, Combination, columns_of, name_of
from tickloom.rules.errors import UnknownColumn
from tickloom.rules.tree import Node


@dataclass(frozen=True)
class Rules:
    """The rules of one request as trees; a rule that was not given is absent."""

    trees: Mapping[str, Node]
    rising_edge: bool

    @classmethod
    def of(cls, request: SignalsRequest) -> "Rules":
        """Parse a request's rules, which were checked when it was made."""
        return cls(request.trees(), request.trigger == "rising_edge")

    def columns(self, grid: Sequence[Combination], known: Sequence[str]) -> list[str]:
        """Return the columns that the rules read somewhere in `grid`, sorted.

        Raises UnknownColumn where one is neither in `known` nor one of them, a bar earlier.
        """
        there, read = {*known, *(f"{PREVIOUS}{name}" for name in known)}, set[str]()
        for rule, tree in self.trees.items():
            names = {name_of(column, combination) for column in columns_of(tree) for combination in grid}
            if unknown := sorted(names - there):
                raise UnknownColumn(rule, unknown[0], known)
            read |= names
        return sorted(read)

    def changes(self, grid: Sequence[Combination], columns: Mapping[str, F64], n_bars: int) -> list[Changes]:
        """Return the changes of each parameter set's signal mask over columns of (n_bars,). Raises UnknownColumn."""
        names = self.columns(grid, list(columns))
        program = Program(names)
        rows = [[program.add(self.trees[rule], combination) for rule in self.trees] for combination in grid]
        results = program.run(clean_columns(names, columns, n_bars))
        never = np.zeros_like(results[0])
        changes = []
        for of_set in rows:
            said = {rule: results[row] for rule, row in zip(self.trees, of_set, strict=True)}
            long_entry, long_exit, short_entry, short_exit = (said.get(rule, never) for rule in RULES)
            changes.append(signal_changes(long_entry, long_exit, short_entry, short_exit, n_bars, self.rising_edge))
        return changes
