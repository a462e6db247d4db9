"""What the bars stage is asked for: the rule by which a bar closes, and what is measured in it."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.base import Contract, Exact
from tickloom.contracts.download import INTERVAL_US, Interval

VERSION = 2

Excess = Annotated[
    Literal["drop", "carry", "split"],
    Field(description="what becomes of a crossing trade's part beyond the threshold, see docs/bars.md"),
]
Reset = Annotated[
    Literal["never", "daily"],
    Field(description="daily: the bar open at midnight UTC closes there, and each day starts from nothing"),
]
Measure = Literal["amihud", "burstiness", "jumps", "kyle", "large_trades", "order_flow", "roll", "vpin"]
"""A group of microstructure columns, see docs/bars.md."""

MEASURES: tuple[Measure, ...] = get_args(Measure)

FIRST_DAYS = "; with target_bars_per_day, that of the days before the first whole day is known"


def _is_none(value: Any) -> bool:
    return value is None


def _measures(value: Any) -> Any:
    """Read true as every measure, false as none; lists in one order, so that equal requests are equal."""
    if isinstance(value, bool):
        return MEASURES if value else ()
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(sorted(set(value)))
    return value


class TradeBars(Contract):
    """What may be asked of bars of any kind, where they are made of trades."""

    microstructure: Annotated[
        tuple[Measure, ...], BeforeValidator(_measures, json_schema_input_type=bool | list[Measure])
    ] = Field(
        default=(), description="groups of columns beyond those of every bar; true: all, large_trades if it can be"
    )
    large_trade: Exact | None = Field(
        default=None, gt=0, description="quote currency, the notional from which on a trade is large, for large_trades"
    )

    @model_validator(mode="before")
    @classmethod
    def _all_that_can_be(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("microstructure") is True and value.get("large_trade") is None:
            return {**value, "microstructure": [name for name in MEASURES if name != "large_trades"]}
        return value

    @model_validator(mode="after")
    def _large_trades_have_a_size(self) -> Self:
        if ("large_trades" in self.microstructure) != (self.large_trade is not None):
            raise ValueError(
                "large_trade, a notional, goes with large_trades among microstructure: give both or neither"
            )
        return self


class ThresholdBars(TradeBars):
    """What may be asked of bars that close at a threshold: the threshold, or bars a day, from which it follows."""

    target_bars_per_day: int | None = Field(
        default=None, ge=1, le=10**6, exclude_if=_is_none,
        description="the threshold of each day is the mean of the days before it, divided by this",
    )  # fmt: skip
    target_days: int | None = Field(
        default=None, ge=1, le=100, exclude_if=_is_none, description="days before that count for target_bars_per_day: 7"
    )
    reset: Reset = "never"

    @model_validator(mode="before")
    @classmethod
    def _a_week(cls, value: Any) -> Any:
        if (
            isinstance(value, dict)
            and value.get("target_bars_per_day") is not None
            and value.get("target_days") is None
        ):
            return {**value, "target_days": 7}
        return value

    @model_validator(mode="after")
    def _closes_somewhere(self) -> Self:
        if self.target_bars_per_day is None:
            if self.target_days is not None:
                raise ValueError("target_days goes with target_bars_per_day")
            if getattr(self, "threshold", None) is None:
                raise ValueError("give a threshold, or target_bars_per_day")
        return self


class TimeBars(TradeBars):
    """A bar for each interval of the clock, [start, end). An interval without trades has no bar."""

    kind: Literal["time"]
    interval: Interval


class TickBars(ThresholdBars):
    """A bar closes on its n-th trade (of aggTrades: aggregate). It has no excess: a trade counts one."""

    kind: Literal["tick"]
    threshold: int | None = Field(default=None, ge=1, le=10**12, exclude_if=_is_none, description=f"trades{FIRST_DAYS}")


class VolumeBars(ThresholdBars):
    """A bar closes on the trade by which its volume reaches the threshold."""

    kind: Literal["volume"]
    threshold: Exact | None = Field(default=None, gt=0, exclude_if=_is_none, description=f"base currency{FIRST_DAYS}")
    excess: Excess = "drop"


class DollarBars(ThresholdBars):
    """A bar closes on the trade by which its notional reaches the threshold."""

    kind: Literal["dollar"]
    threshold: Exact | None = Field(
        default=None, gt=0, exclude_if=_is_none, description=f"quote currency{FIRST_DAYS}", examples=[1000000]
    )
    excess: Excess = "drop"


class InformationBars(TradeBars):
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


class RangeBars(TradeBars):
    """A bar closes on the trade by which its high is a range above its low."""

    kind: Literal["range"]
    size: Exact = Field(gt=0, description="quote currency, high less low")
    reset: Reset = "never"


class RenkoBars(TradeBars):
    """A bar closes on the trade by which the price completes a brick, or two against the last one's direction."""

    kind: Literal["renko"]
    size: Exact = Field(gt=0, description="quote currency, the height of a brick")
    reset: Reset = "never"


BarSpec = Annotated[
    TimeBars | TickBars | VolumeBars | DollarBars | ImbalanceBars | RunBars | RangeBars | RenkoBars,
    Field(discriminator="kind"),
]


BarsName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$"),
    Field(description="one of several kinds of bars in one artifact", examples=["dollar_1m"]),
]


class BarsRequest(Contract):
    """Aggregate trades into bars. Klines become time bars of their own or a longer interval.

    Of aggTrades an aggregate is a trade: ids and numbers of trades are those of aggregates.
    `spec` makes one kind of bars; `specs` makes several of one reading of the trades, each under a name.
    """

    spec: BarSpec | None = Field(
        None, exclude_if=lambda value: value is None, examples=[{"kind": "dollar", "threshold": 1000000}]
    )
    specs: dict[BarsName, BarSpec] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        min_length=1,
        max_length=16,
        description="name -> spec",
        examples=[{"dollar_1m": {"kind": "dollar", "threshold": 1000000}, "m15": {"kind": "time", "interval": "15m"}}],
    )

    @model_validator(mode="after")
    def _is_one_or_several(self) -> Self:
        if (self.spec is None) == (self.specs is None):
            raise ValueError("spec, for one kind of bars, or specs, for several under names: one of the two is needed")
        return self

    def named(self) -> dict[str, BarSpec]:
        """Return name -> spec, by name; the name of a single one is empty."""
        return {"": self.spec} if self.spec is not None else dict(sorted((self.specs or {}).items()))


BY_NOTIONAL = frozenset({"amihud", "large_trades", "order_flow"})
"""Measures that need an amount of money."""


def source_fault(spec: BarSpec, interval: str | None, market: str) -> tuple[str, str] | None:
    """Return (field of the spec, reason) where a download of `market` cannot become bars; `interval` is of klines."""
    fault = _klines_fault(spec, interval) if interval is not None else None
    return fault or (_inverse_fault(spec) if market == "coinm" else None)


def _inverse_fault(spec: BarSpec) -> tuple[str, str] | None:
    """Return (field of the spec, reason) where bars cannot be made of inverse futures, for they weigh by notional."""
    if spec.kind.startswith("dollar"):
        reason = (
            "quantities of COIN-M are contracts, each worth the same amount of quote currency: bars of equal value are "
            f"{spec.kind.replace('dollar', 'volume')} bars, counted in contracts"
        )
        return "kind", reason
    if wrong := sorted(BY_NOTIONAL.intersection(spec.microstructure)):
        reason = "these weigh by notional, and quantities of COIN-M are contracts, whose value the files do not say"
        return "microstructure", f"{', '.join(wrong)}: {reason}"
    return None


def _klines_fault(spec: BarSpec, interval: str) -> tuple[str, str] | None:
    """Return (field of the spec, reason) where bars cannot be made of klines of an interval."""
    if not isinstance(spec, TimeBars):
        return "kind", f"klines become time bars; {spec.kind} bars are made of trades"
    if spec.microstructure:
        reason = "klines do not hold the trades that microstructure is measured on: make these bars of trades"
        return "microstructure", reason
    if INTERVAL_US[spec.interval] % INTERVAL_US[interval]:
        return "interval", f"{spec.interval} is not a multiple of the klines' {interval}"
    return None


def choice(known: Collection[str], name: str | None) -> str:
    """Return which of the bars known by name is meant; without a name, the only ones. Raises ValueError, naming all.

    known  names of the bars in an artifact; empty where it holds one kind without a name, which "" stands for
    """
    if name is None and len(known) <= 1:
        return next(iter(known), "")
    if name is not None and name in known:
        return name
    if not known:
        raise ValueError(f"the artifact holds one kind of bars, without a name: leave {name!r} out")
    which = "choose one by name" if name is None else f"none of them is called {name!r}"
    raise ValueError(f"the artifact holds several kinds of bars, {which}: {', '.join(sorted(known))}")


def bars_of(manifest: Manifest, name: str | None) -> Manifest:
    """Return an artifact of bars as if it held the bars chosen by name alone. Raises ValueError as `choice` does.

    Its files are called `<symbol>/<day>.parquet`, and its facts are those of one kind of bars.
    """
    several = manifest.facts.get("bars", {})
    chosen = choice(several, name)
    if not chosen:
        return manifest
    files = manifest.under(f"{chosen}/")
    facts = {key: value for key, value in manifest.facts.items() if key != "bars"} | several[chosen]
    named = tuple(entry.model_copy(update={"name": entry.name.removeprefix(f"{chosen}/")}) for entry in files)
    return manifest.model_copy(update={"files": named, "facts": facts})
