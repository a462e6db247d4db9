"""Where bars close by a rule: each rule's kernel, fed from the state and leaving its part of the next one."""

from dataclasses import dataclass, field

import numpy as np

from services.bars.domain.rule import Rule
from services.bars.domain.state import State, Trades
from services.bars.kernels import aggregate as columns
from services.bars.kernels.aggregate import LIMIT
from services.bars.kernels.clock import time_bar_ends
from services.bars.kernels.dollar import dollar_bar_ends
from services.bars.kernels.information import GUARDS, NEVER, Expected, Tuning, information_bar_ends
from services.bars.kernels.range import range_bar_ends
from services.bars.kernels.renko import renko_bar_ends
from services.bars.kernels.split import n_pieces, split_trades
from services.bars.kernels.tick import tick_bar_ends
from services.bars.kernels.volume import volume_bar_ends
from tickloom.errors import ExactnessLost, InvalidRequest
from tickloom.kernel import I64, Bool

MOST_PIECES = 2_000_000
"""Of a partition, beyond two for each trade: 170 bytes each, and of more of them nobody meant the threshold."""


@dataclass(frozen=True)
class Ends:
    """The last trade of each bar that closes, (n_bars,), and what the rule leaves to the next partition."""

    ends: I64
    memory: tuple[int, ...] = ()
    averages: tuple[float, ...] = ()
    guards: dict[str, int] = field(default_factory=dict)
    extra: dict[str, I64] = field(default_factory=dict)  # columns of its own, (n_bars,)


def ends_of(trades: Trades, ts: I64, rule: Rule, state: State, until: int) -> Ends:
    """Return where bars close among these trades; `ts` (n_trades,) are their times made to run forwards."""
    bar = state.bar
    if rule.tuning is not None:
        return _information(trades, rule.tuning, state)
    keep = rule.excess == "carry"
    match rule.kind:
        case "time":
            first = int(bar[columns.TS_FIRST])
            opened = first - first % rule.size if state.is_open else -1
            return Ends(time_bar_ends(ts, rule.size, opened, until)[0])
        case "tick":
            return Ends(tick_bar_ends(trades.ids.size, rule.size, min(int(bar[columns.N_TRADES]), rule.size - 1))[0])
        case "volume":
            counted = _counted(state) if keep else int(bar[columns.VOLUME])
            ends, counted = volume_bar_ends(trades.quantity, rule.size, counted, keep)
            return Ends(ends, (int(counted),) if keep else ())
        case "dollar":
            counted = _counted(state) if keep else int(bar[columns.NOTIONAL])
            ends, counted = dollar_bar_ends(trades.price, trades.quantity, rule.size, counted, keep)
            return Ends(ends, (int(counted),) if keep else ())
        case "range":
            return Ends(range_bar_ends(trades.price, rule.size, int(bar[columns.HIGH]), int(bar[columns.LOW]))[0])
        case "renko":
            ends, bricks, *left = renko_bar_ends(trades.price, rule.size, *(state.memory or (-1, 0)))
            return Ends(ends, tuple(map(int, left)), extra={"bricks": bricks})
    raise AssertionError(f"no bars of the kind {rule.kind}")


def _counted(state: State) -> int:
    return state.memory[0] if state.memory else 0


def _information(trades: Trades, tuning: Tuning, state: State) -> Ends:
    level, *opened = state.memory or (NEVER, 0, 0, 0)
    averages = state.averages or (0.0, 0.0, 0.0, 0.0)
    before = Expected(averages[0], averages[1], averages[2], averages[3], level)
    price, quantity, side = trades.price, trades.quantity, trades.side
    ends, left, after, fired = information_bar_ends(price, quantity, side, np.array(opened, np.int64), before, tuning)
    memory = (int(after.level), *map(int, left))
    return Ends(ends, memory, tuple(map(float, after[:4])), dict(zip(GUARDS, fired.tolist(), strict=True)))


def notional_fits(trades: Trades) -> bool:
    """Return whether price times quantity has 18 digits at most, of every trade."""
    if not trades.ids.size or int(trades.price.max()) * int(trades.quantity.max()) <= LIMIT:
        return True
    return not (trades.price > LIMIT // trades.quantity).any()


def check_pieces(field: str, trades: Trades, rule: Rule) -> None:
    """Raise InvalidRequest where the trades of a partition are so large beside the threshold that pieces are too many.

    field   of the request, the spec of these bars
    trades  all of the partition in the symbol's units: so the answer does not depend on how the work is cut
    """
    if rule.excess != "split":
        return
    trades = trades.finer(rule.price_places, rule.quantity_places)
    dollars = rule.kind == "dollar"
    if dollars and not notional_fits(trades):
        return  # what cuts them says so
    pieces = n_pieces(trades.price, trades.quantity, dollars, rule.size, rule.lot)
    if pieces > 2 * trades.ids.size + MOST_PIECES:
        reason = f"it cuts the trades of one day into up to {pieces} pieces: choose a larger one, or another excess"
        raise InvalidRequest(f"{field}.{'threshold' if rule.target is None else 'target_bars_per_day'}", reason)


@dataclass(frozen=True)
class Pieces:
    """Trades cut into pieces, (n_pieces,), and where bars close among them."""

    trades: Trades  # `ts` as given
    trade: I64  # which trade each is of
    rest: Bool  # whether the bar before it has another piece of that trade
    made: Ends


def cut_trades(trades: Trades, ts: I64, rule: Rule, state: State) -> Pieces:
    """Return trades cut where bars end; `ts` (n_trades,) are their times made to run forwards.

    Raises ExactnessLost where the notional of a trade needs more than 18 digits. `check_pieces` comes before.
    """
    dollars = rule.kind == "dollar"
    if dollars and not notional_fits(trades):
        raise ExactnessLost("the notional of a trade", "price times quantity has more than 18 digits")
    lot = min([rule.lot, *state.memory[1:]])
    most = n_pieces(trades.price, trades.quantity, dollars, rule.size, lot)
    price, quantity = trades.price, trades.quantity
    carry = min(_counted(state), rule.size - 1)  # yesterday's threshold may have been larger
    at, lots, rest, ends, *left = split_trades(price, quantity, dollars, rule.size, lot, carry, most)
    pieces = Trades(trades.ids.take(at), ts.take(at), price.take(at), lots, trades.side.take(at))
    return Pieces(pieces, at, rest, Ends(ends, tuple(map(int, left))))
