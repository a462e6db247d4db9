"""The rule of a request on a symbol's own scales: a threshold in units, or an interval in microseconds."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

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
    TickBars,
    TimeBars,
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


def rule_of(spec: BarSpec, price_scale: int, quantity_scale: int) -> Rule:
    """Return the rule in the units of trades whose prices and quantities have these scales.

    Reaching a threshold is reaching the next whole unit, so rounding up loses nothing. A brick must be whole ticks:
    its multiples would not be what was asked for. Raises ExactnessLost when a size does not fit in 18 digits, or a
    brick not on the scale.
    """
    match spec:
        case TimeBars():
            return Rule("time", INTERVAL_US[spec.interval])
        case TickBars():
            return Rule("tick", spec.threshold, reset=spec.reset)
        case VolumeBars():
            return Rule("volume", _units(spec.threshold, quantity_scale), spec.excess, spec.reset)
        case DollarBars():
            return Rule("dollar", _units(spec.threshold, price_scale + quantity_scale), spec.excess, spec.reset)
        case RangeBars():
            return Rule("range", _units(spec.size, price_scale), reset=spec.reset)
        case RenkoBars():
            brick = _units(spec.size, price_scale)
            if Decimal(brick).scaleb(-price_scale) != spec.size:
                raise ExactnessLost(f"the brick of {spec.size}", f"the symbol's prices have {price_scale} places")
            return Rule("renko", brick, reset=spec.reset)
        case ImbalanceBars() | RunBars():
            return Rule(spec.kind, spec.expected_trades, reset=spec.reset, tuning=_tuning(spec))


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
