"""What the bars stage is asked for: the rule by which a bar closes."""

from typing import Annotated, Literal

from pydantic import Field

from tickloom.contracts.base import Contract, Exact
from tickloom.contracts.download import Interval

VERSION = 1


class TimeBars(Contract):
    """A bar for each interval of the clock, [start, end). An interval without trades has no bar."""

    kind: Literal["time"]
    interval: Interval


class TickBars(Contract):
    """A bar closes on its n-th trade."""

    kind: Literal["tick"]
    threshold: int = Field(ge=1, le=10**12, description="trades")


class VolumeBars(Contract):
    """A bar closes on the trade by which its volume reaches the threshold; the trade belongs to it whole."""

    kind: Literal["volume"]
    threshold: Exact = Field(gt=0, description="base currency")


class DollarBars(Contract):
    """A bar closes on the trade by which its notional reaches the threshold; the trade belongs to it whole."""

    kind: Literal["dollar"]
    threshold: Exact = Field(gt=0, description="quote currency", examples=[1000000])


BarSpec = Annotated[TimeBars | TickBars | VolumeBars | DollarBars, Field(discriminator="kind")]


class BarsRequest(Contract):
    """Aggregate trades into bars. Klines become time bars of their own or a longer interval."""

    spec: BarSpec = Field(examples=[{"kind": "dollar", "threshold": 1000000}])
