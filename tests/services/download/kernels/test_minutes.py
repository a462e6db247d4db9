"""Minutes of a day: marks and bars, against the slow and obvious way."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.download.kernels.minutes import LIMIT, MINUTE_US, MINUTES, N_TRADES, add_minutes, mark_minutes
from tests.naive import quality as naive

MIDNIGHT = 19_727 * 86_400_000_000
NO_FILLS = np.empty(0, np.int64)
TRADE = st.tuples(
    st.integers(0, 20 * MINUTE_US - 1),
    st.integers(1, 50),
    st.integers(1, 9),
    st.sampled_from([1, -1]),
    st.integers(1, 4),
)


def columns(trades):
    ts, price, quantity, side, fills = (np.array(column, np.int64) for column in zip(*trades, strict=True))
    return ts + MIDNIGHT, price, quantity, side.astype(np.int8), fills


def bars_of(*args):
    bars = np.zeros((9, MINUTES), np.int64)
    assert add_minutes(*args, MIDNIGHT, bars) == -1
    return bars


@given(st.lists(TRADE, min_size=1, max_size=60), st.booleans())
def test_minute_bars_are_those_of_the_slow_way(trades, aggregated):
    ts, price, quantity, side, fills = columns(trades)
    fills = fills if aggregated else NO_FILLS
    bars = bars_of(ts, price, quantity, side, fills)
    expected = naive.minute_bars(*(list(map(int, column)) for column in (ts - MIDNIGHT, price, quantity, side, fills)))
    assert {int(m): bars[:, m].tolist() for m in np.flatnonzero(bars[N_TRADES])} == expected


@given(st.lists(TRADE, min_size=1, max_size=40), st.integers(0, 40))
def test_cutting_the_trades_changes_no_minute(trades, cut):
    whole = columns(trades)
    bars = np.zeros((9, MINUTES), np.int64)
    for part in (slice(0, cut), slice(cut, None)):
        assert add_minutes(*(column[part] for column in whole), MIDNIGHT, bars) == -1
    assert np.array_equal(bars, bars_of(*whole))


@given(st.lists(st.integers(0, MINUTES * MINUTE_US - 1), max_size=30))
def test_a_minute_is_marked_when_it_has_a_trade(times):
    marks = np.zeros(MINUTES, np.bool_)
    mark_minutes(np.array(times, np.int64) + MIDNIGHT, MIDNIGHT, marks)
    assert set(np.flatnonzero(marks).tolist()) == {time // MINUTE_US for time in times}


def test_the_first_and_the_last_microsecond_belong_to_the_day():
    marks = np.zeros(MINUTES, np.bool_)
    mark_minutes(np.array([MIDNIGHT, MIDNIGHT + 86_400_000_000 - 1]), MIDNIGHT, marks)
    assert np.flatnonzero(marks).tolist() == [0, 1439]


def test_a_sum_that_does_not_fit_names_its_trade():
    bars = np.zeros((9, MINUTES), np.int64)
    one = np.ones(2, np.int64)
    ts, side = one + MIDNIGHT, one.astype(np.int8)
    big = np.array([1, LIMIT // 2])
    assert add_minutes(ts, big, 2 * one, side, NO_FILLS, MIDNIGHT, bars) == 1
    assert add_minutes(ts, np.array([10**18, 1]), np.array([10**18, 1]), side, NO_FILLS, MIDNIGHT, bars) == 0
