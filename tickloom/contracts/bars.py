"""What the bars stage is asked for: the rule by which a bar closes."""

from typing import Annotated, Literal

from pydantic import Field

from tickloom.contracts.base import Contract, Exact
from tickloom.contracts.download import Interval

VERSION = 1

Excess = Annotated[
    Literal["drop", "carry", "split"],
    Field(description="what becomes of a crossing trade's part beyond the threshold, see docs/bars.md"),
]
Reset = Annotated[
    Literal["never", "daily"],
    Field(description="daily: the bar open at midnight UTC closes there, and each day starts from nothing"),
]


class TimeBars(Contract):
    """A bar for each interval of the clock, [start, end). An interval without trades has no bar."""

    kind: Literal["time"]
    interval: Interval


class TickBars(Contract):
    """A bar closes on its n-th trade. It has no excess: a trade counts one."""

    kind: Literal["tick"]
    threshold: int = Field(ge=1, le=10**12, description="trades")
    reset: Reset = "never"


class VolumeBars(Contract):
    """A bar closes on the trade by which its volume reaches the threshold."""

    kind: Literal["volume"]
    threshold: Exact = Field(gt=0, description="base currency")
    excess: Excess = "drop"
    reset: Reset = "never"


class DollarBars(Contract):
    """A bar closes on the trade by which its notional reaches the threshold."""

    kind: Literal["dollar"]
    threshold: Exact = Field(gt=0, description="quote currency", examples=[1000000])
    excess: Excess = "drop"
    reset: Reset = "never"


class InformationBars(Contract):
    """A bar closes when its flow is more one-sided than expected. The expectation follows the bars, within guards."""

    expected_trades: int = Field(ge=2, le=10**9, description="trades in the first bar, the first expectation")
    bars_window: int = Field(default=20, ge=1, le=10**6, description="bars over which the trades of a bar are averaged")
    trades_window: int = Field(default=10_000, ge=1, le=10**9, description="trades over which the flow is averaged")
    floor: float = Field(default=0.25, gt=0, le=1, description="least trades expected, as a part of expected_trades")
    cap: float = Field(default=4.0, ge=1, le=10**6, description="most trades expected, and most in a bar, likewise")
    clamp: float = Field(default=1.5, gt=1, le=10**6, description="most change of the trades expected, by bar: x or /")
    reset: Reset = "never"


class ImbalanceBars(InformationBars):
    """A bar closes when |bought - sold| reaches what is expected of a bar, in trades, volume or notional."""

    kind: Literal["tick_imbalance", "volume_imbalance", "dollar_imbalance"]
    imbalance_floor: float = Field(
        default=1.0, ge=0, le=1000, description="least imbalance expected, in standard deviations of a balanced flow"
    )


class RunBars(InformationBars):
    """A bar closes when the larger of bought and sold reaches what is expected of a bar; a flip resets nothing."""

    kind: Literal["tick_run", "volume_run", "dollar_run"]


class RangeBars(Contract):
    """A bar closes on the trade by which its high is a range above its low."""

    kind: Literal["range"]
    size: Exact = Field(gt=0, description="quote currency, high less low")
    reset: Reset = "never"


class RenkoBars(Contract):
    """A bar closes on the trade by which the price completes a brick, or two against the last one's direction."""

    kind: Literal["renko"]
    size: Exact = Field(gt=0, description="quote currency, the height of a brick")
    reset: Reset = "never"


BarSpec = Annotated[
    TimeBars | TickBars | VolumeBars | DollarBars | ImbalanceBars | RunBars | RangeBars | RenkoBars,
    Field(discriminator="kind"),
]


class BarsRequest(Contract):
    """Aggregate trades into bars. Klines become time bars of their own or a longer interval."""

    spec: BarSpec = Field(examples=[{"kind": "dollar", "threshold": 1000000}])
