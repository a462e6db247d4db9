"""What is left of a trial at other costs, and what its trades would have made at random times.

Source of the random entries: Aronson (2006), Evidence-Based Technical Analysis, chapter 5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.backtest.kernels.moved import run_moved
from services.backtest.kernels.types import Outcome, Prices, Signal, Trades
from tickloom.kernel import F64, I8
from tickloom.strategy.rules import BY_FRACTION, NO_IMPACT, Rules

COMMISSION_RATES: Final = (0.0, 0.0002, 0.0005, 0.001, 0.0015, 0.002)
SLIPPAGE_RATES: Final = (0.0, 0.0002, 0.0005, 0.001, 0.002)
DEAREST: Final = 0.05
HALVINGS: Final = 30
RANDOM_RUNS: Final = 200


@dataclass(frozen=True)
class CostSurface:
    """total_return[i][j] at commission_rates[i] and slippage_rates[j]; the trial's own rates are among them."""

    commission_rates: tuple[float, ...]
    slippage_rates: tuple[float, ...]
    total_return: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RandomEntries:
    """Returns of runs with as many trades, as long, as large and on the same sides, at random times.

    p_value  how often such a run does as well or better, the trial itself counted among them; None without runs
    reason   why there are none
    """

    total_return: tuple[float, ...]
    p_value: float | None
    reason: str = ""


Run = Callable[[Signal, Rules], tuple[Outcome, F64]]
"""`run_summary` over one symbol's bars."""


def total_return(run: Run, signal: Signal, rules: Rules) -> float:
    """Return final equity over initial cash, less 1."""
    return float(run(signal, rules)[0].equity / rules.initial_cash - 1.0)


def cost_surface(run: Run, signal: Signal, rules: Rules) -> CostSurface:
    """Return the total return at commissions and slippages around those that were asked for.

    The maker's commission is as in `at_costs`; an impact model stays as it is.
    """
    return surface_of(lambda costs: total_return(run, signal, costs), rules)


def surface_of(returned: Callable[[Rules], float], rules: Rules) -> CostSurface:
    """Do what `cost_surface` does, for any account: `returned` is its total return by other rules."""
    commissions = tuple(sorted({*COMMISSION_RATES, rules.commission_rate}))
    slippages = tuple(sorted({*SLIPPAGE_RATES, rules.slippage_rate}))
    table = tuple(
        tuple(returned(at_costs(rules, commission, slippage)) for slippage in slippages) for commission in commissions
    )
    return CostSurface(commissions, slippages, table)


def at_costs(rules: Rules, commission_rate: float, slippage_rate: float) -> Rules:
    """Return the rules at other costs.

    Makers keep their proportion to takers. Where takers pay nothing there is none: makers that pay nothing either then
    pay what takers do, as without a `maker_rate` of their own, and those that pay keep their rate.
    """
    maker_rate = rules.maker_rate
    if rules.commission_rate > 0.0:
        maker_rate *= commission_rate / rules.commission_rate
    elif maker_rate == 0.0:
        maker_rate = commission_rate
    return rules._replace(commission_rate=commission_rate, maker_rate=maker_rate, slippage_rate=slippage_rate)


def break_even_cost(run: Run, signal: Signal, rules: Rules) -> float | None:
    """Return the cost of one fill, as a share of its notional, at which nothing is gained or lost.

    It is charged as a commission on every fill, without slippage or impact. None when there is no gain to lose even
    for nothing, or when not even DEAREST takes it away.
    """
    return break_even_of(lambda costs: total_return(run, signal, costs), rules)


def break_even_of(returned: Callable[[Rules], float], rules: Rules) -> float | None:
    """Do what `break_even_cost` does, for any account: `returned` is its total return by other rules."""
    free = rules._replace(slippage_rate=0.0, impact_kind=NO_IMPACT, impact=0.0, impact_cap=0.0)

    def gains(cost: float) -> bool:
        return returned(free._replace(commission_rate=cost, maker_rate=cost)) > 0.0

    low, high = 0.0, DEAREST
    if not gains(low) or gains(high):
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if gains(middle) else (low, middle)
    return low


def random_entries(prices: Prices, trades: Trades, rules: Rules, own: float, seed: int) -> RandomEntries:
    """Trade the same stretches in random order and at random times, by the same costs, but at the market alone.

    own  the trial's total return

    Each stretch keeps its length, its side, and its notional as a share of the equity. Who is always in the market
    leaves no room to move stretches, so there their order alone is drawn.
    """
    n_bars, n_trades = prices.close.size, trades.side.size
    left = np.where(trades.exit_bar < 0, n_bars - 1, trades.exit_bar)
    held = np.maximum(left - trades.entry_bar, 1)
    room = n_bars - 2 - int(held.sum())
    share = shares(trades, rules.initial_cash)
    if reason := _unmoved(trades.side, room):
        return RandomEntries((), None, reason)
    plain = at_the_market(rules)
    random = np.random.Generator(np.random.PCG64(seed))
    found = []
    for _ in range(RANDOM_RUNS):
        order = random.permutation(n_trades)
        before = np.sort(random.integers(0, room + 1, n_trades))
        length = held[order]
        start = 1 + before + np.concatenate([[0], np.cumsum(length[:-1])])
        cash = run_moved(prices, start, start + length, trades.side[order], share[order], plain)
        found.append(cash / rules.initial_cash - 1.0)
    as_good = sum(value >= own for value in found)
    return RandomEntries(tuple(sorted(found)), (as_good + 1) / (RANDOM_RUNS + 1))


def _unmoved(side: I8, room: int) -> str:
    """Return why trades cannot be moved, nothing if they can."""
    if not side.size:
        return "there is no trade to move"
    if room < 0 or (room == 0 and (side == side[0]).all()):
        return "it is in the market on one side from end to end, so there is nothing to move"
    return ""


def shares(trades: Trades, initial_cash: float) -> F64:
    """Return the notional of each trade's entry over the equity before it, (n_trades,)."""
    before = initial_cash + np.concatenate([[0.0], np.cumsum(trades.pnl)])[:-1]
    share: F64 = trades.quantity * trades.entry_fill / before
    return share


def at_the_market(rules: Rules) -> Rules:
    """Return the rules without a stop, target or limit, for entries of all the equity that they are given."""
    plain = rules._replace(stop_loss_rate=0.0, stop_multiple=0.0, take_profit_rate=0.0, trailing_rate=0.0)
    return plain._replace(limit_rate=0.0, limit_bars=0, sizing=BY_FRACTION, fraction=1.0)
