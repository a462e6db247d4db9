"""Where bars close: each kernel against its slow twin, by hand, and cut into partitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bars.kernels.clock import forwards, runs_forwards, time_bar_ends
from services.bars.kernels.dollar import dollar_bar_ends
from services.bars.kernels.range import range_bar_ends
from services.bars.kernels.split import n_pieces, split_trades
from services.bars.kernels.tick import tick_bar_ends
from services.bars.kernels.volume import volume_bar_ends
from tests.naive import bars as naive
from tests.services.bars.made import arrays_of, trade_rows


def of(values):
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ([], []),  # no trade, no bar
        ([6, 4], [1]),  # reaching the threshold exactly closes the bar
        ([35, 1], [0]),  # one large trade closes one bar, not three
        ([3, 4, 5, 6, 25, 1, 2], [2, 4]),  # Run 1 of BARS.md: bars of 12 and 31, residual 3
    ],
)
def test_a_volume_bar_closes_on_the_crossing_trade(quantity, expected):
    ends, carry = volume_bar_ends(of(quantity), 10, 0)
    assert ends.tolist() == expected
    assert carry == sum(quantity[expected[-1] + 1 if expected else 0 :])


@pytest.mark.parametrize(
    ("price", "quantity", "expected", "left"),
    [
        ([], [], [], 0),
        ([2, 2], [30, 20], [1], 0),
        ([2, 2], [175, 5], [0], 10),
        ([10, 11, 11, 9, 9, 12, 12], [3, 4, 5, 6, 25, 1, 2], [2, 4], 36),  # Run 1 of BARS.md: 129 and 279, residual 36
    ],
)
def test_a_dollar_bar_closes_on_the_crossing_trade(price, quantity, expected, left):
    ends, carry = dollar_bar_ends(of(price), of(quantity), 100, 0)
    assert (ends.tolist(), carry) == (expected, left)


@pytest.mark.parametrize(
    ("n", "threshold", "carry", "expected", "left"),
    [
        (0, 3, 0, [], 0),
        (2, 3, 0, [], 2),
        (3, 3, 0, [2], 0),
        (7, 3, 2, [0, 3, 6], 0),
        (2, 1, 0, [0, 1], 0),
        (0, 3, 2, [], 2),
    ],
)
def test_a_tick_bar_closes_on_its_nth_trade(n, threshold, carry, expected, left):
    ends, after = tick_bar_ends(n, threshold, carry)
    assert (ends.tolist(), after) == (expected, left)


@pytest.mark.parametrize(
    ("ts", "opened", "until", "expected", "left"),
    [
        ([], -1, 0, [], -1),
        ([0, 9], -1, 0, [], 0),
        ([0, 9, 10], -1, 0, [1], 10),  # a trade at the end belongs to the next interval
        ([5, 35], -1, 0, [0], 30),  # intervals without trades have no bar
        ([12], 0, 0, [-1], 10),  # the open bar closes without a trade from here
        ([3], 0, 0, [], 0),
        ([3], 0, 10, [0], -1),  # no trade before 10 is to come: the interval is over
        ([3], 0, 9, [], 0),
        ([], 0, 10, [-1], -1),
    ],
)
def test_a_time_bar_closes_when_its_interval_is_over(ts, opened, until, expected, left):
    ends, after = time_bar_ends(of(ts), 10, opened, until)
    assert (ends.tolist(), after) == (expected, left)


@given(trade_rows(), st.integers(1, 200))
def test_every_kernel_closes_where_its_slow_twin_does(rows, size):
    trades = arrays_of(rows)
    assert tick_bar_ends(len(rows), size, 0)[0].tolist() == naive.ends(rows, "tick", size)
    assert volume_bar_ends(trades.quantity, size, 0)[0].tolist() == naive.ends(rows, "volume", size)
    assert dollar_bar_ends(trades.price, trades.quantity, size, 0)[0].tolist() == naive.ends(rows, "dollar", size)
    assert time_bar_ends(trades.ts, size, -1, 0)[0].tolist() == naive.ends(rows, "time", size)


@given(trade_rows(), st.integers(1, 100), st.integers(0, 60))
def test_cutting_the_trades_into_partitions_never_moves_a_bar(rows, size, cut):
    t, cut = arrays_of(rows), min(cut, len(rows))

    def joined(kernel, start, *columns):
        head, carry = kernel(*(c[:cut] for c in columns), size, start)
        tail, carry = kernel(*(c[cut:] for c in columns), size, carry)
        return [*head.tolist(), *(tail + cut).tolist()], carry

    def whole(kernel, start, *columns):
        ends, carry = kernel(*columns, size, start)
        return ends.tolist(), carry

    def clock(ts, interval, opened):
        return time_bar_ends(ts, interval, opened, 0)

    def tick(ids, threshold, carry):
        return tick_bar_ends(ids.size, threshold, carry)

    for kernel, start, columns in (
        (volume_bar_ends, 0, (t.quantity,)),
        (dollar_bar_ends, 0, (t.price, t.quantity)),
        (clock, -1, (t.ts,)),
        (tick, 0, (t.ids,)),
    ):
        assert joined(kernel, start, *columns) == whole(kernel, start, *columns)


@given(trade_rows(), st.integers(1, 50))
def test_a_range_bar_closes_where_its_slow_twin_does(rows, size):
    trades = arrays_of(rows)
    assert range_bar_ends(trades.price, size, 0, 0)[0].tolist() == naive.ends(rows, "range", size)


@pytest.mark.parametrize(
    ("price", "expected", "high", "low"),
    [
        ([], [], 0, 0),
        ([100, 104, 96], [], 104, 96),
        ([100, 104, 95], [2], 0, 0),  # the high is 9 above the low
        ([100, 150, 100, 108], [1], 108, 100),  # a jump closes one bar, and no price is made up
    ],
)
def test_a_range_bar_closes_on_the_trade_that_makes_its_range(price, expected, high, low):
    ends, *left = range_bar_ends(of(price), 9, 0, 0)
    assert (ends.tolist(), left) == (expected, [high, low])


@given(st.lists(st.integers(0, 99)), st.integers(-1, 50))
def test_times_run_forwards_from_the_latest_one_before(times, latest):
    assert forwards(of(times), latest).tolist() == [max([latest, *times[: i + 1]]) for i in range(len(times))]


def of_ten(quantity, most):
    """The largest power of ten up to `most` that a quantity is a multiple of."""
    return max(10**k for k in range(4) if quantity % 10**k == 0 and 10**k <= most)


@given(trade_rows(), st.integers(1, 60), st.booleans(), st.integers(0, 60), st.sampled_from([1, 10, 100]))
def test_pieces_of_trades_add_up_and_fill_every_bar_to_its_first_lot_beyond(rows, size, dollars, carry, lot):
    trades, carry = arrays_of(rows), min(carry, size - 1)
    most = n_pieces(trades.price, trades.quantity, dollars, size, lot)
    trade, lots, rest, ends, left, finest = split_trades(trades.price, trades.quantity, dollars, size, lot, carry, most)
    assert trade.size <= most
    of_each = [min([lot, *(of_ten(row[3], lot) for row in rows[: i + 1])]) for i in range(len(rows))]
    unit = np.array([of if dollars else math.gcd(of, size) for of in of_each], np.int64)[trade]
    assert finest == (of_each[-1] if rows else lot)
    assert not (lots % unit).any()
    assert np.bincount(trade, lots, len(rows)).tolist() == trades.quantity.tolist()
    assert (lots > 0).all()
    assert rest.tolist() == [i > 0 and trade[i] == trade[i - 1] for i in range(trade.size)]
    worth = trades.price[trade] if dollars else np.ones_like(lots)
    counted = carry + np.cumsum(lots * worth)
    assert ends.tolist() == [i for i, end in enumerate(counted) if end // size > (end - lots[i] * worth[i]) // size]
    assert all((counted[i] - worth[i] * unit[i]) // size < counted[i] // size for i in ends)
    assert left == ((int(counted[-1]) if lots.size else carry) % size)


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(-1, 5))
def test_times_run_forwards_when_nothing_has_to_be_raised(times, latest):
    ts = of(times)
    assert runs_forwards(ts, latest) == np.array_equal(forwards(ts, latest), ts)
