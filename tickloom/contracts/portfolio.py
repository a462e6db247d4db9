"""Many symbols on one cash account: how equity is spread over them, when it is spread anew, and what holds it back."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tickloom.contracts.base import Contract

PORTFOLIO = "PORTFOLIO"
"""What the one account of all symbols is called where results have the name of a symbol."""

UNITS_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}

Span = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,3}[mhdw]$"),
    Field(description="a length of time: 90m, 12h, 1d, 4w", examples=["1w"]),
]
Exposure = Annotated[float, Field(gt=0, le=1000, description="as a fraction of equity: 1 is all of it")]


def span_us(span: str) -> int:
    """Return a length of time in microseconds."""
    return int(span[:-1]) * UNITS_US[span[-1]]


class EqualWeights(Contract):
    """Each symbol that its signal holds has the same weight: exposure / number held."""

    kind: Literal["equal"] = "equal"
    exposure: Exposure = 1.0


class InverseVolatility(Contract):
    """The symbols that their signals hold share the exposure in proportion to 1 / volatility."""

    kind: Literal["inverse_volatility"]
    exposure: Exposure = 1.0


class VolatilityWeights(Contract):
    """Each symbol held has the weight volatility / its own volatility / number of symbols there are, held or not."""

    kind: Literal["volatility_target"]
    volatility: float = Field(gt=0, le=100, description="of each position, a year of 365 days; 0.4 is 40 %")


Weights = Annotated[EqualWeights | InverseVolatility | VolatilityWeights, Field(discriminator="kind")]


class Rebalance(Contract):
    """When weights are made what they shall be."""

    on_signal: Literal["all", "changed", "none"] = Field(
        "all",
        description="what a changed signal trades: all symbols, those it changed for, or none yet",
    )
    every: Span | None = Field(
        None, description="at the first close of each period; weeks begin on Monday, periods at 1970-01-05 00:00 UTC"
    )
    threshold: Annotated[float, Field(gt=0, lt=1000)] | None = Field(
        None, description="distance of any weight from its target at which all are made right"
    )

    @model_validator(mode="after")
    def _trades(self) -> Self:
        if self.on_signal == "none" and self.every is None and self.threshold is None:
            raise ValueError("rebalance: with on_signal none, every or threshold is needed, or nothing is ever traded")
        return self


class Limits(Contract):
    """What the account may hold, and the losses that end it. Weights are cut back, never shared out anew."""

    max_weight: Exposure | None = Field(None, description="of one symbol, long or short")
    max_gross: Exposure | None = Field(None, description="longs and shorts together; without it, leverage")
    max_net: Annotated[float, Field(ge=0, le=1000)] | None = Field(
        None, description="longs less shorts, either way; without it, max_gross"
    )
    min_holdings: int = Field(
        1, ge=1, le=1000, description="no symbol may have more than this part of max_gross: 5 is a fifth"
    )
    max_drawdown: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="fall of equity from its highest at which everything is sold"
    )
    max_daily_loss: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="loss since the last close of the day before at which all is sold for the rest of the UTC day",
    )
    cooldown: Span | None = Field(
        None, description="how long after such a sale nothing is bought; after a drawdown without it: never again"
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.max_drawdown is None and self.max_daily_loss is None and self.cooldown is not None:
            raise ValueError("limits.cooldown: follows a halt, so it needs max_drawdown or max_daily_loss")
        if self.max_drawdown and self.max_daily_loss and self.max_daily_loss >= self.max_drawdown:
            raise ValueError("limits.max_daily_loss: must be below max_drawdown, which would always come first")
        if self.max_gross is not None and self.max_net is not None and self.max_net > self.max_gross:
            raise ValueError("limits.max_net: is above max_gross, and the net exposure never is")
        if self.max_gross is not None and self.max_weight is not None and self.max_weight > self.max_gross:
            raise ValueError("limits.max_weight: is above max_gross, and the weight of one symbol never is")
        return self


class Portfolio(Contract):
    """All symbols of the signals on one cash account."""

    weights: Weights = EqualWeights()
    rebalance: Rebalance = Rebalance()
    limits: Limits = Limits()

    def max_gross(self, leverage: float) -> float:
        """Return the gross exposure allowed, as a fraction of equity."""
        return leverage if self.limits.max_gross is None else self.limits.max_gross

    def contradiction(self, leverage: float) -> str:
        """Return what does not go together in an account of this leverage; nothing where all does."""
        gross, limits = self.max_gross(leverage), self.limits
        if gross > leverage:
            return f"limits.max_gross: {gross:g} needs leverage {gross:g} or more, and leverage is {leverage:g}"
        if limits.max_net is not None and limits.max_net > gross:
            return f"limits.max_net: {limits.max_net:g} is above the gross exposure allowed, {gross:g}"
        if limits.max_weight is not None and limits.max_weight > gross:
            return f"limits.max_weight: {limits.max_weight:g} is above the gross exposure allowed, {gross:g}"
        if not isinstance(self.weights, VolatilityWeights) and self.weights.exposure > gross:
            return f"weights.exposure: {self.weights.exposure:g} is above the gross exposure allowed, {gross:g}"
        return ""
