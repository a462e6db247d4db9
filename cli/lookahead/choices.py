"""Whether walking forward chooses by days that it is then judged on: labels that overlap from training into test.

The chain is not run again for it: what the backtest stage makes of the returns is asked again with other returns from
each choice on. A choice that changes has read days that were to come.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from cli.lookahead.chain import Made
from cli.lookahead.compare import Leak
from cli.lookahead.cuts import TURNED, Cut
from services.backtest.domain import walk_forward as walking
from services.backtest.domain.portfolio import last_of_days
from tickloom.kernel import F64, I64

WORSE, BETTER = -0.5, 0.5
"""What a day after a choice is turned to: for the trial that was chosen, and for the others."""
STAGE: Final = "choices"


class Walk(NamedTuple):
    """One symbol's traded parameter sets: daily returns (n_days, n_trials), and the close that each day ends with."""

    symbol: str
    combos: tuple[int, ...]
    returns: F64
    ts: I64


class Walked(NamedTuple):
    """How many choices were asked again, and those that another future changes."""

    n_choices: int
    leaks: tuple[Leak, ...]


def walked(made: Made) -> Walked:
    """Ask every choice of every symbol again. Where there are too few days to walk, there are no choices."""
    leaks, n_choices = list[Leak](), 0
    for walk in _walks(made):
        for anchored, way in ((True, "anchored"), (False, "rolling")):
            found = walking.walk_forward(walk.returns, anchored)
            if found is None:
                continue
            n_choices += found.chosen.size
            leaks += _leaks(walk, anchored, f"{walk.symbol} walk-forward, {way}", found.chosen)
    return Walked(n_choices, tuple(leaks))


def _walks(made: Made) -> Iterator[Walk]:
    for symbol in dict.fromkeys(fills.symbol for fills in made.fills):
        own = [fills for fills in made.fills if fills.symbol == symbol]
        tables = [made.lake.read_table(fills.equity, ["ts", "equity"]) for fills in own]
        ts = tables[0]["ts"].to_numpy()
        last = last_of_days(ts)
        equity = np.stack([table["equity"].to_numpy()[last] for table in tables], axis=1)
        if len(own) > 1 and (equity[:-1] > 0).all():
            yield Walk(symbol, tuple(fills.combo for fills in own), equity[1:] / equity[:-1] - 1, ts[last[1:]])


def _leaks(walk: Walk, anchored: bool, table: str, chosen: I64) -> Iterator[Leak]:
    """Turn the returns from each choice on, so that another trial would be best, and yield the choices that follow."""
    days = walking.edges_of(walk.ts.size)[walking.PAST :]
    for k, (best, day) in enumerate(zip(chosen.tolist(), days[:-1], strict=True)):
        turned = walk.returns.copy()
        turned[day:] = BETTER
        turned[day:, best] = WORSE
        other = walking.walk_forward(turned, anchored)
        assert other is not None
        if (now := int(other.chosen[k])) != best:
            published, was, then = int(walk.ts[day - 1]), walk.combos[best], walk.combos[now]
            yield Leak(STAGE, table, "chosen", k, published, str(was), str(then), Cut(published, TURNED))
