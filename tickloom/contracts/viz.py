"""What the viz stage is asked for: how the report is called and how much it draws."""

from pydantic import Field

from tickloom.contracts.base import Contract

VERSION = 1


class VizRequest(Contract):
    """Draw the report of a backtest: one HTML file that opens without a server, pictures, tables."""

    title: str = Field("", max_length=120, description="default: the symbols, bars and days")
    max_candles: int = Field(5000, ge=100, le=50_000, description="candles drawn per symbol; more are merged")
