"""The rule of a request on a symbol's own scales: a threshold in units, or an interval in microseconds."""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from services.bars.domain.microstructure import Wanted
from services.bars.domain.target import ONE_BAR, Target
from services.bars.kernels.aggregate import LIMIT
from services.bars.kernels.information import DOLLARS, TRADES, VOLUME, Tuning
from tickloom.contracts.bars import (
    BarSpec,
    DollarBars,
    Excess,
    ImbalanceBars,
    RangeBars,
    RenkoBars,
    Reset,
    RunBars,
    ThresholdBars,
    TickBars,
    TimeBars,
    TradeBars,
    VolumeBars,
)
from tickloom.contracts.download import INTERVAL_US
from tickloom.errors import ExactnessLost

MEASURES = {"tick": TRADES, "volume": VOLUME, "dollar": DOLLARS}


@dataclass(frozen=True)
class Rule:
    """When a bar closes: `size` is microseconds, trades, lots, tick-lots or ticks, as `kind` says."""

    kind: str  # as BarSpec has it
    size: int
    excess: Excess = "drop"
    reset: Reset = "never"
    tuning: Tuning | None = None  # imbalance and run bars
    wanted: Wanted | None = None  # microstructure
    target: Target | None = None  # tick, volume and dollar bars whose size is another one each day

    def of_day(self, size: int) -> "Rule":
        """Return the rule in force on a day with this threshold."""
        return replace(self, size=size, reset="daily" if size == ONE_BAR else self.reset)


def rule_of(spec: BarSpec, price_scale: int, quantity_scale: int) -> Rule:
    """Return the rule in the units of trades whose prices and quantities have these scales.

    Reaching a threshold is reaching the next whole unit, so rounding up loses nothing. A brick must be whole ticks:
    its multiples would not be what was asked for. Raises ExactnessLost when a size does not fit in 18 digits, or a
    brick not on the scale.
    """
    rule = _rule(spec, price_scale, quantity_scale)
    return replace(rule, wanted=_wanted(spec, price_scale, quantity_scale))


def _rule(spec: BarSpec, price_scale: int, quantity_scale: int) -> Rule:
    match spec:
        case TimeBars():
            return Rule("time", INTERVAL_US[spec.interval])
        case TickBars():
            return _threshold(spec, Rule("tick", ONE_BAR, reset=spec.reset), spec.threshold, 0)
        case VolumeBars():
            rule = Rule("volume", ONE_BAR, spec.excess, spec.reset)
            return _threshold(spec, rule, spec.threshold, quantity_scale)
        case DollarBars():
            rule = Rule("dollar", ONE_BAR, spec.excess, spec.reset)
            return _threshold(spec, rule, spec.threshold, price_scale + quantity_scale)
        case RangeBars():
            return Rule("range", _units(spec.size, price_scale), reset=spec.reset)
        case RenkoBars():
            brick = _units(spec.size, price_scale)
            if Decimal(brick).scaleb(-price_scale) != spec.size:
                raise ExactnessLost(f"the brick of {spec.size}", f"the symbol's prices have {price_scale} places")
            return Rule("renko", brick, reset=spec.reset)
        case ImbalanceBars() | RunBars():
            return Rule(spec.kind, spec.expected_trades, reset=spec.reset, tuning=_tuning(spec))


def _threshold(spec: ThresholdBars, rule: Rule, threshold: Decimal | int | None, scale: int) -> Rule:
    size = ONE_BAR if threshold is None else _units(Decimal(threshold), scale)
    if spec.target_bars_per_day is None or spec.target_days is None:
        return replace(rule, size=size)
    return replace(rule, size=size, target=Target(spec.target_bars_per_day, spec.target_days, size, 10**scale))


def _wanted(spec: TradeBars, price_scale: int, quantity_scale: int) -> Wanted | None:
    if not spec.microstructure:
        return None
    if spec.large_trade is None:
        return Wanted(spec.microstructure, price_scale=price_scale, quantity_scale=quantity_scale)
    large = _units(spec.large_trade, price_scale + quantity_scale)
    return Wanted(spec.microstructure, large, price_scale, quantity_scale)


def _units(value: Decimal, scale: int) -> int:
    with localcontext(prec=100):
        size = int(value.scaleb(scale).to_integral_value(ROUND_CEILING))
    if size > LIMIT:
        raise ExactnessLost(f"the threshold of {value}", f"the symbol counts in units of 10^-{scale}")
    return size


def _tuning(spec: ImbalanceBars | RunBars) -> Tuning:
    most = Decimal(repr(spec.cap)) * spec.expected_trades
    return Tuning(
        measure=MEASURES[spec.kind.partition("_")[0]],
        runs=isinstance(spec, RunBars),
        first=spec.expected_trades,
        last=int(most.to_integral_value(ROUND_FLOOR)),
        bars_gain=2.0 / (spec.bars_window + 1.0),
        trades_gain=2.0 / (spec.trades_window + 1.0),
        floor=spec.floor * spec.expected_trades,
        cap=spec.cap * spec.expected_trades,
        clamp=spec.clamp,
        imbalance_floor=spec.imbalance_floor if isinstance(spec, ImbalanceBars) else 0.0,
    )
