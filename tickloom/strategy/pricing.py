"""The formulas of a fill: its price, its size, and where a position is liquidated.

Written once, as plain Python over numbers, and compiled as they stand for the engine of grids: the same operations in
the same order, so both engines agree to the last bit.

Source: Almgren, Thum, Hauptmann and Li (2005), Direct Estimation of Equity Market Impact, and Tóth et al. (2011),
Anomalous Price Impact, for the square root; Zipline's VolumeShareSlippage for the square of the share of the volume.
"""

import math

import numpy as np

from tickloom.kernel import inlined_borrowing
from tickloom.strategy.rules import BY_NOTIONAL, BY_RISK, BY_VOLATILITY, NO_IMPACT, VOLUME_SHARE, Rules

LOT_TOLERANCE = 1e-9
"""A quantity this many lots below a whole number of lots is that number: 0.3 is three lots of 0.1."""


@inlined_borrowing
def impact_rate(rules: Rules, quantity: float, volume: float, volatility: float) -> float:
    """Return how far a fill of `quantity` moves its own price.

    volume, volatility  of the bar it fills in: base traded; standard deviation of the return over the bar's duration

    Without volume, or while the volatility is not known (NaN), it is the cap.
    """
    if rules.impact_kind == NO_IMPACT:
        return 0.0
    if not volume > 0.0:
        return rules.impact_cap
    share = quantity / volume
    moved = share * share if rules.impact_kind == VOLUME_SHARE else volatility * math.sqrt(share)
    rate = rules.impact * moved
    return rate if rate < rules.impact_cap else rules.impact_cap


@inlined_borrowing
def taker_price(rules: Rules, side: int, price: float, impact: float) -> float:
    """Return the fill of an order that takes; side is +1 for a buy, -1 for a sale."""
    return price * (1.0 + side * (rules.slippage_rate + impact))


@inlined_borrowing
def sized(rules: Rules, quantity: float, fill: float) -> float:
    """Return the quantity in whole lots, rounded down; 0 when what is left of it is below the least notional."""
    if rules.lot_step > 0.0:
        quantity = np.floor(quantity / rules.lot_step + LOT_TOLERANCE) * rules.lot_step
    return quantity if quantity * fill >= rules.min_notional else 0.0


@inlined_borrowing
def stop_distance(rules: Rules, unit: float) -> float:
    """Return how far from its fill an entry has its stop, quote per base; 0 where the rules have no such stop.

    unit  the value that the rules count the distance in, as known at the signal

    NaN where the distance is not known, or is none: such an entry is refused.
    """
    if rules.stop_multiple <= 0.0:
        return 0.0
    distance = rules.stop_multiple * unit
    return distance if 0.0 < distance < math.inf else math.nan


@inlined_borrowing
def stop_price(side: int, fill: float, rate: float, distance: float) -> float:
    """Return where the stop-loss of a position stands, by a distance (quote per base) or else by a rate; 0: none.

    It is out of reach (infinitely far on the losing side) where there is none, and NaN where the distance is.
    """
    if distance != 0.0:
        return fill - side * distance
    return fill * (1.0 - side * rate) if rate > 0.0 else -side * math.inf


@inlined_borrowing
def entry_quantity(
    rules: Rules, side: int, cash: float, fill: float, fee_rate: float, volatility: float, stop: float
) -> float:
    """Return how much an entry at `fill` buys or sells, 0 when it is refused: too small, no cash, no volatility.

    cash        quote currency, all there is: no position is open
    volatility  standard deviation of returns over a year, as known before the fill
    stop        the price of its stop-loss as `stop_price` gives it: where it is NaN the entry is refused

    Whatever the sizing, the notional with its fee is at most `leverage` times cash.
    """
    if cash <= 0.0 or math.isnan(stop):
        return 0.0
    unit = fill * (1.0 + fee_rate)
    quantity = rules.fraction * rules.leverage * cash / unit
    if rules.sizing == BY_NOTIONAL:
        quantity = rules.fraction / fill
    elif rules.sizing == BY_VOLATILITY:
        quantity = rules.fraction / volatility * cash / unit if volatility > 0.0 else 0.0
    elif rules.sizing == BY_RISK:
        stopped = max(stop, 0.0) * (1.0 - side * rules.slippage_rate)
        lost = side * (fill - stopped) + fee_rate * fill + rules.commission_rate * stopped
        quantity = rules.fraction * cash / lost
    most = rules.leverage * cash / unit
    quantity = quantity if quantity < most else most
    if rules.lot_step > 0.0:  # as `sized` does: called as plain Python, this cannot call a kernel without wrappers
        quantity = np.floor(quantity / rules.lot_step + LOT_TOLERANCE) * rules.lot_step
    return quantity if quantity * fill >= rules.min_notional else 0.0


@inlined_borrowing
def liquidation_price(rules: Rules, cash: float, position: float) -> float:
    """Return the price at which equity is down to the maintenance margin: cash + position * p = rate * |position| * p.

    It is out of reach (0 for a long, infinity for a short) where there is no such price or no maintenance margin.
    """
    rate = rules.maintenance_rate
    if position > 0.0:
        return -cash / (position * (1.0 - rate)) if rate > 0.0 and cash < 0.0 else 0.0
    return -cash / (position * (1.0 + rate)) if rate > 0.0 else math.inf
