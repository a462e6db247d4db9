"""A request's rules, parsed once and bound to every set of parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.signals.domain.program import Program, clean_columns
from services.signals.kernels.masks import Changes, Truths, signal_changes
from tickloom.contracts.signals import SignalsRequest
from tickloom.kernel import F64
from tickloom.rules.binding import PREVIOUS, Combination, bind, columns_of, name_of
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
        program, never = Program(names), np.zeros(-(-n_bars // 8) * 8, np.bool_)
        rows = [self._rows(program, self._bound(combination)) for combination in grid]
        results = program.run(clean_columns(names, columns, n_bars))
        said = (Truths(*(never if row is None else results[row] for row in of_set)) for of_set in rows)
        return [signal_changes(of_set, n_bars, self.rising_edge) for of_set in said]

    def _rows(self, program: Program, trees: Mapping[str, Node]) -> list[int | None]:
        """Add the rules of one parameter set; return the rows of the results that its `Truths` are.

        Where an entry fails matters to a rising edge alone.
        """
        rows: list[int | None] = []
        for side in ("long", "short"):
            entry, leave = trees.get(f"{side}_entry"), trees.get(f"{side}_exit")
            rows.append(program.holds(entry) if entry else None)
            rows.append(program.fails(entry) if entry and self.rising_edge else None)
            rows.append(program.holds(leave) if leave else None)
        return rows

    def _bound(self, combination: Combination) -> dict[str, Node]:
        return {rule: bind(tree, combination) for rule, tree in self.trees.items()}
