"""The sums of the microstructure: exact whatever their size, in blocks as one by one, over any cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bars.kernels import microstructure as sums_of
from services.bars.kernels.microstructure import ROWS, microstructure

NONE = 10**18
PAIRS = (
    sums_of.CHANGE_CHANGE,
    sums_of.FLOW_CHANGE,
    sums_of.FLOW_FLOW,
    sums_of.PAUSE_PAUSE,
    sums_of.MOVE_MOVE,
    sums_of.CHANGE_SQUARE,
)


def sizes(most):
    return st.one_of(st.integers(1, 9), st.integers(1, 2**27 + 1), st.integers(1, most))


@st.composite
def trades(draw, max_size=40):
    """Draw (ts, price, quantity, side) whose notional adds up to less than 10**18, some of them very large."""
    rows, ts, left = [], draw(st.integers(0, 10**15)), NONE
    for pause in draw(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 10**12)), max_size=max_size)):
        price = draw(sizes(max(1, left // 4)))
        quantity = draw(sizes(max(1, left // price // 2)))
        if price * quantity >= left:
            break
        ts, left = ts + pause, left - price * quantity
        rows.append((ts, price, quantity, draw(st.sampled_from([-1, 1]))))
    return rows


def run(rows, ends=(), large=NONE, opened=None):
    columns = [np.array([row[i] for row in rows], np.int64) for i in range(3)]
    side = np.array([row[3] for row in rows], np.int8)
    state = np.zeros(ROWS, np.int64) if opened is None else opened
    return microstructure(*columns, columns[2], side, np.array(ends, np.int64), large, state)


def exact(bar):
    """Return the sums of products as Python's integers."""
    assert all(0 <= bar[row + 1] < 2**60 for row in PAIRS)
    return [int(bar[row]) * 2**60 + int(bar[row + 1]) for row in PAIRS]


def slowly(rows):
    change = [b[1] - a[1] for a, b in pairwise(rows)]
    flow = [side * q for _, _, q, side in rows[1:]]
    moves = [abs(d) for d in change if d]
    return [
        sum(a * b for a, b in pairwise(change)),
        sum(x * d for x, d in zip(flow, change, strict=True)),
        sum(x * x for x in flow),
        sum((b[0] - a[0]) ** 2 for a, b in pairwise(rows)),
        sum(a * b for a, b in pairwise(moves)),
        sum(d * d for d in change),
    ]


@given(trades(), st.integers(1, 10**18))
def test_every_sum_is_that_of_its_slow_twin_however_large(rows, large):
    _, bar = run(rows, large=large)
    assert exact(bar) == slowly(rows)
    change = [b[1] - a[1] for a, b in pairwise(rows)]
    moves = [abs(d) for d in change if d]
    assert bar[: sums_of.PAIRS_FROM].tolist() == [
        len(rows),
        sum(side > 0 for *_, side in rows),
        sum(p * q for _, p, q, _ in rows if p * q >= large),
        rows[-1][0] if rows else 0,
        rows[-1][1] if rows else 0,
        change[0] if change else 0,
        change[-1] if change else 0,
        len(moves),
        moves[-1] if moves else 0,
    ]


@given(trades(), st.lists(st.integers(0, 39), unique=True), st.integers(0, 40))
def test_c2_cutting_the_trades_into_partitions_changes_no_sum(rows, ends, cut):
    ends = sorted(end for end in ends if end < len(rows))
    whole, left = run(rows, ends)
    head, opened = run(rows[:cut], [end for end in ends if end < cut])
    tail, again = run(rows[cut:], [end - cut for end in ends if end >= cut], opened=opened)
    assert np.array_equal(np.concatenate([head, tail], axis=1), whole)
    assert np.array_equal(again, left)
    for number, (start, end) in enumerate(pairwise([-1, *ends])):
        assert exact(whole[:, number]) == slowly(rows[start + 1 : end + 1])


@pytest.mark.parametrize("n", [1, 2, 3, 255, 256, 257, 258, 259, 514, 2000])
@pytest.mark.parametrize("largest", [9, 2**27 - 1, 2**27])
def test_blocks_of_trades_are_added_as_the_trades_are_one_by_one(n, largest):
    rng = np.random.default_rng(n)
    rows = [(i, int(p), int(q), int(s)) for i, (p, q, s) in enumerate(
        zip(rng.integers(1, 9, n), rng.integers(1, 9, n), rng.choice([-1, 1], n), strict=True))]  # fmt: skip
    rows[n // 2] = (*rows[n // 2][:2], largest, 1)
    assert exact(run(rows)[1]) == slowly(rows)


def test_an_end_before_the_first_trade_closes_the_bar_that_is_open():
    _, opened = run([(5, 7, 2, 1), (9, 6, 1, -1)])
    sums, left = run([(11, 6, 1, 1)], [-1], opened=opened)
    assert np.array_equal(sums[:, 0], opened)
    assert left.tolist() == run([(11, 6, 1, 1)])[1].tolist()
    assert opened[:9].tolist() == [2, 1, 0, 9, 6, -1, -1, 1, 1]
