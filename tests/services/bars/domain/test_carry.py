"""What a partition leaves of any state is what building its bars leaves: C2 on any number of machines."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bars.domain import build, carry
from services.bars.domain.build import close_bars
from services.bars.domain.carry import composed, counted, is_certain, merged, tables_of
from services.bars.domain.microstructure import Wanted
from services.bars.domain.rule import Rule, rule_of
from services.bars.domain.state import State
from services.bars.kernels.aggregate import LIMIT, VOLUME
from services.bars.kernels.carry import carry_table
from services.bars.kernels.dollar import dollar_bar_ends
from services.bars.kernels.volume import volume_bar_ends
from tests.services.bars.made import arrays_of, trade_rows
from tickloom.contracts.bars import ImbalanceBars

SIZES = st.integers(1, 400)
DROPPED = st.builds(Rule, st.sampled_from(["volume", "dollar"]), SIZES)
CERTAIN = st.one_of(
    st.builds(Rule, st.just("tick"), st.integers(1, 40)),
    st.builds(Rule, st.sampled_from(["volume", "dollar"]), SIZES, st.sampled_from(["carry", "split"])),
)
FINER = st.builds(
    Rule,
    st.sampled_from(["volume", "dollar"]),
    SIZES,
    st.sampled_from(["carry", "split"]),
    quantity_places=st.just(1),
    lot=st.sampled_from([1, 10]),
)
KNOWN = st.one_of(DROPPED, CERTAIN, FINER)
MEASURED = KNOWN.map(lambda rule: replace(rule, wanted=Wanted(("kyle", "order_flow"))))


@given(trade_rows(), DROPPED, st.integers(0, 399))
def test_for_every_amount_carried_in_the_table_has_the_last_end_that_a_fold_finds(rows, rule, before):
    trades, before = arrays_of(rows), before % rule.size
    least, last = carry_table(trades.price, trades.quantity, rule.kind == "dollar", rule.size)
    if rule.kind == "dollar":
        ends, _ = dollar_bar_ends(trades.price, trades.quantity, rule.size, before)
    else:
        ends, _ = volume_bar_ends(trades.quantity, rule.size, before)
    step = next((k for k, amount in enumerate(least.tolist()) if amount <= before), None)
    assert (None if step is None else last[step]) == (ends[-1] if ends.size else None)
    assert (np.diff(least) < 0).all()
    assert (np.diff(last) != 0).all()


def states(partitions, rule, until):
    """Return the state before each partition and after the last, by building bars."""
    after = [State()]
    for rows in partitions:
        after.append(close_bars(arrays_of(rows), rule, after[-1], until)[1])
    return after


def cut(rows, cuts):
    borders = [0, *sorted(min(at, len(rows)) for at in cuts), len(rows)]
    return [rows[a:b] for a, b in pairwise(borders)]


@given(trade_rows(), KNOWN, st.lists(st.integers(0, 60), max_size=4), st.randoms(), st.booleans())
def test_c2_states_composed_of_tables_are_those_that_building_bars_leaves(rows, rule, cuts, random, backwards):
    if backwards:
        times = [row[1] for row in rows]
        random.shuffle(times)
        rows = [(i, ts, *rest) for (i, _, *rest), ts in zip(rows, times, strict=True)]
    parts = cut(rows, cuts)
    built = states(parts, rule, 0)
    for begin in range(len(parts)):
        known = counted(built[begin], rule) if is_certain(rule) else None
        tables = tables_of([(arrays_of(part), 0) for part in parts[begin:]], [rule] * len(parts[begin:]), known)
        for end in range(begin, len(parts)):
            after = composed(tables[: end - begin + 1], built[begin])
            assert after.to_json() == built[end + 1].to_json()


@given(trade_rows(), MEASURED, st.integers(0, 60), st.booleans())
def test_c2_with_microstructure_a_table_tells_the_same_sums_or_nothing(rows, rule, at, backwards):
    if backwards:
        rows = [(i, rows[-1 - i][1], *rest) for i, (_, _, *rest) in enumerate(rows)]
    before, after = states([rows[:at], rows[at:]], rule, 0)[1:]
    known = counted(before, rule) if is_certain(rule) else None
    tables = tables_of([(arrays_of(rows[at:]), 0)], [rule], known)
    told = composed(tables, before) if tables is not None else None
    assert told is None or told.to_json() == after.to_json()


def test_with_microstructure_a_table_tells_the_sums_where_a_bar_closes():
    rows, rule = [(i, i, 5 + i % 3, 2, 1) for i in range(20)], Rule("volume", 11, wanted=Wanted(("kyle",)))
    before, after = states([rows[:9], rows[9:]], rule, 0)[1:]
    told = composed(tables_of([(arrays_of(rows[9:]), 0)], [rule], None), before)
    assert told.to_json() == after.to_json()
    assert told.sums.any()


@given(trade_rows(min_size=1), st.integers(1, 9), st.sampled_from(["time", "tick", "renko", "tick_imbalance"]))
def test_where_a_day_leaves_nothing_open_the_day_after_need_not_wait(rows, size, kind):
    rule = Rule(kind, size, reset="never" if kind == "time" else "daily")
    if kind == "tick_imbalance":
        rule = replace(rule_of(ImbalanceBars(kind=kind, expected_trades=size + 1), 0, 0), reset="daily")
    day = 200 * size  # a multiple of every interval here
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "DAY_US", day)
        parts, state = [[row for row in rows if row[1] // day == k] for k in range(rows[-1][1] // day + 1)], State()
        for k, part in enumerate(parts):
            tables = tables_of([(arrays_of(part), (k + 1) * day)], [rule], None)
            wanted = close_bars(arrays_of(part), rule, state, (k + 1) * day)[1]
            assert composed(tables, state).to_json() == wanted.to_json()
            state = wanted


def test_a_day_whose_trades_are_not_over_at_midnight_has_to_be_waited_for():
    tables = tables_of([(arrays_of([(1, 150, 5, 1, 1)]), 100)], [Rule("time", 10)], None)
    assert composed(tables, State()) is None
    tables = tables_of([(arrays_of([(1, 50, 5, 1, 1)]), 100)], [Rule("time", 10)], None)
    assert composed(tables, State(latest=120)) is None


@pytest.mark.parametrize(
    "rule", [Rule("range", 5), Rule("renko", 5), rule_of(ImbalanceBars(kind="tick_imbalance", expected_trades=5), 0, 0)]
)
def test_bars_that_learn_from_every_trade_or_price_have_no_table(rule):
    assert tables_of([(arrays_of([(1, 1, 5, 1, 1)]), 10)], [rule], None) is None


def test_what_was_counted_otherwise_than_known_or_does_not_fit_is_left_to_the_fold(monkeypatch):
    rows = [(i, i, 1, 3, 1) for i in range(9)]
    tables = tables_of([(arrays_of(rows), 0)], [Rule("volume", 10, "carry")], 4)
    assert composed(tables, State(memory=(4,))) is not None
    assert composed(tables, State(memory=(5,))) is None
    assert tables_of([(arrays_of([(1, 1, 2**33, 2**31, 1)]), 0)], [Rule("dollar", 10)], None) is None
    dear = [(i, i, 2, LIMIT // 4, 1) for i in range(3)]
    tables = tables_of([(arrays_of(dear), 0)], [Rule("volume", LIMIT)], None)
    assert composed(tables, State()) is None  # the fold names the trade
    monkeypatch.setattr(carry, "MOST_STEPS", 2)
    assert tables_of([(arrays_of(rows), 0)], [Rule("volume", 10)], None) is None


@given(trade_rows(), st.integers(0, 60))
def test_two_bars_that_follow_one_another_are_one(rows, at):
    whole, first, then = (states([part], Rule("tick", 1000), 0)[1].bar for part in (rows, rows[:at], rows[at:]))
    assert np.array_equal(merged(first, then), whole)
    assert bool(whole[VOLUME]) == bool(rows)
