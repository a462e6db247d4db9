"""What the backtest stage is asked for: money, costs, risk, and what counts as best."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tickloom.contracts.base import Contract, Rate
from tickloom.contracts.portfolio import Portfolio

VERSION = 7

ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,99}$")]

Objective = Literal["sharpe_ratio", "sortino_ratio", "calmar_ratio", "total_return", "cagr", "profit_factor"]


class FullCapital(Contract):
    """Each entry puts all cash to work, costs included."""

    kind: Literal["full_capital"] = "full_capital"


class FixedFraction(Contract):
    """Each entry puts a fixed fraction of equity to work, costs included."""

    kind: Literal["fixed_fraction"]
    fraction: float = Field(gt=0, le=1)


class FixedNotional(Contract):
    """Each entry buys or sells the same notional."""

    kind: Literal["fixed_notional"]
    notional: float = Field(gt=0, le=1e15, description="quote currency")


class VolatilityTarget(Contract):
    """Each entry is as large as makes the position's volatility the target: target / volatility, times equity."""

    kind: Literal["volatility_target"]
    volatility: float = Field(gt=0, le=100, description="standard deviation of returns over a year of 365 days")


class RiskPerTrade(Contract):
    """Each entry is as large as loses the share of equity, costs included, where the stop fills at its price."""

    kind: Literal["risk_per_trade"]
    risk: float = Field(gt=0, lt=1, description="share of equity")


Sizing = Annotated[
    FullCapital | FixedFraction | FixedNotional | VolatilityTarget | RiskPerTrade, Field(discriminator="kind")
]


class MarketEntry(Contract):
    """Enter at the market, at the open of the bar after the signal."""

    kind: Literal["market"] = "market"


class LimitEntry(Contract):
    """Enter by a limit order, which rests from the bar after the signal on."""

    kind: Literal["limit"]
    offset_rate: Rate = Field(description="distance of the limit from the signal's close, to the better side")
    bars: int = Field(ge=1, le=100_000, description="for how many bars it rests")


Entry = Annotated[MarketEntry | LimitEntry, Field(discriminator="kind")]


class VolumeShare(Contract):
    """A fill moves its price by factor * (quantity / volume of its bar) ** 2."""

    kind: Literal["volume_share"]
    factor: float = Field(0.1, gt=0, le=1000)
    cap: Rate = Field(0.1, description="the most that a fill moves its price")


class SquareRoot(Contract):
    """A fill moves its price by factor * volatility over its bar * (quantity / volume of its bar) ** 0.5."""

    kind: Literal["square_root"]
    factor: float = Field(1.0, gt=0, le=1000)
    cap: Rate = Field(0.1, description="the most that a fill moves its price")


Impact = Annotated[VolumeShare | SquareRoot, Field(discriminator="kind")]


class FeatureStop(Contract):
    """A stop whose distance is read from a feature at the close of the signal's bar, as that of an ATR stop is."""

    kind: Literal["feature"] = "feature"
    column: ColumnName = Field(description="column of the features, quote per base: atr_20", examples=["atr_20"])
    multiple: float = Field(1.0, gt=0, le=1000, description="the distance from the entry fill, in values of the column")


IS_A_METRIC = "is the name of a metric: call the parameter something else"
NO_IMPACT_OF_CONTRACTS = "volumes of COIN-M are numbers of contracts, so what share of them a fill takes is not known"


InsideBar = Literal["order", "fills", "guess"]
"""What decides inside a bar that reaches several prices: its trades, in their order; them, and for the prices of fills
too; or the usual guess."""


class BacktestRequest(Contract):
    """Trade the signals: fills at the next bar's open or at limits, costs, stops, targets, margin, exact accounts.

    Each symbol has an account of its own with `initial_cash`, or all share one (`portfolio`). Every parameter set is a
    trial; the best of each account by `objective` gets its trades and equity curve.
    """

    initial_cash: float = Field(10_000.0, gt=0, le=1e15, description="quote currency")
    commission_rate: Rate = 0.001
    slippage_rate: Rate = 0.0005
    stop_loss_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="distance of the stop from the entry fill, a fraction"
    )
    stop_loss: FeatureStop | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="a stop at a distance that varies by entry, in place of stop_loss_rate",
    )
    take_profit_rate: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        None, description="distance of the target from the entry fill, a fraction"
    )
    trailing_stop_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="distance of the trailing stop from the best price since the entry, a fraction"
    )
    entry: Entry = MarketEntry()
    maker_rate: Rate | None = Field(
        None, description="commission of fills at a limit that rested; without it, commission_rate"
    )
    spread_rate: Rate = Field(0.0, description="quoted spread: a fill that takes pays half, on top of slippage_rate")
    impact: Impact | None = Field(None, description="how a fill's own size moves its price")
    latency_ms: int = Field(
        0,
        ge=0,
        le=86_400_000,
        exclude_if=lambda value: value == 0,
        description="how long a signal takes from the close of its bar: it is acted on at the first open after that",
    )
    sizing: Sizing = FullCapital()
    volatility_bars: int = Field(
        96, ge=2, le=1_000_000, description="bars over which sizing and impact measure volatility"
    )
    lot_step: Annotated[float, Field(gt=0, le=1e15)] | None = Field(None, description="quantities are multiples of it")
    min_notional: float = Field(0.0, ge=0, le=1e15, description="quote currency; smaller entries are refused")
    leverage: float = Field(1.0, ge=1, le=1000, description="notional over equity at an entry, at most")
    maintenance_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="share of the notional that equity may not fall to: there the position is liquidated"
    )
    inside_bar: InsideBar = Field(
        "order",
        description="order: where a bar reaches several of stop, target, limit, its own trades say which came first; "
        "fills: and each stop fills at the trade that reached it, each limit that rested at its limit; guess: the stop "
        "came first",
    )
    objective: Objective = "sharpe_ratio"
    portfolio: Portfolio | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="all symbols on one account of initial_cash; without it, each has an account of its own",
    )

    @model_validator(mode="after")
    def _is_one_account(self) -> Self:
        """Refuse what one account of many symbols cannot do yet, rather than leave it out."""
        if self.portfolio is None:
            return self
        stops = ("stop_loss_rate", "stop_loss", "take_profit_rate", "trailing_stop_rate")
        for name in (*stops, "impact", "maker_rate"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: an account of many symbols trades at the open of a bar; leave it out there")
        if not isinstance(self.entry, MarketEntry):
            raise ValueError("entry: an account of many symbols enters at the market; leave it out there")
        if self.latency_ms:
            raise ValueError("latency_ms: signals reach an account of many symbols at once; leave it out there")
        if self.inside_bar != "order":
            raise ValueError("inside_bar: an account of many symbols does nothing inside a bar; leave it out there")
        if not isinstance(self.sizing, FullCapital):
            raise ValueError("sizing: in an account of many symbols portfolio.weights decides; leave it out there")
        if reason := self.portfolio.contradiction(self.leverage):
            raise ValueError(f"portfolio.{reason}")
        return self

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.stop_loss is not None and self.stop_loss_rate is not None:
            raise ValueError("stop_loss: a position has one stop-loss, so leave out stop_loss_rate or this")
        if isinstance(self.sizing, RiskPerTrade) and self.stop_loss_rate is None and self.stop_loss is None:
            raise ValueError("sizing: risk_per_trade needs a stop_loss_rate or a stop_loss, which say what is at risk")
        if self.leverage > 1 and self.maintenance_rate is None:
            raise ValueError("maintenance_rate: is needed with leverage, for who borrows can be liquidated")
        if self.maintenance_rate is not None and self.maintenance_rate * self.leverage >= 1:
            raise ValueError("maintenance_rate: times leverage is 1 or more, so an entry would be liquidated at once")
        return self
