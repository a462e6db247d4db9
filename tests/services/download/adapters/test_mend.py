"""T09: a mended day is, byte for byte, the day that was never broken."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.download.adapters.mend import mend
from services.download.domain.errors import ConflictingRows
from tests.services.download.sources import DAY, T0, own_lake, read, trade

KIND = ("spot", "trades")
PRICES = st.sampled_from(["100.5", "0.00000001", "7", "12345.678"])


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return own_lake(tmp_path_factory.mktemp("lake"))


def stored(lake, rows):
    return read(lake, "".join(rows)).files[0]


def mended(lake, base, *fills):
    return mend(lake, DAY, KIND, base, fills)


@settings(max_examples=30)
@given(
    prices=st.lists(PRICES, min_size=2, max_size=12),
    fine=st.sampled_from([T0, T0 * 1000 + 1]),
    cuts=st.lists(st.integers(0, 2), min_size=12, max_size=12),
    swap=st.booleans(),
)
def test_the_parts_of_a_day_make_the_day_whatever_their_order(lake, prices, fine, cuts, swap):
    rows = [trade(i, fine + i, price) for i, price in enumerate(prices)]
    whole = stored(lake, rows)
    parts = [[row for row, cut in zip(rows, cuts, strict=False) if cut == n] for n in range(3)]
    entries = [stored(lake, part) for part in parts if part]
    base, *fills = reversed(entries) if swap else entries
    part = mended(lake, base, *fills)
    assert part.files == (whole,)
    record = read(lake, "".join(rows)).facts["quality"]["days"][DAY.isoformat()]
    assert part.facts["record"] == record


def test_a_day_that_was_not_there_is_made_of_what_was_found(lake):
    rows = [trade(i) for i in range(3)]
    assert mended(lake, None, stored(lake, rows)).files == (stored(lake, rows),)


def test_aggregates_keep_their_trades(lake):
    lines = [f"{i},1.5,2,{i},{i},{T0 + i},True,True\n" for i in range(5)]
    whole = read(lake, "".join(lines), "aggTrades").files[0]
    parts = [read(lake, "".join(some), "aggTrades").files[0] for some in (lines[:2] + lines[4:], lines[2:4])]
    assert mend(lake, date(2024, 1, 5), ("spot", "aggTrades"), parts[0], parts[1:]).files == (whole,)


def test_rows_that_come_twice_must_be_equal(lake):
    base, same = stored(lake, [trade(1), trade(3)]), stored(lake, [trade(1), trade(2)])
    assert mended(lake, base, same).files[0].rows == 3
    with pytest.raises(ConflictingRows):
        mended(lake, base, stored(lake, [trade(2), trade(3, price="1")]))
