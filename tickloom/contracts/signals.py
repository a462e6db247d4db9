"""What the signals stage is asked for: when to enter and leave, and the grid of parameters to try."""

from math import prod
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tickloom.contracts.base import AsTuple, Contract, Sha256

VERSION = 1
MAX_COMBINATIONS = 10_000

# Bits of a signal mask: what is known at the close of a bar, to be acted on at the next bar's open.
LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT = 1, 2, 4, 8

Rule = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
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
    ] = Field(default_factory=dict, max_length=16, examples=[{"fast": [5, 10], "slow": [20, 50]}])
    trigger: Literal["rising_edge", "level"] = Field(
        "rising_edge",
        description="rising_edge: an entry fires on the bar where its rule turns true; level: on every bar where it is",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        rules = (self.long_entry, self.long_exit, self.short_entry, self.short_exit)
        if self.strategy is not None and (any(rule is not None for rule in rules) or self.trigger != "rising_edge"):
            raise ValueError("strategy: decides in place of rules: leave out long_entry to short_exit, and trigger")
        if self.strategy is None and self.long_entry is None and self.short_entry is None:
            raise ValueError("long_entry or short_entry is needed: without either nothing is ever bought or sold")
        if self.n_combinations() > MAX_COMBINATIONS:
            raise ValueError(
                f"parameters: the grid has {self.n_combinations():,} combinations, at most {MAX_COMBINATIONS:,} "
                "are allowed: thin it out or split it"
            )
        return self

    def n_combinations(self) -> int:
        """Return the number of parameter sets in the grid, 1 without parameters."""
        return prod(len(values) for values in self.parameters.values())
