"""A day that came in any order is the same by way of files as in memory, a piece at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from services.download.adapters import day as day_module
from services.download.adapters import settled, sorting
from services.download.adapters.day import StoredDay, store_day
from services.download.domain import trades
from services.download.domain.layouts import layout_of
from services.download.domain.order import in_order
from tickloom.errors import TickloomError
from tickloom.kernel import I64

LAYOUT = layout_of("spot", "aggTrades")
T0 = 1_704_412_800_000_000  # 2024-01-05
NUMBER = T0 // 86_400_000_000

KEYED = st.lists(st.tuples(st.integers(0, 25), st.sampled_from([0] * 9 + [1])), min_size=1, max_size=60)
PRICE = st.sampled_from([(1005, 1), (1005, 1), (7, 0), (123456, 5), (12345678901, 0), (1, 12)])
TRADE = st.tuples(st.integers(0, 40), PRICE, st.sampled_from([0, 5_000_000, 7_001]))


def written(folder: Path, rows: I64) -> Path:
    path = folder / "period.rows"
    rows.tofile(path)
    return path


def ended(call: Callable[[], Any]) -> Any:
    """Return what a call returns; or the name of its error, and what that is about."""
    try:
        return call()
    except TickloomError as error:
        return type(error), error.args[:2]


def by_files(folder: Path, rows: I64, piece: int) -> tuple[Any, ...]:
    path = written(folder, rows)
    pieces = sorting.sort_pieces(path, 2, 0, piece)
    together = np.concatenate(list(sorting.merged("x", path, pieces, 2, 0, piece)))
    return together.tolist(), pieces.out_of_order, len(rows) - len(together)


@example_settings(max_examples=200, deadline=None)
@given(KEYED, st.sampled_from([1, 2, 3, 7, 100]))
def test_rows_in_any_order_come_out_as_if_they_were_sorted_in_memory(
    tmp_path_factory: pytest.TempPathFactory, keyed: list[tuple[int, int]], piece: int
) -> None:
    folder, rows = tmp_path_factory.mktemp("rows"), np.array(keyed, np.int64)

    def in_memory() -> tuple[Any, ...]:
        expected, counts = in_order("x", rows, 0)
        return expected.tolist(), counts["out_of_order"], counts["duplicates_dropped"]

    assert ended(lambda: by_files(folder, rows, piece)) == ended(in_memory)


def trade_rows(found: list[tuple[int, tuple[int, int], int]]) -> I64:
    rows = np.zeros((len(found), LAYOUT.width), np.int64)
    slots = LAYOUT.slots
    for row, (trade_id, (digits, places), late) in zip(rows, found, strict=True):
        row[slots["trade_id"]] = row[slots["first_id"]] = row[slots["last_id"]] = trade_id
        row[slots["price"]], row[slots["price"] + 1] = digits, places
        row[slots["quantity"]], row[slots["quantity"] + 1] = 25, 2
        row[slots["ts"]] = T0 + 90_000_000 * trade_id + late
    return rows


def told(day: StoredDay) -> tuple[Any, ...]:
    return day.path.read_bytes(), day.n_rows, day.facts, day.record(), day.time_gaps.facts()


@example_settings(max_examples=150, deadline=None)
@given(st.lists(TRADE, min_size=1, max_size=40), st.sampled_from([1, 2, 5, 1 << 20]))
def test_a_day_by_way_of_files_has_the_bytes_and_counts_of_one_settled_in_memory(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[int, tuple[int, int], int]], group: int
) -> None:
    folder, rows = tmp_path_factory.mktemp("day"), trade_rows(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_module, "ROW_GROUP", group)

        def in_memory() -> tuple[Any, ...]:
            day, counts = trades.settle("x", rows.copy(), LAYOUT)
            return told(store_day(folder / "whole.parquet", day, counts))

        def by_file() -> tuple[Any, ...]:
            return told(settled.store_rows("x", written(folder, rows), NUMBER, LAYOUT, group))

        assert ended(by_file) == ended(in_memory)


def test_a_shuffled_day_is_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piece, n = 500, 10_000
    seen: list[int] = []
    read, order = sorting.read_rows, sorting.in_order
    monkeypatch.setattr(sorting, "read_rows", lambda *of: seen.append(len(rows := read(*of))) or rows)  # type: ignore[func-returns-value]
    monkeypatch.setattr(sorting, "in_order", lambda name, rows, slot: seen.append(len(rows)) or order(name, rows, slot))  # type: ignore[func-returns-value]
    rows = trade_rows([(i, (1005, 1), 0) for i in np.random.default_rng(1).permutation(n).tolist()])
    rows[:, LAYOUT.slots["ts"]] = T0 + rows[:, LAYOUT.slots["trade_id"]]
    day = settled.store_rows("x", written(tmp_path, rows), NUMBER, LAYOUT, piece)
    assert [path.name for path in tmp_path.iterdir()] == [day.path.name]
    assert (day.n_rows, day.record()["ids_missing"], day.record()["time_reversals"]) == (n, 0, 0)
    assert max(seen) <= piece + 1  # one row of the step before is looked at again
