"""The look-ahead detector as an option of a run: what is asked of it, and what it said."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tickloom.contracts.base import AsTuple, Contract, Symbol

Count = Annotated[int, Field(ge=0, le=10**15)]
Text = Annotated[str, StringConstraints(max_length=300)]


class ProbeRequest(Contract):
    """Look for look-ahead once the chain is through, before its report is drawn."""

    cuts: int = Field(
        8,
        ge=1,
        le=1000,
        description="moments that are drawn to cut the data at, two runs each; some more are always cut",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="the same seed, the same cuts")
    on_leak: Literal["fail", "warn"] = Field(
        "fail", description="fail: the command ends with a failure; warn: it says so"
    )


class ProbeLeak(Contract):
    """The first value that changed with data later than the moment at which it was published.

    Or, as `warm_up`, that changed with where the data begin, after as many bars as its feature says that it needs.
    """

    kind: Literal["look_ahead", "warm_up"] = "look_ahead"
    stage: Literal["bars", "features", "signals", "fills", "equity", "choices"]
    table: Text
    column: Text
    published: int = Field(ge=0, le=10**16, description="microseconds UTC")
    whole: Text = Field(description="what it is with all the data")
    other: Text = Field(description="what it is where the data end, or are false, after it; or begin later")


class ProbeVerdict(Contract):
    """What the detector said of a run."""

    cuts: Count
    seed: Count
    runs: Count
    refused: Count = Field(0, description="runs that a stage refused: they tell nothing")
    rows: Count
    columns: Count
    symbols: Annotated[tuple[Symbol, ...], AsTuple] = Field(max_length=1000)
    n_traded: Count = Field(description="parameter sets whose fills were compared")
    n_combos: Count
    leak: ProbeLeak | None = None
