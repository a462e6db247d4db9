"""The rule of a request on a symbol's own scales: a threshold in units, or an interval in microseconds."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Literal

from services.bars.kernels.aggregate import LIMIT
from tickloom.contracts.bars import BarSpec, TickBars, TimeBars, VolumeBars
from tickloom.contracts.download import INTERVAL_US
from tickloom.errors import ExactnessLost


@dataclass(frozen=True)
class Rule:
    """When a bar closes: `size` is microseconds, trades, lots or tick-lots, as `kind` says."""

    kind: Literal["time", "tick", "volume", "dollar"]
    size: int


def rule_of(spec: BarSpec, price_scale: int, quantity_scale: int) -> Rule:
    """Return the rule in the units of trades whose prices and quantities have these scales.

    Reaching a threshold is reaching the next whole unit, so rounding up loses nothing. Raises ExactnessLost when the
    threshold does not fit in 18 digits.
    """
    if isinstance(spec, TimeBars):
        return Rule("time", INTERVAL_US[spec.interval])
    if isinstance(spec, TickBars):
        return Rule("tick", spec.threshold)
    scale = quantity_scale if isinstance(spec, VolumeBars) else price_scale + quantity_scale
    size = _units_up(spec.threshold, scale)
    if size > LIMIT:
        raise ExactnessLost(f"the threshold of {spec.threshold}", f"the symbol counts in units of 10^-{scale}")
    return Rule(spec.kind, size)


def _units_up(value: Decimal, scale: int) -> int:
    with localcontext(prec=100):
        return int(value.scaleb(scale).to_integral_value(ROUND_CEILING))
