"""What the viz stage is asked for: how the report is called and how much it draws."""

from typing import Annotated

from pydantic import Field

from tickloom.contracts.base import Contract, Symbol
from tickloom.contracts.probe import ProbeVerdict
from tickloom.tries import Tries

VERSION = 7


class Ratios(Contract):
    """Sums over Sharpe ratios, each in standard errors of a trial without skill: see tickloom/tries.py."""

    n: int = Field(ge=0, le=10**12, description="trials that have one, or are taken to")
    total: float
    squares: float = Field(ge=0)


class VizRequest(Contract):
    """Draw the report of a backtest: one HTML file that opens without a server, pictures, tables."""

    title: str = Field("", max_length=120, description="default: the symbols, bars and days")
    earlier_trials: dict[Symbol, Annotated[int, Field(ge=0, le=10**12)]] = Field(
        default_factory=dict,
        max_length=50,
        description="filled in at submission: by symbol, how many trials other searches have run on the same data",
    )
    earlier_ratios: dict[Symbol, Ratios] = Field(
        default_factory=dict,
        max_length=50,
        description="filled in at submission: by symbol, how far apart the Sharpe ratios of those trials came out",
    )
    probe: ProbeVerdict | None = Field(
        None, exclude_if=lambda value: value is None, description="what the look-ahead detector said of the run"
    )
    max_candles: int = Field(5000, ge=100, le=50_000, description="candles drawn per symbol; more are merged")

    def earlier(self) -> dict[str, Tries]:
        """Return what other searches have tried, by symbol; where only their number is told, as if without skill."""
        found = {}
        for symbol, n in self.earlier_trials.items():
            one = self.earlier_ratios.get(symbol)
            found[symbol] = Tries(n, one.n, one.total, one.squares) if one else Tries.unknown(n)
        return found
