"""The fold over partitions: C1 prefix invariance, C2 partition invariance, C4 conservation."""

import json
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate, groupby

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.bars.domain import build, ends
from services.bars.domain.build import close_bars
from services.bars.domain.rule import Rule, lots_of, rule_of
from services.bars.domain.state import SUMS, State
from tests.naive import bars as naive
from tests.services.bars.made import arrays_of, trade_rows
from tickloom.contracts.bars import (
    DollarBars,
    ImbalanceBars,
    RangeBars,
    RenkoBars,
    RunBars,
    TickBars,
    TimeBars,
    VolumeBars,
)
from tickloom.errors import ExactnessLost, InvalidRequest

WHOLE = st.sampled_from(["time", "tick", "volume", "dollar", "range"])
EXCESS = st.builds(
    Rule, st.sampled_from(["volume", "dollar"]), st.integers(1, 150), st.sampled_from(["carry", "split"])
)
INFORMATION = st.builds(
    lambda shape, measure, **fields: rule_of(shape(kind=f"{measure}_{shape.__name__[:-4].lower()}", **fields), 0, 0),
    st.sampled_from([ImbalanceBars, RunBars]),
    st.sampled_from(["tick", "volume", "dollar"]),
    expected_trades=st.integers(2, 9),
    trades_window=st.integers(1, 30),
)
NEVER_RESET = st.one_of(
    st.builds(Rule, WHOLE, st.integers(1, 150)),
    EXCESS,
    INFORMATION,
    st.builds(Rule, st.just("renko"), st.integers(1, 20)),
)
RULES = st.one_of(
    NEVER_RESET, NEVER_RESET.map(lambda rule: rule if rule.kind == "time" else replace(rule, reset="daily"))
)
FINER = st.one_of(
    EXCESS.map(lambda rule: replace(rule, size=10 * rule.size + 3, quantity_places=1, lot=10)),
    EXCESS.map(lambda rule: replace(rule, lot=10)),  # units of the trades, of which the first may come late
)
PLAIN = st.builds(Rule, WHOLE, st.integers(1, 150))


def fold(partitions, rule, until=0):
    """Return all bars by column, and the last state: each partition's state goes through JSON to the next."""
    state, columns = State().to_json(), []
    for rows in partitions:
        bars, left = close_bars(arrays_of(rows), rule, State.from_json(state), until)
        state = json.loads(json.dumps(left.to_json()))
        columns.append(bars.columns)
    names = columns[0]
    return {name: np.concatenate([c[name] for c in columns]).tolist() for name in names}, State.from_json(state)


def split(rows, n):
    return [rows[i * len(rows) // n : (i + 1) * len(rows) // n] for i in range(n)]


@given(trade_rows(), st.one_of(RULES, FINER), st.sampled_from([3, 7, 31]))
def test_c2_any_partitioning_gives_the_same_bars_and_state(rows, rule, n):
    whole, left = fold([rows], rule)
    parts, left_of_parts = fold(split(rows, n), rule)
    assert parts == whole
    assert left.to_json() == left_of_parts.to_json()


@given(trade_rows(), st.one_of(RULES, FINER), st.integers(1, 20))
def test_c2_taking_trades_a_block_at_a_time_changes_nothing(rows, rule, block):
    whole, left = fold([rows], rule, until=150)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "BLOCK", block)
        blocks, left_of_blocks = fold([rows], rule, until=150)
    assert (blocks, left_of_blocks.to_json()) == (whole, left.to_json())


@given(trade_rows(), st.one_of(RULES, FINER), st.integers(0, 60))
def test_c1_what_closed_does_not_depend_on_what_follows(rows, rule, cut):
    before, _ = fold([rows[:cut]], rule)
    whole, _ = fold([rows], rule)
    for name, values in before.items():
        assert whole[name][: len(values)] == values


@given(trade_rows(), RULES)
def test_c4_bars_and_residual_add_up_to_the_trades(rows, rule):
    bars, left = fold([rows], rule)
    opened = left.open_bar() or dict.fromkeys(SUMS, 0)
    for name, total in {
        "n_trades": len(rows),
        "volume": sum(q for _, _, _, q, _ in rows),
        "notional": sum(p * q for _, _, p, q, _ in rows),
        "buy_volume": sum(q for _, _, _, q, side in rows if side > 0),
        "buy_notional": sum(p * q for _, _, p, q, side in rows if side > 0),
    }.items():
        assert sum(bars[name]) + opened[name] == total


@given(trade_rows(), PLAIN)
def test_c4_every_trade_is_in_one_bar_and_bars_are_in_order(rows, rule):
    bars, _ = fold([rows], rule)
    closed, _ = naive.bars(rows, rule.kind, rule.size)
    assert bars["last_trade_id"] == [bar.trades[-1][0] for bar in closed]
    assert bars["ts_close"] == sorted(bars["ts_close"])
    for low, high, first, last in zip(bars["low"], bars["high"], bars["open"], bars["close"], strict=True):
        assert low <= min(first, last) <= max(first, last) <= high


@given(trade_rows(min_size=1), RULES, st.randoms())
def test_times_that_run_backwards_never_make_a_bar_close_earlier_than_one_before(rows, rule, random):
    times = [row[1] for row in rows]
    random.shuffle(times)
    shuffled = [(i, ts, p, q, side) for (i, _, p, q, side), ts in zip(rows, times, strict=True)]
    bars, left = fold(split(shuffled, 3), rule)
    assert bars["ts_close"] == sorted(bars["ts_close"])
    assert all(o <= c for o, c in zip(bars["ts_open"], bars["ts_close"], strict=True))
    assert left.latest == max(times)
    assert fold([shuffled], rule)[0] == bars


def test_a_time_bar_is_stamped_with_its_interval_and_others_with_their_crossing_trade():
    rows = [(1, 12, 5, 1, 1), (2, 17, 5, 1, 1), (3, 31, 5, 1, 1)]
    bars, _ = fold([rows], Rule("time", 10))
    assert (bars["ts_open"], bars["ts_close"]) == ([10], [20])
    bars, _ = fold([rows], Rule("tick", 2))
    assert (bars["ts_open"], bars["ts_close"]) == ([12], [17])


def test_an_interval_that_is_over_at_the_end_of_the_day_closes_there():
    rows = [(1, 12, 5, 1, 1), (2, 17, 5, 1, 1)]
    assert fold([rows], Rule("time", 10), until=20)[0]["ts_close"] == [20]
    assert fold([rows], Rule("time", 10), until=19)[0]["ts_close"] == []
    assert fold([rows], Rule("tick", 3), until=20)[0]["ts_close"] == []


@given(trade_rows(min_size=1), st.integers(0, 59), st.integers(1, 100))
def test_m8_splitting_a_trade_in_two_leaves_volume_bars_alone_unless_it_crosses(rows, at, size):
    at = min(at, len(rows) - 1)
    i, ts, p, q, side = rows[at]
    assume(q > 1 and at not in naive.ends(rows, "volume", size))
    rows = [(2 * r[0], *r[1:]) for r in rows]
    halves = [(2 * i, ts, p, 1, side), (2 * i + 1, ts, p, q - 1, side)]
    whole, _ = fold([rows], Rule("volume", size))
    other, _ = fold([rows[:at] + halves + rows[at + 1 :]], Rule("volume", size))
    for name in ("ts_close", "open", "high", "low", "close", "volume", "notional"):
        assert whole[name] == other[name]


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        (TimeBars(kind="time", interval="15m"), Rule("time", 900_000_000)),
        (TickBars(kind="tick", threshold=100), Rule("tick", 100)),
        (VolumeBars(kind="volume", threshold="0.1"), Rule("volume", 10)),
        (VolumeBars(kind="volume", threshold="0.101"), Rule("volume", 11)),
        (DollarBars(kind="dollar", threshold=1000), Rule("dollar", 100_000_000)),
        (DollarBars(kind="dollar", threshold="0.000001"), Rule("dollar", 1)),
        (
            DollarBars(kind="dollar", threshold=1, excess="split", reset="daily"),
            Rule("dollar", 10**5, "split", "daily"),
        ),
        (RangeBars(kind="range", size="0.0101"), Rule("range", 11)),
        (RenkoBars(kind="renko", size="0.01"), Rule("renko", 10)),
    ],
)
def test_a_threshold_is_counted_in_the_symbols_own_units(spec, rule):
    assert rule_of(spec, 3, 2) == rule


def test_a_tenth_ten_times_is_one():
    rule = rule_of(VolumeBars(kind="volume", threshold=Decimal(1)), 0, 1)
    rows = [(i, i, 1, 1, 1) for i in range(20)]
    assert fold([rows], rule)[0]["n_trades"] == [10, 10]


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ExactnessLost, match="threshold"):
        rule_of(DollarBars(kind="dollar", threshold="1e30"), 2, 5)
    with pytest.raises(ExactnessLost, match=r"threshold of 1E-18"):
        rule_of(RenkoBars(kind="renko", size="1e-18"), 3, 1)
    with pytest.raises(ExactnessLost, match="3 more decimal places it has 19 digits"):
        close_bars(arrays_of([(1, 1, 1, 10**15, 1)]), Rule("volume", 1, "carry", quantity_places=3), State(), 0)
    for rule in (Rule("tick", 1), Rule("dollar", 10**9), Rule("dollar", 10**9, "carry"), Rule("range", 5)):
        with pytest.raises(ExactnessLost, match="at trade 2"):  # price times quantity wraps around to 0
            close_bars(arrays_of([(1, 1, 1, 1, 1), (2, 1, 2**33, 2**31, 1)]), rule, State(), 0)
    with pytest.raises(ExactnessLost, match="notional of a trade"):
        close_bars(arrays_of([(1, 1, 2**33, 2**31, 1)]), Rule("dollar", 10**9, "split"), State(), 0)
    with pytest.raises(ExactnessLost, match="at trade 2"):
        close_bars(arrays_of([(1, 1, 1, 6 * 10**17, 1), (2, 2, 1, 6 * 10**17, 1)]), Rule("tick", 9), State(), 0)


def columns_of(closed):
    rows = [bar.row() for bar in closed]
    return {name: [row[name] for row in rows] for name in ("first_trade_id", "close", *SUMS)}


@given(trade_rows(), EXCESS)
def test_carried_and_split_bars_hold_what_their_slow_twins_hold(rows, rule):
    holds_what_the_twin_holds(rows, rows, rule)
    holds_what_the_twin_holds(rows, rows, replace(rule, lot=100))


@given(trade_rows(max_size=30), EXCESS, st.integers(1, 9), st.sampled_from([1, 10, 100, 1000]))
def test_a_threshold_finer_than_the_trades_is_counted_as_finely_as_it_is(rows, rule, tenths, lot):
    finer = [(*row[:3], 10 * row[3], row[4]) for row in rows]
    holds_what_the_twin_holds(rows, finer, replace(rule, size=10 * rule.size + tenths, quantity_places=1, lot=lot))


def holds_what_the_twin_holds(rows, units, rule):
    """`units` are the trades as the rule counts them."""
    closed, opened = naive.grid_bars(units, rule.kind, rule.size, rule.excess == "split", rule.lot)
    bars, left = fold([rows], rule)
    wanted = columns_of(closed)
    assert {name: bars[name] for name in wanted} == wanted
    assert (left.open_bar() or {"volume": 0})["volume"] == sum(q for _, _, _, q, _ in opened.trades)


@pytest.mark.parametrize(
    ("spec", "size", "places", "lot"),
    [
        (VolumeBars(kind="volume", threshold="1.25", excess="carry"), 125, (0, 1), 10),
        (VolumeBars(kind="volume", threshold="1.250", excess="split"), 125, (0, 1), 10),
        (VolumeBars(kind="volume", threshold="1.2", excess="split"), 12, (0, 0), 1),
        (DollarBars(kind="dollar", threshold="0.0005", excess="split"), 5, (0, 1), 10),
        (RenkoBars(kind="renko", size="0.125"), 125, (1, 0), 1),
        (RenkoBars(kind="renko", size="5"), 500, (0, 0), 1),
    ],
)
def test_where_bars_end_at_multiples_the_units_are_as_fine_as_the_threshold(spec, size, places, lot):
    rule = rule_of(spec, 2, 1)
    assert (rule.size, (rule.price_places, rule.quantity_places)) == (size, places)
    assert rule.scales({"price_scale": 2, "quantity_scale": 1, "notional_scale": 3}) == {
        "price_scale": 2 + places[0], "quantity_scale": 1 + places[1], "notional_scale": 3 + sum(places),
    }  # fmt: skip
    assert lots_of(rule, [1, 1], 1)[1] == lot


def test_the_lot_of_a_day_is_the_finest_unit_of_the_days_before_it_unless_each_starts_from_nothing():
    rule = rule_of(DollarBars(kind="dollar", threshold=9, excess="split"), 2, 3)
    assert lots_of(rule, [1, 2, 0, 3], 3) == [1000, 100, 10, 10]
    assert lots_of(replace(rule, reset="daily"), [1, 2, 0, 3], 3) == [1000] * 4


def test_a_trade_is_split_at_the_finest_unit_of_the_quantities_up_to_it():
    rows = [(1, 0, 7, 30, 1), (2, 1, 7, 21, 1), (3, 2, 7, 10, 1)]
    bars, left = fold([rows], Rule("dollar", 150, "split", lot=10))
    # In tens of 70 each: 210, 60 beyond; then in ones of 7: 91 more, 1 beyond; 56 of the 21, and 70.
    assert (bars["volume"], left.memory) == ([30, 13], (127, 1))


def test_a_large_trade_is_one_bar_whole_or_many_bars_cut():
    rows = [(1, 0, 5, 7, 1), (2, 1, 6, 35, -1), (3, 2, 7, 8, 1)]
    for excess, volume, n_trades in (
        ("drop", [42], [2]),
        ("carry", [42, 8], [2, 1]),
        ("split", [10, 10, 10, 10, 10], [2, 0, 0, 0, 1]),
    ):
        bars, left = fold([rows], Rule("volume", 10, excess))
        assert (bars["volume"], bars["n_trades"]) == (volume, n_trades)
        assert sum(volume) + (left.open_bar() or {"volume": 0})["volume"] == 50
    assert bars["first_trade_id"] == [1, 2, 2, 2, 2]
    assert bars["last_trade_id"] == [2, 2, 2, 2, 3]
    assert bars["ts_close"] == [1, 1, 1, 1, 2]


def test_a_threshold_that_would_cut_trades_to_dust_is_refused(monkeypatch):
    monkeypatch.setattr(ends, "MOST_PIECES", 100)
    large = arrays_of([(1, 0, 5, 1000, 1)])
    with pytest.raises(InvalidRequest, match=r"specs.fine.threshold: it cuts .* into up to 502 pieces"):
        ends.check_pieces("specs.fine", large, Rule("volume", 2, "split"))
    with pytest.raises(InvalidRequest, match="502 pieces"):
        ends.check_pieces("spec", large, Rule("volume", 20, "split", quantity_places=1))
    for rule in (Rule("volume", 20, "split"), Rule("dollar", 2, "split", lot=100), Rule("volume", 2, "carry")):
        ends.check_pieces("spec", large, rule)
    assert len(fold([[(1, 0, 5, 1000, 1)]], Rule("volume", 20, "split"))[0]["close"]) == 50


@given(trade_rows(), st.integers(1, 20))
def test_renko_bars_hold_what_their_slow_twins_hold(rows, size):
    closed, opened, bricks = naive.renko_bars(rows, size)
    bars, left = fold([rows], Rule("renko", size))
    wanted = columns_of(closed)
    assert {name: bars[name] for name in wanted} == wanted
    assert bars["bricks"] == bricks
    assert (left.open_bar() or {"volume": 0})["volume"] == sum(q for _, _, _, q, _ in opened.trades)


def test_a_brick_against_the_direction_takes_two():
    prices = [100, 109, 110, 101, 99, 90, 89, 101, 110, 135]
    bars, _ = fold([[(i, i, p, 1, 1) for i, p in enumerate(prices)]], Rule("renko", 10))
    assert bars["last_trade_id"] == [2, 5, 8, 9]
    assert bars["bricks"] == [1, -1, 1, 2]
    assert bars["close"] == [110, 90, 110, 135]
    assert list(accumulate(bars["bricks"], initial=10)) == [10, 11, 10, 11, 13]


@given(trade_rows(), NEVER_RESET, st.integers(20, 300))
def test_with_a_daily_reset_every_day_is_built_as_if_it_were_alone(rows, rule, day):
    assume(rule.kind != "time")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "DAY_US", day)
        got, left = fold(split(rows, 3), replace(rule, reset="daily"))
        wanted = {name: [] for name in got}
        for number, of_day in groupby(rows, lambda row: row[1] // day):
            alone, state = fold([list(of_day)], replace(rule, reset="daily"), until=(number + 1) * day)
            assert state.open_bar() is None
            for name, values in alone.items():
                wanted[name] += values
        if left.is_open:
            for name in wanted:
                wanted[name].pop()
        assert got == wanted


def test_a_bar_that_midnight_closes_is_stamped_with_midnight():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "DAY_US", 100)
        rows = [(1, 10, 5, 1, 1), (2, 20, 5, 1, 1), (3, 150, 5, 1, 1)]
        bars, left = fold([rows], Rule("tick", 3, reset="daily"))
        assert (bars["ts_open"], bars["ts_close"], bars["n_trades"]) == ([10], [100], [2])
        assert left.open_bar()["first_trade_id"] == 3
        bars, left = fold([rows], Rule("tick", 3, reset="daily"), until=200)
        assert (bars["ts_close"], left.open_bar()) == ([100, 200], None)


@given(trade_rows(), RULES)
def test_the_state_is_small_text_that_is_read_back_to_the_bit(rows, rule):
    _, left = close_bars(arrays_of(rows), rule, State(), 0)
    text = json.dumps(left.to_json())
    again = State.from_json(json.loads(text))
    assert len(text) < 700
    assert again.to_json() == left.to_json()
    assert (again.latest, again.memory, again.averages) == (left.latest, left.memory, left.averages)
    assert again.bar.tolist() == left.bar.tolist()
