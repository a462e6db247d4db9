"""What is left of a trial at other costs, and what its trades would have made at random times.

Source of the random entries: Aronson (2006), Evidence-Based Technical Analysis, chapter 5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from services.backtest.kernels.engine import run_summary
from services.backtest.kernels.types import Outcome, Prices, Signal, Trades
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import F64
from tickloom.strategy.rules import BY_FRACTION, BY_RISK, NO_IMPACT, Rules

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
    """Returns of runs with as many trades, as long and on the same sides, at random times.

    p_value  how often such a run does as well or better, the trial itself counted among them
    """

    total_return: tuple[float, ...]
    p_value: float


Run = Callable[[Signal, Rules], tuple[Outcome, F64]]
"""`run_summary` over one symbol's bars."""


def total_return(run: Run, signal: Signal, rules: Rules) -> float:
    """Return final equity over initial cash, less 1."""
    return float(run(signal, rules)[0].equity / rules.initial_cash - 1.0)


def cost_surface(run: Run, signal: Signal, rules: Rules) -> CostSurface:
    """Return the total return at commissions and slippages around those that were asked for.

    The maker's commission keeps its proportion to the taker's; an impact model stays as it is.
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
    """Return the rules at other costs."""
    part = commission_rate / rules.commission_rate if rules.commission_rate else 1.0
    return rules._replace(
        commission_rate=commission_rate, maker_rate=rules.maker_rate * part, slippage_rate=slippage_rate
    )


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


def random_entries(prices: Prices, trades: Trades, rules: Rules, own: float, seed: int) -> RandomEntries | None:
    """Trade the same holding times, in random order and at random times, by the same costs, but at the market alone.

    own  the trial's total return

    None without a trade, or where there is no room to move them.
    """
    n_bars = prices.close.size
    left = np.where(trades.exit_bar < 0, n_bars - 1, trades.exit_bar)
    held = np.maximum(left - trades.entry_bar, 1)
    room = n_bars - 2 - int(held.sum()) - held.size
    if not held.size or room < 1:
        return None
    plain = at_the_market(rules)
    random = np.random.Generator(np.random.PCG64(seed))
    found = []
    for _ in range(RANDOM_RUNS):
        order = random.permutation(held.size)
        gaps = np.diff(np.sort(random.integers(0, room + 1, held.size)), prepend=0)
        length, side = held[order], trades.side[order]
        start = 1 + np.cumsum(gaps) + np.concatenate([[0], np.cumsum(length[:-1] + 1)])
        moved = timed_signal(start, start + length, side)
        found.append(total_return(partial(run_summary, prices), moved, plain))
    as_good = sum(value >= own for value in found)
    return RandomEntries(tuple(sorted(found)), (as_good + 1) / (RANDOM_RUNS + 1))


def at_the_market(rules: Rules) -> Rules:
    """Return the rules without a stop, target or limit; what was sized by its stop is sized by all of the equity."""
    plain = rules._replace(stop_loss_rate=0.0, stop_multiple=0.0, take_profit_rate=0.0, trailing_rate=0.0)
    plain = plain._replace(limit_rate=0.0, limit_bars=0)
    return plain._replace(sizing=BY_FRACTION, fraction=1.0) if rules.sizing == BY_RISK else plain


def timed_signal(entry: np.ndarray, leave: np.ndarray, side: np.ndarray) -> Signal:
    """Return the signal that is filled at the opens of bars `entry` and `leave`, 1 <= entry < leave <= next entry."""
    enter = np.where(side > 0, LONG_ENTRY, SHORT_ENTRY)
    out = np.where(side > 0, LONG_EXIT, SHORT_EXIT)
    # What is in force at the close before the fill; an entry is over once it is in, an exit once it is out.
    bar = np.stack([entry - 1, entry, leave - 1, leave], axis=1).ravel()
    mask = np.stack([enter, np.zeros_like(enter), out, np.zeros_like(out)], axis=1).ravel()
    # Where two changes fall on one bar, the later one rules; a trade of one bar leaves where its entry is over.
    last = np.append(bar[1:] > bar[:-1], True)
    return Signal(bar[last].astype(np.int64), mask[last].astype(np.int8))
