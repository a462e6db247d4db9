import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.viz.kernels.candles import candle_starts, group_extremes, group_last, known_at_s, merge_candles
from tests.naive import viz as naive

NAMES = ("open", "high", "low", "close", "volume")


@st.composite
def bars(draw):
    gaps = draw(st.lists(st.integers(0, 3_000_000), max_size=60))
    ts_close = 1_650_000_000_000_000 + np.cumsum(np.array(gaps, np.int64))
    rows = draw(st.lists(st.tuples(*[st.integers(1, 50)] * 5), min_size=len(gaps), max_size=len(gaps)))
    table = np.array(rows, np.float64).reshape(len(gaps), 5)
    return ts_close, dict(zip(NAMES, table.T, strict=True))


def merged(ts_close, columns, max_candles):
    return merge_candles(ts_close, *(columns[name] for name in NAMES), max_candles)


@given(bars(), st.integers(1, 70))
def test_merging_equals_merging_one_bar_at_a_time(data, max_candles):
    ts_close, columns = data
    candles = merged(ts_close, columns, max_candles)
    rows = [{"ts_close": int(ts), **{k: v[i] for k, v in columns.items()}} for i, ts in enumerate(ts_close)]
    expected = naive.candles(rows, max_candles)
    for name in ("time_s", *NAMES):
        assert getattr(candles, name).tolist() == [row[name] for row in expected]


@given(bars(), st.integers(1, 70))
def test_times_strictly_increase_by_whole_seconds_and_there_are_never_too_many(data, max_candles):
    candles = merged(*data, max_candles)
    assert (np.diff(candles.time_s) >= 1).all()
    assert candles.time_s.size <= max_candles


@given(bars(), st.integers(1, 70))
def test_highest_lowest_and_volume_of_the_whole_are_kept(data, max_candles):
    ts_close, columns = data
    candles = merged(ts_close, columns, max_candles)
    if ts_close.size:
        assert candles.high.max() == columns["high"].max()
        assert candles.low.min() == columns["low"].min()
        assert candles.open[0] == columns["open"][0]
        assert candles.close[-1] == columns["close"][-1]
    assert candles.volume.sum() == columns["volume"].sum()


@given(bars(), st.integers(1, 70))
def test_the_extremes_within_candles_hold_every_bar(data, max_candles):
    ts_close, columns = data
    first = candle_starts(ts_close, max_candles)
    low, high = group_extremes(columns["close"], first)
    for k, (start, last) in enumerate(zip(first, group_last(first, ts_close.size), strict=True)):
        assert low[k] == columns["close"][start : last + 1].min()
        assert high[k] == columns["close"][start : last + 1].max()


def test_bars_that_close_within_one_second_are_one_candle():
    ts_close = np.array([1_000_001, 1_500_000, 2_000_000, 2_000_001], np.int64)
    assert candle_starts(ts_close, 10).tolist() == [0, 3]


def test_no_bars_are_no_candles():
    assert merged(np.empty(0, np.int64), dict.fromkeys(NAMES, np.empty(0)), 5).time_s.size == 0


@pytest.mark.parametrize(("ts", "second"), [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2)])
def test_a_bar_is_shown_at_the_first_second_when_it_is_known(ts, second):
    assert known_at_s(np.array([ts])).tolist() == [second]
