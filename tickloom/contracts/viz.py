"""What the viz stage is asked for: how the report is called and how much it draws."""

from typing import Annotated

from pydantic import Field

from tickloom.contracts.base import Contract, Symbol
from tickloom.contracts.probe import ProbeVerdict

VERSION = 7


class VizRequest(Contract):
    """Draw the report of a backtest: one HTML file that opens without a server, pictures, tables."""

    title: str = Field("", max_length=120, description="default: the symbols, bars and days")
    earlier_trials: dict[Symbol, Annotated[int, Field(ge=0, le=10**12)]] = Field(
        default_factory=dict,
        max_length=50,
        description="filled in at submission: by symbol, how many trials other searches have run on the same data",
    )
    probe: ProbeVerdict | None = Field(
        None, exclude_if=lambda value: value is None, description="what the look-ahead detector said of the run"
    )
    max_candles: int = Field(5000, ge=100, le=50_000, description="candles drawn per symbol; more are merged")
