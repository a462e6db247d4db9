"""What can be wrong with a rule. Each error names the rule, the place in it, and the way out."""

from collections.abc import Sequence
from difflib import get_close_matches

from tickloom.errors import BadRequest


class RuleNotAllowed(BadRequest):
    """A rule says something that rules may not say."""

    next_step = (
        "docs/signals.md lists what a rule may use: columns, numbers, + - * / %, comparisons, AND OR NOT, BETWEEN"
    )

    def __init__(self, rule: str, position: int, reason: str) -> None:
        super().__init__(rule, position, reason)
        self.rule, self.position, self.reason = rule, position, reason

    @property
    def fault(self) -> str:
        """What is wrong, and where in the rule."""
        return f"character {self.position + 1}: {self.reason}"

    def __str__(self) -> str:
        return f"{self.rule}, {self.fault}"


class RuleTooLarge(BadRequest):
    """A rule is longer, deeper or wider than any rule needs to be."""

    next_step = "split the rule: compute part of it as a feature"

    def __init__(self, rule: str, fault: str) -> None:
        super().__init__(rule, fault)
        self.rule, self.fault = rule, fault

    def __str__(self) -> str:
        return f"{self.rule}: {self.fault}"


class UnknownColumn(BadRequest):
    """A rule names a column that the features do not have."""

    next_step = "use one of the columns named, or add the feature to the features request"

    def __init__(self, rule: str, column: str, columns: Sequence[str]) -> None:
        super().__init__(rule, column, tuple(columns))
        self.rule, self.column, self.columns = rule, column, tuple(columns)

    def __str__(self) -> str:
        close = get_close_matches(self.column, [*self.columns, *(f"prev_{name}" for name in self.columns)], n=3)
        known = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(self.columns)}"
        return f"{self.rule}: there is no column {self.column}: {known}"
