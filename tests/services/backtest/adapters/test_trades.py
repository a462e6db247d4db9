"""The trades of single bars, by their ids, out of the partitions that hold them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.backtest.adapters.trades import BarTrades, partitions_of
from tests.cli.lookahead.markets import trades
from tests.services.bars.runs import imported, write_trades
from tickloom.contracts.artifact import FileEntry
from tickloom.errors import MissingPartition
from tickloom.lake import open_lake, tables

ROWS = trades(3, days=3, per_day=200)
GAPPED = [(3 * k + k // 50, *row[1:]) for k, row in enumerate(ROWS)]


def read(imports: Path, rows: list[tuple[int, int, str, str, bool]]) -> tuple[FileEntry, ...]:
    download = imported(data_type="trades", files=write_trades(imports, "AAA", rows))
    return partitions_of(open_lake(), download)["AAA"]


@pytest.mark.parametrize("rows", [ROWS, GAPPED], ids=["every id", "gaps between ids"])
def test_a_bar_gets_its_own_trades_also_over_midnight(
    imports: Path, rows: list[tuple[int, int, str, str, bool]]
) -> None:
    partitions = read(imports, rows)
    assert len(partitions) == 3
    cuts = [0, 1, 50, 199, 250, 390, 420, 600]  # some end inside a day, some are over midnight, one has one trade
    bars = [rows[a:b] for a, b in pairwise(cuts)]
    ids = np.array([(bar[0][0], bar[-1][0]) for bar in bars])
    reader = BarTrades(open_lake(), "AAA", partitions, ids[:, 0], ids[:, 1])
    for asked in ([0], [3], [6, 1], list(range(7)), [5, 5]):
        for bar, path in zip(asked, reader.prices(asked), strict=True):
            assert path.tolist() == [float(row[2]) for row in bars[bar]]
        for bar, (found, ts) in zip(asked, reader.ids_and_times(asked), strict=True):
            assert found.tolist() == [row[0] for row in bars[bar]]
            assert ts.tolist() == [row[1] for row in bars[bar]]


def test_only_the_row_groups_with_the_bars_in_them_are_decoded(imports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 50)
    table = open_lake().read_table(read(imports, ROWS)[0])
    entry = open_lake().add_table("AAA/grouped.parquet", table)
    whole = open_lake().read_bytes(entry)
    for rows in (range(1), range(49, 51), range(100, 200), range(150, 151)):
        found = tables.read_table(whole, ["price"], verified=True, rows=rows)
        assert found.equals(table.select(["price"]).slice(rows.start, len(rows)))


def test_trades_that_no_partition_has_are_a_named_problem(imports: Path) -> None:
    partitions = read(imports, ROWS)
    reader = BarTrades(open_lake(), "AAA", partitions[:1], np.array([500]), np.array([510]))
    with pytest.raises(MissingPartition, match="AAA with the trades 500 to 510"):
        reader.prices([0])
