"""The microstructure columns: their slow twins, numbers worked out by hand, C1 and C2 for every column."""

import json
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bars.domain.build import close_bars
from services.bars.domain.microstructure import Wanted
from services.bars.domain.rule import Rule, rule_of
from services.bars.domain.state import State
from tests.naive import bars as naive_bars
from tests.naive import microstructure as naive
from tests.services.bars.domain.test_build import PLAIN, RULES, split
from tests.services.bars.made import arrays_of, trade_rows
from tickloom.contracts.bars import MEASURES, TickBars

ALL = Wanted(MEASURES, 300, 1, 2)
"""Prices in tenths, quantities in hundredths; a trade of 0.3 is large."""
EXACT = {"volume_imbalance": 100, "signed_volume": 100, "signed_notional": 1000, "signed_count": 1}


def fold(partitions, rule):
    """Return every column of all bars, None where not defined, and the last state."""
    state, columns = State().to_json(), {}
    for rows in partitions:
        bars, left = close_bars(arrays_of(rows), rule, State.from_json(state), 0)
        state = json.loads(json.dumps(left.to_json()))
        for name, values in (bars.columns | bars.ratios).items():
            columns.setdefault(name, []).extend(None if value != value else value for value in values.tolist())
    return columns, state


def measured(rule):
    return replace(rule, wanted=ALL)


def in_units(rows):
    """Return what the slow twin says of one bar, the exact columns as whole numbers of units."""
    found = naive.columns(rows, Fraction(1, 10), Fraction(1, 100), Fraction(3, 10))
    return found | {name: round(found[name] * units) for name, units in EXACT.items()}


@given(trade_rows(), PLAIN)
def test_every_column_is_that_of_its_slow_twin_to_the_last_bit(rows, rule):
    columns, _ = fold([rows], measured(rule))
    closed, _ = naive_bars.bars(rows, rule.kind, rule.size)
    wanted = [in_units(bar.trades) for bar in closed]
    for name in in_units([(1, 1, 1, 1, 1)]):
        assert columns[name] == [row[name] for row in wanted], name


@given(trade_rows(), st.sampled_from(["volume", "dollar"]), st.integers(1, 60))
def test_of_a_trade_that_is_cut_every_piece_is_as_large_as_the_whole(rows, kind, size):
    columns, _ = fold([rows], measured(Rule(kind, size, "split")))
    closed, _ = naive_bars.grid_bars(rows, kind, size, True)
    lots = {row[0]: row[3] for row in rows}
    for number, bar in enumerate(closed):
        found = naive.columns(
            bar.trades, Fraction(1, 10), Fraction(1, 100), Fraction(3, 10), [lots[trade[0]] for trade in bar.trades]
        )
        begun = bar.trades[bar.begins_with_rest :]
        assert columns["large_trade_share"][number] == found["large_trade_share"]
        assert columns["kyle_lambda"][number] == found["kyle_lambda"]
        assert columns["signed_count"][number] == sum(side for *_, side in begun)


def test_a_trade_that_fits_in_no_integer_is_large_in_every_piece():
    rows = [(1, 0, 10**9, 15 * 10**9, 1)]  # wraps around to below 0
    columns, _ = fold([rows], replace(Rule("volume", 5 * 10**8, "split"), wanted=Wanted(MEASURES, 10**17)))
    assert columns["large_trade_share"] == [1.0] * 30


@given(trade_rows(), RULES, st.sampled_from([2, 3, 7, 31]))
def test_c2_any_partitioning_gives_the_same_columns_and_state(rows, rule, n):
    assert fold(split(rows, n), measured(rule)) == fold([rows], measured(rule))


@given(trade_rows(), RULES, st.integers(0, 60))
def test_c1_no_column_of_a_closed_bar_depends_on_what_follows(rows, rule, cut):
    before, _ = fold([rows[:cut]], measured(rule))
    whole, _ = fold([rows], measured(rule))
    for name, values in before.items():
        assert whole[name][: len(values)] == values, name


@given(trade_rows(), RULES)
def test_what_is_measured_changes_nothing_else(rows, rule):
    with_it, state = fold([rows], measured(rule))
    without, bare = fold([rows], rule)
    assert {name: with_it[name] for name in without} == without
    assert state | {"sums": []} == bare


@given(trade_rows(), PLAIN, st.integers(0, 4), st.integers(0, 4))
def test_the_scale_on_which_numbers_are_kept_changes_no_bit_of_a_ratio(rows, rule, price_places, quantity_places):
    finer = [(i, ts, p * 10**price_places, q * 10**quantity_places, side) for i, ts, p, q, side in rows]
    by = {"volume": quantity_places, "dollar": price_places + quantity_places, "range": price_places}.get(rule.kind, 0)
    scaled = ALL._replace(
        large=ALL.large * 10 ** (price_places + quantity_places),
        price_scale=1 + price_places,
        quantity_scale=2 + quantity_places,
    )
    columns, _ = fold([rows], measured(rule))
    again, _ = fold([finer], replace(rule, size=rule.size * 10**by, wanted=scaled))
    bars, _ = close_bars(arrays_of(rows), measured(rule), State(), 0)
    assert {name: again[name] for name in bars.ratios} == {name: columns[name] for name in bars.ratios}


@given(trade_rows(), RULES)
def test_the_state_stays_small(rows, rule):
    _, state = fold([rows], measured(rule))
    assert len(json.dumps(state)) < 1000


HAND = [(1, 0, 100, 2, 1), (2, 10, 101, 3, 1), (3, 10, 99, 1, -1), (4, 40, 99, 4, -1), (5, 60, 100, 5, 1)]
"""Changes +1 -2 0 +1; signed lots after the first +3 -1 -4 +5; pauses 10 0 30 20; notional 200 303 99 396 500."""


def test_a_bar_worked_out_by_hand():
    columns, _ = fold([HAND], replace(Rule("tick", 5), wanted=Wanted(MEASURES, 396)))
    pairs = [(-2, 1), (0, -2), (1, 0)]  # each change and the one before: means -1/3, -1/3; sum of products -2
    covariance = (sum(a * b for a, b in pairs) - 3 * (-1 / 3) * (-1 / 3)) / 2
    deviation = math.sqrt((100 + 0 + 900 + 400) / 4 - 15**2)
    by_hand = {
        "volume_imbalance": 5,
        "signed_volume": 10 - 5,
        "signed_notional": 1003 - 495,
        "signed_count": 1,
        "kyle_sxy": 3 * 1 + (-1) * (-2) + 0 + 5 * 1,
        "kyle_sxx": 9 + 1 + 16 + 25,
        "kyle_lambda": 10 / 51,
        "amihud": 0.0,
        "roll_covariance": covariance,
        "roll_spread": 2 * math.sqrt(-covariance),
        "large_trade_share": (396 + 500) / 1498,
        "burstiness": (deviation - 15) / (deviation + 15),
        "realized_variance": 1 + 4 + 0 + 1,
        "bipower_variation": math.pi / 2 * (1 * 2 + 2 * 1) * 3 / 2,
        "jump_share": 0.0,  # 1 - 9.42 / 6 is below 0
    }
    for name, value in by_hand.items():
        assert columns[name] == [pytest.approx(value, rel=1e-14)], name


def test_a_jump_takes_the_share_of_the_variance_that_it_made():
    prices = [100, 101, 100, 101, 151, 150, 151, 150]
    columns, _ = fold([[(i, i, p, 1, 1) for i, p in enumerate(prices)]], measured(Rule("tick", 8)))
    moves = [1, 1, 1, 50, 1, 1, 1]
    bipower = math.pi / 2 * (1 + 1 + 50 + 50 + 1 + 1) * 7 / 6
    assert columns["jump_share"] == [pytest.approx(1 - bipower / sum(m * m for m in moves))]
    assert columns["jump_share"][0] > 0.9


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ([(1, 5, 7, 1, 1)], {"kyle_lambda", "kyle_sxy", "kyle_sxx", "realized_variance"}),
        ([(1, 5, 7, 1, 1), (2, 6, 8, 1, 1)], set()),
        ([(1, 5, 7, 1, 1), (2, 6, 7, 1, 1), (3, 8, 8, 1, 1)], set()),
    ],
)
def test_what_too_few_trades_do_not_define_is_missing(rows, missing):
    columns, _ = fold([rows], measured(Rule("tick", len(rows))))
    always = {"roll_covariance", "roll_spread", "bipower_variation", "jump_share"}
    if len(rows) < 3:
        always |= {"burstiness"}
    assert {name for name, (value,) in columns.items() if value is None} == missing | always


def test_a_covariance_above_zero_has_no_spread_and_one_of_zero_has_none_to_pay():
    trend = [(i, i, p, 1, 1) for i, p in enumerate([100, 101, 103, 106, 107, 107])]
    columns, _ = fold([trend], measured(Rule("tick", 6)))
    assert columns["roll_covariance"][0] > 0
    assert columns["roll_spread"] == [None]
    flat = [(i, i, 100, 1, 1) for i in range(6)]
    columns, _ = fold([flat], measured(Rule("tick", 6)))
    assert (columns["roll_covariance"], columns["roll_spread"]) == ([0.0], [0.0])
    assert (columns["jump_share"], columns["realized_variance"]) == ([None], [0.0])
    assert columns["kyle_lambda"] == [0.0]


def test_a_clock_is_not_bursty_and_trades_of_one_moment_have_no_rhythm():
    clock = [(i, 10 * i, 100, 1, 1) for i in range(6)]
    assert fold([clock], measured(Rule("tick", 6)))[0]["burstiness"] == [-1.0]
    moment = [(i, 7, 100, 1, 1) for i in range(6)]
    assert fold([moment], measured(Rule("tick", 6)))[0]["burstiness"] == [None]
    bursts = [(i, (i % 50) + 10**9 * (i // 50), 100, 1, 1) for i in range(500)]
    assert fold([bursts], measured(Rule("tick", 500)))[0]["burstiness"][0] > 0.7


def test_only_what_is_asked_for_is_published():
    spec = TickBars(kind="tick", threshold=5, microstructure=["roll", "vpin"])
    bars, _ = close_bars(arrays_of(HAND), rule_of(spec, 0, 0), State(), 0)
    assert list(bars.ratios) == ["roll_covariance", "roll_spread"]
    assert "volume_imbalance" in bars.columns
    assert "signed_count" not in bars.columns
    bars, left = close_bars(arrays_of(HAND), rule_of(TickBars(kind="tick", threshold=5), 0, 0), State(), 0)
    assert (bars.ratios, left.sums.size) == ({}, 0)


def test_the_notional_of_a_large_trade_is_counted_in_the_symbols_own_units():
    spec = TickBars(kind="tick", threshold=5, microstructure=True, large_trade="0.12345")
    assert rule_of(spec, 2, 2).wanted == Wanted(MEASURES, 1235, 2, 2)


def test_numbers_too_large_for_a_float_are_still_divided_exactly():
    rows = [(i, i * 10**10, 10**8 + (-1) ** i, 10**9 + i, 1) for i in range(5)]
    columns, _ = fold([rows], replace(Rule("tick", 5), wanted=Wanted(MEASURES)))
    for name, value in naive.columns(rows, Fraction(1), Fraction(1), Fraction(10**18)).items():
        assert columns[name] == [value] or name in EXACT, name
    assert columns["signed_notional"] == [sum(p * q for _, _, p, q, _ in rows)]
