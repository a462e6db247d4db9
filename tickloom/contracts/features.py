"""What the features stage is asked for. Names and parameters are TA-Lib's.

Each feature makes one or more columns named after it and its period: `sma` with timeperiod 20 makes `sma_20`.
"""

from typing import Annotated, Literal

from pydantic import Field

from tickloom.contracts.base import AsTuple, Contract

VERSION = 1

Period = Annotated[int, Field(ge=1, le=100_000, description="bars")]


class Periods(Contract):
    """One period or several: each makes its own column."""

    timeperiod: Annotated[tuple[Period, ...], AsTuple] | Period

    def periods(self) -> tuple[int, ...]:
        return self.timeperiod if isinstance(self.timeperiod, tuple) else (self.timeperiod,)


class Sma(Periods):
    """Simple moving average of the close: `sma_<n>`."""

    name: Literal["sma"]


class Ema(Periods):
    """Exponential moving average of the close: `ema_<n>`."""

    name: Literal["ema"]


class Rsi(Periods):
    """Relative strength index (Wilder): `rsi_<n>`."""

    name: Literal["rsi"]


class Atr(Periods):
    """Average true range (Wilder): `atr_<n>`."""

    name: Literal["atr"]


class Bbands(Periods):
    """Bollinger bands: `bbands_upper_<n>`, `bbands_middle_<n>`, `bbands_lower_<n>`."""

    name: Literal["bbands"]
    nbdevup: float = Field(2.0, gt=0, le=100, strict=False)
    nbdevdn: float = Field(2.0, gt=0, le=100, strict=False)


class LogReturn(Periods):
    """Natural logarithm of close over the close n bars before: `log_return_<n>`."""

    name: Literal["log_return"]


class Volatility(Periods):
    """Population standard deviation of 1-bar log returns over n bars: `volatility_<n>`."""

    name: Literal["volatility"]


class Mom(Periods):
    """Momentum, close less the close n bars before: `mom_<n>`."""

    name: Literal["mom"]


class VolumeZscore(Periods):
    """Volume less its n-bar mean, in n-bar standard deviations: `volume_zscore_<n>`."""

    name: Literal["volume_zscore"]


FeatureSpec = Annotated[
    Sma | Ema | Rsi | Atr | Bbands | LogReturn | Volatility | Mom | VolumeZscore, Field(discriminator="name")
]


class FeaturesRequest(Contract):
    """Compute features over bars. A value at a bar depends on that bar and the bars before it alone."""

    features: Annotated[tuple[FeatureSpec, ...], AsTuple] = Field(
        min_length=1,
        max_length=200,
        examples=[[{"name": "sma", "timeperiod": [5, 10, 20]}, {"name": "ema", "timeperiod": 200}]],
    )
