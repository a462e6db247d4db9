"""Days that are written as they come, and days that went by the spool: nothing of the outcome tells them apart."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.adapters import day as day_module
from services.download.adapters import days as days_module
from services.download.adapters.spool import Spool
from services.download.domain.text import RowReader
from tests.services.download.sources import T0, own_lake, read, table
from tickloom.errors import TickloomError

DAY_MS = 86_400_000
LAST = date(2024, 1, 7)


def aggregate(i, day=0, price="100.5", quantity="0.25", late_ms=0, unit=1):
    first = 10 * i
    ts = (T0 + day * DAY_MS + 90_000 * i + late_ms) * unit
    return f"{i},{price},{quantity},{first},{first + 9},{ts},{'True' if i % 3 else 'false'},True\n"


def outcome(folder, text, *, slow=False, group=1 << 20):
    """Return what a run leaves behind: its files with their bytes and facts, and its record; or its error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_module, "ROW_GROUP", group)
        patch.setattr(days_module, "ROW_GROUP", group)
        if slow:
            patch.setattr(RowReader, "read_trades", lambda reader, chunks, _: reader.read(chunks))
        try:
            part = read(own_lake(folder), text, "aggTrades", last=LAST)
        except TickloomError as error:
            return type(error), str(error)
    return part


def spooled(monkeypatch):
    """Count the rows that go to the spool."""
    counted = []
    add = Spool.add
    monkeypatch.setattr(Spool, "add", lambda spool, rows, days: counted.append(len(rows)) or add(spool, rows, days))
    return counted


PRICE = st.sampled_from(["100.5", "100.50000000", "7", "0.00000001", "1e2", "0.000000001", "12345678901", "-1", "0"])
ROW = st.tuples(st.integers(0, 30), st.integers(-1, 3), PRICE, st.sampled_from(["0.25", "3", "1.00000001", "0"]))


@example_settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=25), st.sampled_from([1, 2, 3, 1 << 20]), st.sampled_from([1, 1000]))
def test_t14_any_rows_come_out_the_same_by_both_lanes(tmp_path_factory, rows, group, unit):
    folder = tmp_path_factory.mktemp("days")
    text = "".join(aggregate(i, day, price, quantity, unit=unit) for i, day, price, quantity in rows)
    assert outcome(folder / "a", text, group=group) == outcome(folder / "b", text, slow=True, group=group)


@example_settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 60), st.sampled_from([1, 3, 8, 1 << 20]))
def test_t14_rows_nearly_in_order_come_out_the_same_by_both_lanes(tmp_path_factory, data, n, group):
    folder = tmp_path_factory.mktemp("days")
    lines = []
    for i in range(n):
        gap = data.draw(st.sampled_from([0] * 20 + [7]))
        price = data.draw(st.sampled_from(["100.5"] * 10 + ["100.51", "100", "0.0001"]))
        late = data.draw(st.sampled_from([0] * 10 + [-200_000, 5_000_000]))
        lines.append(aggregate(i + gap, i * 3 // n, price, late_ms=late))
    for _ in range(data.draw(st.sampled_from([0, 0, 1, 2]))):
        lines.insert(data.draw(st.integers(0, len(lines))), data.draw(st.sampled_from(lines)))
    if data.draw(st.booleans()):
        lines.insert(data.draw(st.integers(0, len(lines))), f"5,0,0,-1,-1,{T0},true,True\n")
    text = "".join(lines)
    assert outcome(folder / "a", text, group=group) == outcome(folder / "b", text, slow=True, group=group)


def test_a_month_in_order_never_sees_the_spool(tmp_path, monkeypatch):
    counted = spooled(monkeypatch)
    text = "".join(aggregate(day * 100 + i, day) for day in range(3) for i in range(100))
    part = outcome(tmp_path, text)
    assert [entry.rows for entry in part.files[:-1]] == [100, 100, 100]
    assert counted == []


def test_a_late_row_sends_its_day_to_the_spool_and_no_other(tmp_path, monkeypatch):
    counted = spooled(monkeypatch)
    lines = [aggregate(day * 100 + i, day) for day in range(3) for i in range(100)]
    tidy, late = "".join(lines), "".join([*lines[:7], *lines[8:], lines[7]])
    plain = outcome(tmp_path / "a", tidy)
    assert not counted
    part = outcome(tmp_path / "b", late)
    assert counted == [99, 1]
    assert part.files[:-1] == plain.files[:-1]
    assert part.facts["quality"]["counts"]["out_of_order"] == 1


@pytest.mark.parametrize("group", [1, 2, 7, 10, 100])
def test_a_scale_that_grows_late_in_a_day_is_that_of_all_its_rows(tmp_path, group):
    prices = ["100", "101", "102.5", "103", "100.125", "7"] * 3 + ["0.00000001"]
    amounts = ["3", "2.5", "0.00001", "4"] * 4 + ["1.25"] * 3
    text = "".join(aggregate(i, price=p, quantity=q) for i, (p, q) in enumerate(zip(prices, amounts, strict=True)))
    part = outcome(tmp_path / "a", text, group=group)
    assert part == outcome(tmp_path / "b", text, slow=True, group=group)
    assert part.files[0].facts["price_scale"] == 8
    found = table(own_lake(tmp_path / "a"), part)
    assert found["price"] == [Decimal(price) for price in prices]
    notional = sum(p * q for p, q in zip(found["price"], found["quantity"], strict=True))
    assert Decimal(part.files[0].facts["notional"]) == notional


@pytest.mark.parametrize("group", [1, 2, 7, 100])
@pytest.mark.parametrize("finer", [0, 5, 19])
def test_a_time_with_microseconds_late_in_a_day_keeps_them_and_those_of_all_rows(tmp_path, group, finer):
    lines = [aggregate(i, unit=1000).split(",") for i in range(20)]
    lines[finer][5] = str(int(lines[finer][5]) + 7)
    text = "".join(",".join(line) for line in lines)
    part = outcome(tmp_path / "a", text, group=group)
    assert part == outcome(tmp_path / "b", text, slow=True, group=group)
    assert table(own_lake(tmp_path / "a"), part)["ts"] == [int(line[5]) for line in lines]


def test_a_day_of_more_than_a_row_group_has_the_bytes_of_one_written_whole(tmp_path):
    n = np.arange((1 << 20) + 5)
    text = "\n".join(f"{i},{i % 977}.25,0.5,{i},{i},{T0 + i // 20},True,True" for i in n.tolist())
    fast, slow = outcome(tmp_path / "a", text), outcome(tmp_path / "b", text, slow=True)
    assert fast == slow
    assert fast.files[0].rows == n.size


def test_a_disk_that_is_full_is_named(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(day_module, "table_writer", full)
    assert "No space left" in outcome(tmp_path, aggregate(1))[1]
