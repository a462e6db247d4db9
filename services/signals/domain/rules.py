"""A request's rules, parsed once and bound to every set of parameters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.signals.domain.binding import bind, check_columns, columns_of
from services.signals.domain.grammar import parse
from services.signals.domain.grid import Combination, check_parameters
from services.signals.domain.program import Program, clean_columns
from services.signals.domain.tree import Node
from services.signals.kernels.masks import Changes, Truths, signal_changes
from tickloom.contracts.signals import SignalsRequest
from tickloom.kernel import F64

RULES = ("long_entry", "long_exit", "short_entry", "short_exit")


@dataclass(frozen=True)
class Rules:
    """The rules of one request as trees; a rule that was not given is absent."""

    trees: Mapping[str, Node]
    rising_edge: bool

    @classmethod
    def of(cls, request: SignalsRequest) -> "Rules":
        """Parse a request's rules. Raises RuleNotAllowed, RuleTooLarge, UnknownParameter, InvalidRequest."""
        texts = {rule: getattr(request, rule) for rule in RULES}
        trees = {rule: parse(rule, text) for rule, text in texts.items() if text is not None}
        check_parameters(trees, request.parameters)
        return cls(trees, request.trigger == "rising_edge")

    def columns(self, grid: Sequence[Combination], known: Sequence[str]) -> list[str]:
        """Return the columns that the rules read somewhere in `grid`, sorted. Raises UnknownColumn."""
        return self._columns(map(self._bound, grid), set(known), known)

    def changes(self, grid: Sequence[Combination], columns: Mapping[str, F64], n_bars: int) -> list[Changes]:
        """Return the changes of each parameter set's signal mask over columns of (n_bars,). Raises UnknownColumn."""
        bound = list(map(self._bound, grid))
        names = self._columns(bound, set(columns), list(columns))
        program, never = Program(names), np.zeros(-(-n_bars // 8) * 8, np.bool_)
        rows = [self._rows(program, trees) for trees in bound]
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
        return {rule: bind(rule, tree, combination) for rule, tree in self.trees.items()}

    def _columns(self, bound: Iterable[Mapping[str, Node]], there: set[str], known: Sequence[str]) -> list[str]:
        names: set[str] = set()
        for trees in bound:
            for rule, tree in trees.items():
                read = columns_of(tree)
                if not there.issuperset(read):
                    check_columns(rule, tree, known)
                names.update(read)
        return sorted(names)
