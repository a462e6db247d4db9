"""The rule of a request on a symbol's own scales: a threshold in units, or an interval in microseconds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from itertools import accumulate
from typing import Final

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
MOST_PLACES: Final = 18
"""Decimal places of price and quantity together: those that a decimal of 18 digits has at most."""


@dataclass(frozen=True)
class Rule:
    """When a bar closes: `size` is microseconds, trades, lots, tick-lots or ticks, as `kind` says.

    Ticks and lots are those of the symbol's trades, divided into 10**price_places and 10**quantity_places where the
    request's number is finer than they are and must not be rounded.
    """

    kind: str  # as BarSpec has it
    size: int
    excess: Excess = "drop"
    reset: Reset = "never"
    tuning: Tuning | None = None  # imbalance and run bars
    wanted: Wanted | None = None  # microstructure
    target: Target | None = None  # tick, volume and dollar bars whose size is another one each day
    price_places: int = 0
    quantity_places: int = 0
    lot: int = 1  # the finest that quantities before a partition needed: trades are split at multiples of it

    @property
    def by_clock(self) -> bool:
        """Whether a bar may close without a trade, because its interval or its day is over."""
        return self.kind == "time" or self.reset == "daily"

    def scales(self, scales: dict[str, int]) -> dict[str, int]:
        """Return the scales on which the bars are counted and published, given those of the trades."""
        price, quantity = self.price_places, self.quantity_places
        more = {"price_scale": price, "quantity_scale": quantity, "notional_scale": price + quantity}
        return {name: places + more.get(name, 0) for name, places in scales.items()}

    def of_day(self, size: int) -> "Rule":
        """Return the rule in force on a day with this threshold."""
        return replace(self, size=size, reset="daily" if size == ONE_BAR else self.reset)


def rule_of(spec: BarSpec, price_scale: int, quantity_scale: int) -> Rule:
    """Return the rule in the units of trades whose prices and quantities have these scales.

    Reaching a threshold once is reaching the next whole unit, so rounding up loses nothing. Where bars end at its
    multiples (excess carried or split, bricks), those of a rounded one would be others, and with each day of finer
    trades they would move: there the units are made as fine as the threshold.
    Raises ExactnessLost when a size or the places of price and quantity do not fit in 18 digits.
    """
    price_places, quantity_places = _places(spec, price_scale, quantity_scale)
    price_scale, quantity_scale = price_scale + price_places, quantity_scale + quantity_places
    rule = _rule(spec, price_scale, quantity_scale)
    rule = replace(rule, price_places=price_places, quantity_places=quantity_places)
    return replace(rule, wanted=_wanted(spec, price_scale, quantity_scale))


def lots_of(rule: Rule, scales: Sequence[int], scale: int) -> list[int]:
    """Return the finest that quantities needed before each day, in order, in the units of the rule; at first it is 1,
    and of days that start from nothing on each of them.

    scales  decimal places of each day's quantities, at most `scale`, which is that of the trades
    """
    finest = list(accumulate((places if rule.reset == "never" else 0 for places in scales), max, initial=0))
    return [10 ** (scale + rule.quantity_places - places) for places in finest[:-1]]


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
            return Rule("renko", _units(spec.size, price_scale), reset=spec.reset)
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


def _places(spec: BarSpec, price_scale: int, quantity_scale: int) -> tuple[int, int]:
    """Return how many decimal places prices and quantities need beyond theirs, so that no multiple is rounded."""
    match spec:
        case RenkoBars():
            return _finer(spec.size, price_scale, price_scale + quantity_scale), 0
        case VolumeBars(threshold=Decimal() as threshold) if spec.excess != "drop":
            return 0, _finer(threshold, quantity_scale, price_scale + quantity_scale)
        case DollarBars(threshold=Decimal() as threshold) if spec.excess != "drop":
            return 0, _finer(threshold, price_scale + quantity_scale, price_scale + quantity_scale)
    return 0, 0


def _finer(value: Decimal, scale: int, notional_scale: int) -> int:
    with localcontext(prec=100):
        exponent = value.normalize().as_tuple().exponent
    places = max(0, -int(exponent) - scale)
    if places and notional_scale + places > MOST_PLACES:
        reason = f"beside it, price and quantity have {notional_scale + places} decimal places together"
        raise ExactnessLost(f"the threshold of {value}", reason)
    return places


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
