"""A request's rules, parsed once and bound to every set of parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.signals.domain.binding import bind, check_columns, columns_of, to_sql
from services.signals.domain.evaluation import clean_frame, truth
from services.signals.domain.grammar import parse
from services.signals.domain.grid import Combination, check_parameters
from services.signals.domain.tree import Node
from services.signals.kernels.masks import FALSE, signal_mask
from tickloom.contracts.signals import SignalsRequest
from tickloom.kernel import F64, I8

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
        names: set[str] = set()
        for combination in grid:
            for rule, tree in self.trees.items():
                bound = bind(rule, tree, combination)
                check_columns(rule, bound, known)
                names.update(columns_of(bound))
        return sorted(names)

    def masks(self, grid: Sequence[Combination], columns: Mapping[str, F64], n_bars: int) -> list[I8]:
        """Return the signal mask of each set of parameters, (n_bars,) each. Equal SQL is evaluated once."""
        frame = clean_frame(columns, self.columns(grid, list(columns)))
        seen: dict[str, I8] = {}
        never = np.full(n_bars, FALSE, np.int8)

        def evaluated(rule: str, combination: Combination) -> I8:
            if rule not in self.trees:
                return never
            sql = to_sql(rule, bind(rule, self.trees[rule], combination))
            if sql not in seen:
                seen[sql] = truth(frame, n_bars, rule, sql)
            return seen[sql]

        masks = []
        for combination in grid:
            long_entry, long_exit, short_entry, short_exit = (evaluated(rule, combination) for rule in RULES)
            masks.append(signal_mask(long_entry, long_exit, short_entry, short_exit, self.rising_edge))
        return masks
