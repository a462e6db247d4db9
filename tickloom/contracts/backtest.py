"""What the backtest stage is asked for: money, costs, risk, and what counts as best."""

from typing import Annotated, Literal

from pydantic import Field

from tickloom.contracts.base import Contract, Rate

VERSION = 1

Objective = Literal["sharpe_ratio", "sortino_ratio", "calmar_ratio", "total_return", "cagr", "profit_factor"]


class FullCapital(Contract):
    """Each entry puts all cash to work, costs included."""

    kind: Literal["full_capital"] = "full_capital"


class FixedFraction(Contract):
    """Each entry puts a fixed fraction of equity to work, costs included."""

    kind: Literal["fixed_fraction"]
    fraction: float = Field(gt=0, le=1)


Sizing = Annotated[FullCapital | FixedFraction, Field(discriminator="kind")]


class BacktestRequest(Contract):
    """Trade the signals: fills at the next bar's open, slippage, commission, a stop, and exact accounts.

    Each symbol has an account of its own with `initial_cash`. Every parameter set is a trial; the best of each symbol
    by `objective` gets its trades and equity curve.
    """

    initial_cash: float = Field(10_000.0, gt=0, le=1e15, description="quote currency")
    commission_rate: Rate = 0.001
    slippage_rate: Rate = 0.0005
    stop_loss_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="distance of the stop from the entry fill, a fraction"
    )
    sizing: Sizing = FullCapital()
    objective: Objective = "sharpe_ratio"
