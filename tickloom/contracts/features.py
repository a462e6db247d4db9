"""What the features stage is asked for. Names and parameters are TA-Lib's.

Each feature makes one or more columns named after it and its period: `sma` with timeperiod 20 makes `sma_20`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from tickloom.contracts.bars import BarsName
from tickloom.contracts.base import AsTuple, Contract, tuple_of_list

VERSION = 1
MAX_COLUMNS = 1_000

Period = Annotated[int, Field(ge=1, le=100_000, description="bars")]


def _periods(value: Any) -> Any:
    return (value,) if isinstance(value, int) else tuple_of_list(value)


class Periods(Contract):
    """One period or several: each makes its own columns. A number and a list of that one number are equal requests."""

    lines: ClassVar[tuple[str, ...]] = ("",)
    name: str
    timeperiod: Annotated[
        tuple[Period, ...],
        BeforeValidator(_periods, json_schema_input_type=Period | list[Period]),
        Field(min_length=1, max_length=MAX_COLUMNS),
    ]

    def periods(self) -> tuple[int, ...]:
        return self.timeperiod

    def columns(self, timeperiod: int) -> tuple[str, ...]:
        """Return the names of the columns made for one period: `sma_20`, or `bbands_upper_20` and its like."""
        return tuple("_".join(filter(None, (self.name, line, str(timeperiod)))) for line in self.lines)


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

    lines: ClassVar[tuple[str, ...]] = ("upper", "middle", "lower")
    name: Literal["bbands"]
    nbdevup: float = Field(2.0, gt=0, le=100)
    nbdevdn: float = Field(2.0, gt=0, le=100)


class Donchian(Periods):
    """Donchian channel, highest high to lowest low: `donchian_upper_<n>`, `_middle_<n>`, `_lower_<n>`."""

    lines: ClassVar[tuple[str, ...]] = ("upper", "middle", "lower")
    name: Literal["donchian"]


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
    Sma | Ema | Rsi | Atr | Bbands | Donchian | LogReturn | Volatility | Mom | VolumeZscore, Field(discriminator="name")
]


def is_feature(column: str) -> bool:
    """Return whether only a feature can have this name: those end in a period, no column of bars ends in a number."""
    return re.search(r"_[0-9]+$", column) is not None


def not_made(column: str, made: Sequence[str]) -> str:
    """Return what is wrong where the features make the columns `made`; nothing if the column is one of them."""
    if column in made:
        return ""
    close = get_close_matches(column, made, n=3)
    return f"the features do not make {column}; " + (
        f"did you mean {' or '.join(close)}?" if close else f"they make {', '.join(made[:20])}"
    )


class FeaturesRequest(Contract):
    """Compute features over bars. A value at a bar depends on that bar and the bars before it alone."""

    bars: BarsName | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="which of the bars, where the artifact holds several kinds; what follows is made of these",
    )
    features: Annotated[tuple[FeatureSpec, ...], AsTuple] = Field(
        min_length=1,
        max_length=200,
        examples=[[{"name": "sma", "timeperiod": [5, 10, 20]}, {"name": "ema", "timeperiod": 200}]],
    )

    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns asked for, in order."""
        return tuple(name for spec in self.features for n in spec.periods() for name in spec.columns(n))

    @model_validator(mode="after")
    def _one_name_one_column(self) -> Self:
        names = self.columns()
        if len(names) > MAX_COLUMNS:
            raise ValueError(f"{len(names):,} columns are asked for; at most {MAX_COLUMNS:,} fit in one artifact")
        if twice := sorted(name for name, count in Counter(names).items() if count > 1):
            raise ValueError(f"asked for more than once: {', '.join(twice)}")
        return self
