"""C2: one content for any number of workers, partitions, rows at a time, way of spreading the work, and kill.

Made trades of a month, every kind of bar in one request. Partitions are files, so between partitionings the bars
joined are compared; within one, the manifests, which name every file by its SHA-256. `make test` runs some cells of
each way of working, on processes and on Ray among them; `make chaos` runs the whole product.
"""

import itertools
import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest

from services.bars import job
from services.bars.domain import build
from services.bars.domain.carry import composed
from tests.ray_head import RayHead
from tests.services.bars.runs import DAY_US, T0, call_of_several
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.bars import bars_of
from tickloom.contracts.events import Progress
from tickloom.fanout import Place, fold_chains, map_unordered
from tickloom.http import Report
from tickloom.identity import digest
from tickloom.lake import Lake, decimals, open_lake, tables
from tickloom.settings import settings

DAYS = 31
SPECS: dict[str, dict[str, Any]] = {
    "time": {"kind": "time", "interval": "4h", "microstructure": ["jumps", "roll"]},
    "tick": {"kind": "tick", "threshold": 17},
    "tick_daily": {"kind": "tick", "threshold": 17, "reset": "daily", "microstructure": ["burstiness"]},
    "tick_target": {"kind": "tick", "target_bars_per_day": 4, "microstructure": ["vpin"]},
    "volume": {"kind": "volume", "threshold": "9.5", "microstructure": ["kyle", "order_flow"]},
    "volume_carry": {"kind": "volume", "threshold": "9.50005", "excess": "carry", "microstructure": ["roll"]},
    "volume_daily": {"kind": "volume", "threshold": "9.5", "excess": "carry", "reset": "daily"},
    "volume_target": {"kind": "volume", "target_bars_per_day": 4, "threshold": "9.5", "excess": "split"},
    "dollar": {"kind": "dollar", "threshold": 4000},
    "dollar_split": {"kind": "dollar", "threshold": 90, "excess": "split"},
    "split_daily": {"kind": "dollar", "threshold": 90, "excess": "split", "reset": "daily", "microstructure": True},
    "tick_imbalance": {"kind": "tick_imbalance", "expected_trades": 9, "trades_window": 50, "microstructure": True},
    "dollar_run": {"kind": "dollar_run", "expected_trades": 9},
    "volume_run": {"kind": "volume_run", "expected_trades": 9, "reset": "daily"},
    "range": {"kind": "range", "size": 4, "reset": "daily", "microstructure": ["amihud"]},
    "renko": {"kind": "renko", "size": 2},
}
BY_PARTITION = ("tick_target", "volume_target")
"""Of these a partition, which is a day elsewhere, has a threshold of its own: other partitions make other bars."""


def trades(days: int = DAYS, per_day: int = 20) -> dict[str, Any]:
    """Return trades by column, units of 2 and 3 places; some come late."""
    rng = random.Random(5)
    times = sorted(day * DAY_US + rng.randrange(DAY_US) for day in range(days) for _ in range(per_day))
    for i in range(10, len(times) - 10, 37):
        if times[i] // DAY_US == times[i + 1] // DAY_US:
            times[i], times[i + 1] = times[i + 1], times[i]
    n = len(times)
    price = 10_000 + np.cumsum([rng.randint(-120, 120) for _ in range(n)])
    return {
        "trade_id": np.arange(7, 7 + n) + (np.arange(n) > n // 2),
        "ts": T0 + np.array(times),
        "price": price,
        "quantity": np.array([rng.randint(1, 3000) for _ in range(n)]),
        "is_buyer_maker": np.array([rng.choice((True, False)) for _ in range(n)]),
    }


def source(lake: Lake, n_partitions: int) -> Manifest:
    """Return a download's artifact of these trades in so many partitions of whole days each."""
    rows, files = trades(), []
    day_of = (rows["ts"] - T0) // DAY_US
    for k in range(n_partitions):
        first, end = k * DAYS // n_partitions, (k + 1) * DAYS // n_partitions
        part = {name: values[(day_of >= first) & (day_of < end)] for name, values in rows.items()}
        facts = {
            "day": (date(2024, 1, 5) + timedelta(end - 1)).isoformat(),
            "first_ts": int(part["ts"].min()),
            "last_ts": int(part["ts"].max()),
            "first_id": int(part["trade_id"][0]),
            "last_id": int(part["trade_id"][-1]),
            "price_scale": 2,
            "quantity_scale": 3,
            "quantity": str(Decimal(int(part["quantity"].sum())).scaleb(-3)),
            "notional": str(Decimal(int((part["price"] * part["quantity"]).sum())).scaleb(-5)),
        }
        exact = {"price": decimals(part["price"], 2), "quantity": decimals(part["quantity"], 3)}
        files.append(lake.add_table(f"AAA/{facts['day']}.parquet", pa.table({**part, **exact}), facts=facts))
    return lake.put_manifest(
        Manifest(
            id=digest([entry.sha256 for entry in files]),
            stage="download",
            version=1,
            request={},
            inputs=(),
            files=tuple(files),
            facts={"data_type": "trades", "market": "spot", "symbols": {"AAA": {}}, "quality": {}},
        )
    )


def content(made: Manifest) -> str:
    """Return a digest of the bars of every kind, partitions joined, and of what the manifest says of them."""
    lake, found = open_lake(), {}
    for name in set(SPECS).difference(BY_PARTITION):
        chosen = bars_of(made, name)
        rows = [repr(row) for entry in chosen.files for row in lake.read_table(entry).to_pylist()]
        assert len(rows) > 5, name
        found[name] = [rows, chosen.facts]
    return digest(found)


class Runs:
    """Runs in lakes of their own, and what came of those before."""

    def __init__(self, folder: Any, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, patch
        self._contents: set[str] = set()
        self._manifests: dict[Any, Manifest] = {}
        self._n = 0

    def check(
        self, n_partitions: int, *, row_group: int = 1 << 20, tell: Callable[[Progress], None] | None = None
    ) -> None:
        """Build everything in an empty lake and compare it with all that was built before."""
        self._n += 1
        self._patch.setenv("TICKLOOM_HOME", str(self._folder / str(self._n)))
        settings.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tables, "ROW_GROUP", row_group)
            of = source(open_lake(), n_partitions)
        made = job.BarsJob().run(call_of_several(of, SPECS), Report(tell))
        self._contents.add(content(made))
        assert len(self._contents) == 1
        first = self._manifests.setdefault(n_partitions, made)
        shas = [[(entry.name, entry.sha256) for entry in one.files] for one in (made, first)]
        assert shas[0] == shas[1]
        assert made.facts == first.facts
        assert set(SPECS) == {name.partition("/")[0] for name, _ in shas[0]}


@pytest.fixture
def runs(tmp_path, home, monkeypatch):
    return Runs(tmp_path, monkeypatch)


def here(patch: pytest.MonkeyPatch, rows: int, block: int, *, spread: bool) -> None:
    """Let the work be cut and spread so, in this process."""

    def inline(function: Any) -> Any:
        return lambda *args, **options: function(*args, **options | {"small": True})

    patch.setattr(job, "SMALL_ROWS", 0)
    patch.setattr(job, "BATCH_ROWS", rows)
    patch.setattr(build, "BLOCK", block)
    patch.setattr(job, "place", lambda _: Place(4 if spread else 2, keeps=spread))
    patch.setattr(job, "map_unordered", inline(map_unordered))
    patch.setattr(job, "fold_chains", inline(fold_chains))


WHOLE, ALL = 1 << 20, 10**6
FEW = [(1, 1, 11, 13, True), (3, ALL, 11, WHOLE, True), (7, ALL, WHOLE, 13, False), (31, 100, 11, 13, True)]
CELLS = list(itertools.product([1, 3, 7, 31], [1, 100, ALL], [WHOLE, 11], [WHOLE, 13], [False, True]))
"""Partitions, rows a task has, rows in a row group, trades in a block, whether days are spread."""

CAMPAIGN = [pytest.mark.chaos, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("cells", [FEW, pytest.param(CELLS, marks=CAMPAIGN)], ids=["few", "all"])
def test_c2_partitions_rows_at_a_time_and_the_way_of_spreading_change_no_bar(runs, cells):
    for n_partitions, rows, row_group, block, spread in cells:
        with pytest.MonkeyPatch.context() as patch:
            here(patch, rows, block, spread=spread)
            runs.check(n_partitions, row_group=row_group)


class Killer:
    """Kills a process that works whenever something is finished, so many times."""

    def __init__(self, victims: Callable[[], list[psutil.Process]], times: int) -> None:
        self._victims, self.left = victims, times

    def __call__(self, _: Progress) -> None:
        for process in self._victims()[:1] if self.left else ():
            process.kill()
            self.left -= 1


def local_workers() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [process for process in found if "tickloom.fanout.worker" in command_of(process)]


def command_of(process: psutil.Process) -> str:
    """Return what a process was called by; nothing of one that has died meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


WORKERS, PARTITIONS, ROWS, KILLS = [1, 2, 4], [1, 3, 7, 31], [1, 100, ALL], [0, 1]
"""Processes at once, partitions, rows that a task has, and whether a process dies meanwhile."""


@pytest.mark.parametrize(
    "cells",
    [[(2, 7, 1, 1)], pytest.param([*itertools.product(WORKERS, PARTITIONS, ROWS, KILLS)], marks=CAMPAIGN)],
    ids=["one", "all"],
)
def test_c2_workers_of_this_machine_and_their_deaths_change_no_byte(runs, monkeypatch, cells):
    for n_partitions in {cell[1] for cell in cells}:
        runs.check(n_partitions)
    monkeypatch.setattr(job, "SMALL_ROWS", 0)
    for cpus, n_partitions, rows, kills in cells:
        monkeypatch.setattr(job, "BATCH_ROWS", rows)
        monkeypatch.setenv("TICKLOOM_CPUS", str(cpus))
        killer = Killer(local_workers, kills)
        runs.check(n_partitions, row_group=11 if rows == 1 else WHOLE, tell=killer)
        assert not killer.left or n_partitions == 1 or rows == ALL  # one task: it is over when it is told of


@pytest.mark.timeout(300)
def test_c2_days_that_are_spread_over_ray_make_the_same_bytes(runs, use_ray: RayHead, monkeypatch):
    on_ray(runs, use_ray, monkeypatch, (4, 7, 1, 0), spread=True)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("spread", [True, False], ids=["spread", "folded"])
@pytest.mark.parametrize("cpus", WORKERS)
def test_F04_c2_ray_workers_and_their_deaths_change_no_byte(
    runs,
    use_ray: RayHead,
    monkeypatch,
    cpus,
    spread,
):
    for cell in itertools.product([cpus], PARTITIONS, [1, ALL], [0, 2]):
        on_ray(runs, use_ray, monkeypatch, cell, spread=spread)


def on_ray(runs, head: RayHead, monkeypatch, cell: tuple[int, int, int, int], *, spread: bool) -> None:
    """Check a cell on the head: days read side by side and composed, or one after another."""
    cpus, n_partitions, rows, kills = cell
    with pytest.MonkeyPatch.context() as patch:
        runs.check(n_partitions)
        patch.setattr(job, "SMALL_ROWS", 0)
        patch.setattr(job, "BATCH_ROWS", rows)
        patch.setattr(job, "SPREAD", 1 if spread else 1000)
        patch.setenv("TICKLOOM_CPUS", str(cpus))
        surveyed: list[int] = []
        patch.setattr(job, "composed", lambda *args: surveyed.append(1) or composed(*args))
        killer = Killer(lambda: ray_workers(head), kills)
        runs.check(n_partitions, tell=killer)
        assert not killer.left or n_partitions == 1 or rows == ALL
        assert bool(surveyed) == (spread and n_partitions > 1 and rows == 1)


def ray_workers(head: RayHead) -> list[psutil.Process]:
    """Return the processes that run tasks; Ray's own agents are called ray:: as well, and their end is the head's."""
    found = psutil.Process(head._process.pid).children(recursive=True)
    return [process for process in found if re.match("ray::(IDLE|survey|bars)", command_of(process))]
