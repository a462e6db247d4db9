"""A request's rules, parsed once and bound to every set of parameters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.signals.domain.binding import bind, check_columns, columns_of, to_sql
from services.signals.domain.evaluation import clean_frame, truths
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
        return self._columns(map(self._bound, grid), set(known), known)

    def masks(self, grid: Sequence[Combination], columns: Mapping[str, F64], n_bars: int) -> list[I8]:
        """Return the signal mask of each set of parameters, (n_bars,) each. Equal SQL is evaluated once."""
        bound = list(map(self._bound, grid))
        frame = clean_frame(columns, self._columns(bound, set(columns), list(columns)))
        written = [{rule: to_sql(rule, tree) for rule, tree in trees.items()} for trees in bound]
        said = truths(frame, n_bars, {sql: rule for texts in written for rule, sql in texts.items()})
        never = np.full(n_bars, FALSE, np.int8)
        masks = []
        for texts in written:
            long_entry, long_exit, short_entry, short_exit = (
                said[texts[rule]] if rule in texts else never for rule in RULES
            )
            masks.append(signal_mask(long_entry, long_exit, short_entry, short_exit, self.rising_edge))
        return masks

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
