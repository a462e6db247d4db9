"""What each engine does with the same signals, as one plain walk with switches.

The walk knows times and prices of fills, not money: one position, entries and exits at the market, a stop, a target.
With the switches of an engine set it makes that engine's trades, all of them; so the switches are the whole difference.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT


class Semantics(NamedTuple):
    """How an engine fills.

    watches_entry_bar   whether the bar whose open was bought at can reach stop and target
    stop_before_signal  whether a bar that is left at its open, and reaches stop or target, ends there
    stop_from           what stop and target are measured from: the fill, or the close at which the order was sent
    fills_at            where a market order fills: the next open, or the close at which it was sent
    exit_slips          whether exits are worse than their price by the slippage
    decimals            stops and targets are rounded to so many; None: they are not
    stop_gap_fills_at   where a stop fills that the open is already beyond: the open, or the stop
    target_gap_fills_at where a target fills that the open is already beyond: the open, or the target
    touch_fills_target  whether a price that only comes to the target fills it; else it has to go through
    target_before_stop  whether a bar that reaches both ends at the target
    target_slips        whether a target, too, is worse than its price by the slippage
    """

    watches_entry_bar: bool = True
    stop_before_signal: bool = False
    stop_from: str = "fill"
    fills_at: str = "open"
    exit_slips: bool = True
    decimals: int | None = None
    stop_gap_fills_at: str = "open"
    target_gap_fills_at: str = "open"
    touch_fills_target: bool = False
    target_before_stop: bool = False
    target_slips: bool = False


class Costs(NamedTuple):
    """What moves prices: the slippage, and the distances of stop and target; 0: none."""

    slippage_rate: float
    stop_loss_rate: float
    take_profit_rate: float = 0.0


class Trade(NamedTuple):
    """A closed trade: the bars at whose open, or within which, it begins and ends, and its fills."""

    entry_bar: int
    exit_bar: int
    entry_price: float
    exit_price: float


class Held(NamedTuple):
    """A position: since when, +1 long or -1 short, its fill, and what guards it; out of reach if there is none."""

    bar: int
    side: int
    fill: float
    stop: float
    target: float


Bars = Sequence[tuple[float, float, float, float]]
"""Open, high, low, close of each bar."""


def walk(bars: Bars, masks: Sequence[int], costs: Costs, does: Semantics) -> list[Trade]:
    """Return the closed trades. `masks` say at each close what to do; an exit beats an entry of its side. O(n_bars)."""
    made: list[Trade] = []
    held: Held | None = None
    for i in range(1, len(bars)):
        bar, mask, before = bars[i], masks[i - 1], bars[i - 1][3]
        market = bar[0] if does.fills_at == "open" else before
        leaves = held and mask & (LONG_EXIT if held.side > 0 else SHORT_EXIT)
        if held and leaves and not (does.stop_before_signal and end(bar, held, does)):
            made.append(trade(held, i, market, costs, does, slips=True))
            held = None
        if held is None and (side := entry(mask)):
            held = entered(i, side, market, before, costs, does)
            if not does.watches_entry_bar:
                continue
        if held and (ended := end(bar, held, does)):
            made.append(trade(held, i, ended[0], costs, does, slips=ended[1]))
            held = None
    return made


def entry(mask: int) -> int:
    """Return the side that a mask enters, 0 for none."""
    long, short = mask & (LONG_ENTRY | LONG_EXIT) == LONG_ENTRY, mask & (SHORT_ENTRY | SHORT_EXIT) == SHORT_ENTRY
    return int(long) - int(short)


def entered(bar: int, side: int, market: float, before: float, costs: Costs, does: Semantics) -> Held:
    """Return the position that a market order at `market` begins; the close before it is `before`."""
    fill = market * (1.0 + side * costs.slippage_rate)
    base = fill if does.stop_from == "fill" else before
    stop = base * (1.0 - side * costs.stop_loss_rate) if costs.stop_loss_rate else side * -1e300
    target = base * (1.0 + side * costs.take_profit_rate) if costs.take_profit_rate else side * 1e300
    if does.decimals is not None:
        stop, target = round(stop, does.decimals), round(target, does.decimals)
    return Held(bar, side, fill, stop, target)


def end(bar: tuple[float, float, float, float], held: Held, does: Semantics) -> tuple[float, bool] | None:
    """Return where stop or target ends the position within a bar, before slippage, and whether that slips."""
    side = held.side
    worst, best = (bar[2], bar[1]) if side > 0 else (bar[1], bar[2])
    stopped = side * worst <= side * held.stop
    hit = side * best > side * held.target or (does.touch_fills_target and best == held.target)
    if hit and (not stopped or does.target_before_stop or side * bar[0] > side * held.target):
        beyond = side * bar[0] > side * held.target and does.target_gap_fills_at == "open"
        return (bar[0] if beyond else held.target), does.target_slips
    if not stopped:
        return None
    beyond = side * bar[0] < side * held.stop and does.stop_gap_fills_at == "open"
    return (bar[0] if beyond else held.stop), True


def trade(held: Held, bar: int, price: float, costs: Costs, does: Semantics, *, slips: bool) -> Trade:
    """Return the trade that ends in `bar` at `price` before slippage."""
    rate = costs.slippage_rate * (does.exit_slips and slips)
    return Trade(held.bar, bar, held.fill, price * (1.0 - held.side * rate))
