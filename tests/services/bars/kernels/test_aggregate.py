"""What is in a bar: integer sums, exact whatever the cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.bars.kernels.aggregate import COLUMNS, LIMIT, N_TRADES, aggregate
from tests.naive import bars as naive
from tests.services.bars.made import arrays_of, trade_rows

NOTHING = np.zeros(len(COLUMNS), np.int64)


def run(trades, ends, opened=NOTHING):
    return aggregate(
        trades.ids, trades.ts, trades.price, trades.quantity, trades.side, np.array(ends, np.int64), opened
    )


@given(trade_rows(), st.sampled_from(["tick", "volume", "dollar", "time"]), st.integers(1, 100))
def test_every_bar_holds_what_its_slow_twin_holds(rows, kind, size):
    closed, left = naive.bars(rows, kind, size)
    bars, opened, bad = run(arrays_of(rows), naive.ends(rows, kind, size))
    assert bad == -1
    assert [dict(zip(COLUMNS, column, strict=True)) for column in bars.T.tolist()] == [bar.row() for bar in closed]
    if left.trades:
        assert dict(zip(COLUMNS, opened.tolist(), strict=True)) == left.row()
    else:
        assert opened[N_TRADES] == 0


@given(trade_rows(min_size=1), st.integers(1, 60), st.integers(0, 60))
def test_a_bar_that_began_in_an_earlier_partition_is_one_bar(rows, size, cut):
    cut = min(cut, len(rows))
    ends = naive.ends(rows, "tick", size)
    whole, opened, _ = run(arrays_of(rows), ends)
    head, between, _ = run(arrays_of(rows[:cut]), [e for e in ends if e < cut])
    tail, after, _ = run(arrays_of(rows[cut:]), [e - cut for e in ends if e >= cut], between)
    assert np.array_equal(whole, np.concatenate([head, tail], axis=1))
    assert np.array_equal(opened, after)


def test_an_end_before_the_first_trade_closes_the_open_bar_as_it_is():
    _, opened, _ = run(arrays_of([(1, 5, 10, 2, 1)]), [])
    bars, after, _ = run(arrays_of([(2, 9, 11, 3, -1)]), [-1], opened)
    assert np.array_equal(bars[:, 0], opened)
    assert dict(zip(COLUMNS, after.tolist(), strict=True))["volume"] == 3


def test_a_sum_beyond_18_digits_names_the_trade_where_it_happens():
    rows = [(i, i, 1, LIMIT // 2, 1) for i in range(4)]
    assert run(arrays_of(rows), [1, 3])[2] == -1
    assert run(arrays_of(rows), [])[2] == 2
    dear = [(i, i, LIMIT // 4, 2, 1) for i in range(4)]
    assert run(arrays_of(dear), [])[2] == 2


SIZES = st.sampled_from([1, 2, 10**9, 2**32, 2**33, 10**17, LIMIT])


@given(st.lists(st.tuples(SIZES, SIZES, st.sampled_from([-1, 1])), min_size=1, max_size=12), st.integers(1, 4))
def test_sums_are_exact_or_refused_however_large_the_numbers(trades, size):
    rows = [(i, i, price, quantity, side) for i, (price, quantity, side) in enumerate(trades)]
    wanted, notional = -1, 0
    for i, (price, quantity, _) in enumerate(trades):
        notional = price * quantity + (notional if i % size else 0)
        if notional > LIMIT:
            wanted = i
            break
    bars, _, bad = run(arrays_of(rows), list(range(size - 1, len(rows), size)))
    assert bad == wanted
    if bad < 0:
        closed, _ = naive.bars(rows, "tick", size)
        assert [dict(zip(COLUMNS, column, strict=True)) for column in bars.T.tolist()] == [bar.row() for bar in closed]


def test_inputs_are_left_as_they_were():
    trades = arrays_of([(1, 5, 10, 2, 1), (2, 6, 10, 2, 1)])
    opened = NOTHING.copy()
    opened.flags.writeable = False
    run(trades, [0], opened)
    assert not opened.any()
