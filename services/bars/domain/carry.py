"""What a partition makes of any state before it, known without that state: so partitions need not wait for each other.

Time bars and bars with a daily reset leave nothing open. Tick bars, and volume and dollar bars that carry or split,
count modulo their threshold: the sums that the download recorded tell beforehand how much. Volume and dollar bars that
drop the excess have a carry table. Imbalance and run bars learn from every trade, range and Renko bars from prices:
they have no table, and their partitions are a fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.bars.domain.ends import Ends, cut_trades, ends_of, notional_fits
from services.bars.domain.rule import Rule
from services.bars.domain.state import State, Trades
from services.bars.kernels import aggregate as columns
from services.bars.kernels.aggregate import LIMIT, aggregate
from services.bars.kernels.carry import carry_table
from services.bars.kernels.clock import forwards
from services.bars.kernels.microstructure import ROWS, microstructure
from tickloom.kernel import I64, Bool

NOTHING = State().bar
MOST_STEPS = 4096
"""Trades of equal size and a bar of a million of them would make a million steps: then a fold is quicker."""
MOST_SUMS = 64
"""Of microstructure the sums after each possible end are added up anew: then a fold is quicker sooner."""


@dataclass(frozen=True)
class Emptied:
    """What a partition leaves that ends with no bar open: `until` is the end of its day, `latest` its latest time."""

    latest: int
    until: int

    def after(self, state: State) -> State | None:
        """Return the state after the partition, the very one that building its bars leaves; None: not known here."""
        latest = max(self.latest, state.latest)
        return State(latest=latest) if latest < self.until else None


@dataclass(frozen=True)
class Carried:
    """What a partition of tick, volume or dollar bars leaves.

    counts  the rule, which says where a state has what it has counted
    known   what is counted before the partition, where that is certain; then there is one step at most
    least   (n_steps,)     strictly decreasing: the least amount counted before that leads to each step
    opened  (n_steps, 13)  the bar left open then, by COLUMNS
    sums    (n_steps, 21)  those of its microstructure, where the rule wants any; else (n_steps, 0)
    whole   (13,)          all trades as one bar: where none closes, the open bar grows by it; None: too much for one
    memory                 what counts for the next partition already, where the state's memory has it
    """

    counts: Rule
    known: int | None
    least: I64
    opened: I64
    sums: I64
    whole: I64 | None
    latest: int
    memory: tuple[int, ...] = ()

    def after(self, state: State) -> State | None:
        """Return the state after the partition, the very one that building its bars leaves; None: not known here."""
        before = counted(state, self.counts)
        if self.known is not None and before != self.known:
            return None
        step = int(np.searchsorted(-self.least, -before))
        bar, sums = self.whole, state.sums
        if step < self.least.size:
            bar, sums = self.opened[step], self.sums[step]
        elif self.counts.wanted is not None:  # its sums are of neighbours: those of two bars do not make those of one
            return None
        if bar is None or (sums.any() and state.latest > bar[columns.TS_FIRST]):
            return None
        bar = _raised(bar, state.latest)
        bar = bar if step < self.least.size else merged(state.bar, bar)
        if bar[columns.NOTIONAL] > LIMIT:
            return None
        return State(bar, max(self.latest, state.latest), self.memory, sums=sums)


Table = Emptied | Carried


def counted(state: State, rule: Rule) -> int:
    """Return what a tick, volume or dollar bar has counted so far."""
    if rule.excess != "drop":
        return state.memory[0] if state.memory else 0
    column = {"tick": columns.N_TRADES, "volume": columns.VOLUME, "dollar": columns.NOTIONAL}[rule.kind]
    return int(state.bar[column])


def is_certain(rule: Rule) -> bool:
    """Return whether what has been counted before a partition is the sum of all before it, modulo the threshold."""
    return _goes_on(rule) and rule.target is None


def _goes_on(rule: Rule) -> bool:
    """Return whether a bar's end leaves something counted, so that only what was counted before tells of the next."""
    return rule.reset == "never" and (rule.kind == "tick" or rule.excess != "drop")


def tables_of(
    partitions: Sequence[tuple[Trades, int]], rules: Sequence[Rule], known: int | None
) -> tuple[Table, ...] | None:
    """Return the tables of partitions that follow one another, or None where their bars are a fold.

    partitions  trades in the symbol's units, and the end of their day in microseconds
    rules       in force in each; they differ in their threshold and in what they split trades into alone
    known       what `is_certain` before them, else None
    """
    tables: list[Table] = []
    for (trades, until), rule in zip(partitions, rules, strict=True):
        table = _table(trades.finer(rule.price_places, rule.quantity_places), until, rule, known)
        if table is None:
            return None
        if isinstance(table, Carried) and known is not None:
            known = table.memory[0] if table.memory else (known + trades.ids.size) % rule.size
        tables.append(table)
    return tuple(tables)


def composed(tables: Sequence[Table], state: State) -> State | None:
    """Return the state after all of these partitions, or None where it is not known."""
    after: State | None = state
    for table in tables:
        after = table.after(after) if after is not None else None
    return after


def merged(first: I64, then: I64) -> I64:
    """Return two bars that follow one another as one, (13,) by COLUMNS; either may be none, of volume 0."""
    if not first[columns.VOLUME] or not then[columns.VOLUME]:
        return (first if first[columns.VOLUME] else then).copy()
    bar = first + then
    bar[[columns.TS_FIRST, columns.FIRST_ID, columns.OPEN]] = first[[columns.TS_FIRST, columns.FIRST_ID, columns.OPEN]]
    bar[[columns.TS_LAST, columns.LAST_ID, columns.CLOSE]] = then[[columns.TS_LAST, columns.LAST_ID, columns.CLOSE]]
    bar[columns.HIGH] = max(first[columns.HIGH], then[columns.HIGH])
    bar[columns.LOW] = min(first[columns.LOW], then[columns.LOW])
    return bar


def _raised(bar: I64, latest: int) -> I64:
    """Return the bar with its times raised to the latest one before it."""
    bar = bar.copy()
    if bar[columns.VOLUME]:
        bar[columns.TS_FIRST], bar[columns.TS_LAST] = (
            max(bar[columns.TS_FIRST], latest),
            max(bar[columns.TS_LAST], latest),
        )
    return bar


def _table(trades: Trades, until: int, rule: Rule, known: int | None) -> Table | None:
    if rule.kind == "time" or rule.reset == "daily":
        return Emptied(int(trades.ts.max()) if trades.ts.size else -1, until)
    if rule.kind not in ("tick", "volume", "dollar") or (_goes_on(rule) and known is None):
        return None
    if (rule.kind == "dollar" and not notional_fits(trades)) or (rule.wanted is not None and rule.excess == "split"):
        return None
    trades = replace(trades, ts=forwards(trades.ts, -1))
    whole, latest = _bar(trades), int(trades.ts[-1]) if trades.ts.size else -1
    memory: tuple[int, ...] = ()
    is_rest = None
    if known is None:
        least, last = carry_table(trades.price, trades.quantity, rule.kind == "dollar", rule.size)
    else:
        trades, made, is_rest = _from(known, trades, rule, until)
        last, memory = made.ends[-1:], made.memory
        least = np.zeros(last.size, np.int64)
    cuts, which = np.unique(last, return_inverse=True)
    opened = _left_after(trades, cuts) if cuts.size <= (MOST_STEPS if rule.wanted is None else MOST_SUMS) else None
    if opened is None:
        return None
    if is_rest is not None and last.size and last[0] + 1 < is_rest.size:  # the trade counts in the bar before
        opened[0, columns.N_TRADES] -= is_rest[last[0] + 1]
    sums = _sums_after(trades, cuts, rule)
    return Carried(rule, known, least, opened[which], sums[which], whole, latest, memory)


def _from(known: int, trades: Trades, rule: Rule, until: int) -> tuple[Trades, Ends, Bool | None]:
    """Return trades, cut where the rule cuts them, where bars close, and which trades are the rest of one before."""
    bar = NOTHING.copy()
    bar[columns.N_TRADES] = known
    before = State(bar, memory=(known,))
    if rule.excess != "split":
        return trades, ends_of(trades, trades.ts, rule, before, until), None
    pieces = cut_trades(trades, trades.ts, rule, before)
    return pieces.trades, pieces.made, pieces.rest


def _left_after(trades: Trades, cuts: I64) -> I64 | None:
    """Return the bar of the trades after each of these, (n_cuts, 13); None where one does not fit."""
    if not cuts.size:
        return np.empty((0, NOTHING.size), np.int64)
    begin = int(cuts[0]) + 1
    rest = trades.cut(begin, trades.ids.size)
    between, end, bad = aggregate(rest.ids, rest.ts, rest.price, rest.quantity, rest.side, cuts[1:] - begin, NOTHING)
    left = [end]
    for column in reversed(range(cuts.size - 1)):
        left.append(merged(between[:, column], left[-1]))
    opened: I64 = np.array(left[::-1])
    return None if bad >= 0 or (opened[:, columns.NOTIONAL] > LIMIT).any() else opened


def _sums_after(trades: Trades, cuts: I64, rule: Rule) -> I64:
    """Return the microstructure's sums of the trades after each of these, (n_cuts, 21); (n_cuts, 0) where unwanted."""
    if rule.wanted is None:
        return np.zeros((cuts.size, 0), np.int64)
    sums = np.zeros((cuts.size, ROWS), np.int64)
    for row, cut in enumerate(cuts.tolist()):
        t, none, large = trades.cut(cut + 1, trades.ids.size), np.empty(0, np.int64), rule.wanted.large
        nothing = np.zeros(ROWS, np.int64)
        sums[row] = microstructure(t.ts, t.price, t.quantity, t.quantity, t.side, none, large, nothing)[1]
    return sums


def _bar(trades: Trades) -> I64 | None:
    """Return trades as one bar, (13,) by COLUMNS, or None where its sums do not fit."""
    none = np.empty(0, np.int64)
    _, bar, bad = aggregate(trades.ids, trades.ts, trades.price, trades.quantity, trades.side, none, NOTHING)
    return bar if bad < 0 else None
