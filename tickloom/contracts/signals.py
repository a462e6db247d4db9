"""What the signals stage is asked for: when to enter and leave, and the grid of parameters to try."""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from tickloom.contracts.base import AsTuple, Contract, Sha256
from tickloom.rules.errors import RuleNotAllowed, RuleTooLarge
from tickloom.rules.grammar import MAX_LENGTH, parse
from tickloom.rules.grid import Values, check_parameters, check_values, column_names
from tickloom.rules.tree import Node

VERSION = 1
MAX_COMBINATIONS = 10_000

# Bits of a signal mask: what is known at the close of a bar, to be acted on at the next bar's open.
LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT = 1, 2, 4, 8

RULES = ("long_entry", "long_exit", "short_entry", "short_exit")
Rule = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)]
Number = int | Annotated[float, Field(allow_inf_nan=False)]


class InstalledStrategy(Contract):
    """A strategy that is installed where Tickloom runs, and that the operator allows. Its name alone will do."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    package: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="which package, in which version; filled in when the request is accepted"
    )
    source: Sha256 | None = Field(
        None,
        description="digest of the package's files; filled in when the request is accepted, given to insist on it",
    )


def _by_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Strategy = Annotated[InstalledStrategy, BeforeValidator(_by_name, json_schema_input_type=str | InstalledStrategy)]


def _is_none(value: Any) -> bool:
    return value is None


def _trees(fields: Mapping[str, Any]) -> dict[str, Node]:
    return {rule: parse(rule, fields[rule]) for rule in RULES if fields[rule] is not None}


class SignalsRequest(Contract):
    """Turn features into entries and exits by SQL expressions over the feature columns.

    `{name}` in an expression stands for a parameter of the grid: `sma_{fast} > sma_{slow}`. `prev_<column>` is the
    column one bar earlier. A missing value gives no signal. Combinations are numbered from 0 in the order of the
    sorted parameter names, the last name varying fastest, so that equal requests number them alike.

    Instead of rules, an installed strategy may decide: `strategy` names it, `parameters` are its own.
    """

    long_entry: Rule | None = Field(None, examples=["sma_{fast} > sma_{slow} AND close > ema_200"])
    long_exit: Rule | None = Field(None, examples=["sma_{fast} < sma_{slow}"])
    short_entry: Rule | None = None
    short_exit: Rule | None = None
    strategy: Strategy | None = Field(
        None, exclude_if=_is_none, examples=["ema-cross"], description="decides in place of rules"
    )
    parameters: dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")],
        Annotated[tuple[Number, ...], AsTuple, Field(min_length=1, max_length=MAX_COMBINATIONS)],
    ] = Field(
        default_factory=dict, max_length=16, validate_default=True, examples=[{"fast": [5, 10], "slow": [20, 50]}]
    )
    trigger: Literal["rising_edge", "level"] = Field(
        "rising_edge",
        description="rising_edge: an entry fires on the bar where its rule turns true; level: on every bar where it is",
    )

    @field_validator(*RULES)
    @classmethod
    def _is_in_the_language(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None:
            try:
                parse(str(info.field_name), text)
            except (RuleNotAllowed, RuleTooLarge) as error:
                raise ValueError(f"{error.fault} ({error.next_step})") from None
        return text

    @field_validator("parameters")
    @classmethod
    def _are_those_of_the_rules(cls, parameters: Values, info: ValidationInfo) -> Values:
        check_values(parameters)
        is_read = all(name in info.data for name in (*RULES, "strategy"))  # else that is what is wrong
        if is_read and info.data["strategy"] is None:
            check_parameters(_trees(info.data), parameters)
        return parameters

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        is_ruled = any(getattr(self, rule) is not None for rule in RULES)
        if self.strategy is not None and (is_ruled or self.trigger != "rising_edge"):
            raise ValueError("strategy: decides in place of rules: leave out long_entry to short_exit, and trigger")
        if self.strategy is None and self.long_entry is None and self.short_entry is None:
            raise ValueError("long_entry or short_entry is needed: without either nothing is ever bought or sold")
        if self.n_combinations() > MAX_COMBINATIONS:
            raise ValueError(
                f"parameters: the grid has {self.n_combinations():,} combinations, at most {MAX_COMBINATIONS:,} "
                "are allowed: thin it out or split it"
            )
        return self

    def trees(self) -> dict[str, Node]:
        """Return the rules that were given, by name, as trees."""
        return _trees(vars(self))

    def column_names(self) -> Iterator[tuple[str, str]]:
        """Yield each rule with the name of each column that it reads somewhere in the grid."""
        for rule, tree in self.trees().items():
            for name in column_names(tree, self.parameters):
                yield rule, name

    def n_combinations(self) -> int:
        """Return the number of parameter sets in the grid, 1 without parameters."""
        return prod(len(values) for values in self.parameters.values())
