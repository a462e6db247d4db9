"""T08: two sources of one day, row by row; T09: the holes in a day's ids."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.download.adapters.compare import compare, holes
from services.download.domain.corrections import Difference
from services.download.domain.voids import NONE
from tests.naive import download as naive
from tests.services.download.sources import T0, own_lake, read, trade

ROW = st.tuples(st.integers(1, 3), st.integers(0, 2), st.booleans())
DAY = st.dictionaries(st.integers(0, 12), ROW, min_size=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return own_lake(tmp_path_factory.mktemp("lake"))


def stored(lake, rows, data_type="trades"):
    if data_type == "aggTrades":
        lines = [f"{i},{p}.{q:03},{p},{i},{i + q},{T0 + p},{m},True\n" for i, (p, q, m) in sorted(rows.items())]
    else:
        lines = [trade(i, T0 + i, f"{p}.{q:03}", f"{p}", str(m)) for i, (p, q, m) in sorted(rows.items())]
    return read(lake, "".join(lines), data_type).files[0]


@pytest.mark.parametrize("data_type", ["trades", "aggTrades"])
@settings(max_examples=30)
@given(left=DAY, right=DAY)
def test_days_are_compared_by_id_as_the_obvious_way_does(lake, data_type, left, right):
    found = compare(lake, stored(lake, left, data_type), stored(lake, right, data_type))
    assert (found.only_monthly, found.only_daily, found.different) == naive.difference(left, right)


def test_equal_values_on_other_scales_are_equal(lake):
    left = read(lake, trade(1, price="100.5") + trade(2, price="7")).files[0]
    right = read(lake, trade(1, price="100.50000000") + trade(2, price="7.0") + trade(3, price="0.00000001")).files[0]
    assert left.facts["price_scale"] != right.facts["price_scale"]
    assert compare(lake, left, right) == Difference(0, 1, 0)


@pytest.mark.parametrize(
    "row",
    [
        trade(1, price="100.6"),
        trade(1, quantity="0.26"),
        trade(1, maker="False"),
        trade(1, ts=T0 + 999),
        trade(1, ts=T0 * 1000 + 1_000_001),
    ],
)
def test_a_difference_in_any_column_is_one(lake, row):
    clean, changed = (read(lake, first + trade(2)).files[0] for first in (trade(1), row))
    assert compare(lake, clean, changed) == Difference(0, 0, 1)


@settings(max_examples=30)
@given(ids=st.sets(st.integers(0, 40), min_size=1))
def test_holes_are_those_that_counting_finds(lake, ids):
    entry = stored(lake, dict.fromkeys(ids, (1, 0, True)))
    assert holes(lake, entry, [], NONE) == naive.holes(ids)


def test_an_id_on_the_other_side_of_midnight_is_no_hole(lake):
    day, after = (read(lake, "".join(trade(i) for i in ids)).files[0] for ids in ((1, 2, 4, 7), (3, 8, 9)))
    assert holes(lake, day, [], NONE) == [(2, 4), (4, 7)]
    assert holes(lake, day, [after], NONE) == [(4, 7)]
