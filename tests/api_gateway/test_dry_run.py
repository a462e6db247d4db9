"""dry_run: what a submission would come to. It writes nothing, and its bounds hold for what really happens."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from httpx import Response

from api_gateway import asking
from api_gateway.costs import FACTOR, Work, bytes_of, scale_of, seconds_of
from services.backtest.job import BacktestJob
from services.bars.job import BarsJob
from services.download.job import DownloadJob
from services.features.job import FeaturesJob
from services.signals.job import SignalsJob
from services.viz.job import VizJob
from tests.cli.lookahead.markets import trades
from tests.conftest import REPOSITORY
from tests.services.bars.runs import write_trades
from tickloom.contracts.events import Progress, StageCall
from tickloom.http import Report
from tickloom.lake import open_lake
from tickloom.ledger import leases, ledger_url, runs
from tickloom.ledger.pace import Finished
from tickloom.limiter import Limiter
from tickloom.settings import settings

KLINES = {"symbols": ["BTCUSDT"], "start_date": "2022-01", "end_date": "2022-03", "data_type": "klines"}
CHAIN: dict[str, Any] = {
    "download": KLINES | {"interval": "15m"},
    "bars": {"spec": {"kind": "time", "interval": "1h"}},
    "features": {"features": [{"name": "sma", "timeperiod": [5, 10, 20, 50]}]},
    "signals": {
        "long_entry": "sma_{fast} > sma_{slow}", "long_exit": "sma_{fast} < sma_{slow}",
        "parameters": {"fast": [5, 10], "slow": [20, 50]},
    },
    "backtest": {"stop_loss_rate": 0.02},
    "viz": {},
}  # fmt: skip
JOBS = {
    "download": DownloadJob,
    "bars": BarsJob,
    "features": FeaturesJob,
    "signals": SignalsJob,
    "backtest": BacktestJob,
}
JOBS |= {"viz": VizJob}


def asked(gateway, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = gateway.post(path, params={"dry_run": "true"}, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def carried_out(task: str, stage: str) -> float:
    """Do a stage's work as the worker and the service do; return its CPU seconds, whatever else the machine does."""
    lease = leases.claim(ledger_url(), task, stage, "w", 60)
    assert lease is not None
    source = (lease.input_artifact_id,) if lease.input_artifact_id else ()
    told: list[Progress] = []
    begun = time.process_time()
    call = StageCall(artifact_id=lease.artifact_id, request=lease.request, inputs=source)
    manifest = JOBS[stage](open_lake()).run(call, Report(told.append))
    assert leases.commit(ledger_url(), lease, manifest, told[-1])
    return time.process_time() - begun


def files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*") if path.is_file() and ".sqlite" not in path.name}


def test_nothing_is_queued_or_written(gateway):
    before = files(settings().home)
    found = asked(gateway, "/submit_pipeline", CHAIN)
    assert found["dry_run"] is True
    assert runs.listing(ledger_url(), state=None, kind=None, limit=10, before=None) == []
    assert leases.unsent(ledger_url()) == []
    assert files(settings().home) == before


def test_rows_of_klines_are_those_of_the_calendar_and_trials_those_of_the_grid(gateway):
    found = asked(gateway, "/submit_pipeline", CHAIN)
    stages = {one["stage"]: one for one in found["stages"]}
    assert stages["download"]["rows"] == {"low": 0, "expected": 90 * 96, "high": 90 * 96}
    assert stages["bars"]["rows"] == stages["download"]["rows"]
    for stage in ("features", "signals", "backtest", "viz"):
        assert stages[stage]["rows"] == {"low": 0, "expected": 90 * 24, "high": 90 * 24}
    assert (found["trials"], stages["signals"]["trials"], stages["backtest"]["trials"]) == (4, 4, 4)
    assert stages["download"]["trials"] is None
    assert found["seconds"]["expected"] == pytest.approx(
        sum(s["seconds"]["expected"] for s in stages.values()), abs=0.1
    )
    assert found["memory_bytes"]["high"] == max(one["memory_bytes"]["high"] for one in stages.values())
    assert not any(one["cached"] for one in stages.values())


BARS = [
    ({"kind": "tick", "threshold": 100}, (600, 1800, 3602)),
    ({"kind": "tick", "threshold": 100, "reset": "daily"}, (600, 1800, 3780)),
    ({"kind": "time", "interval": "1h"}, (0, 2 * 90 * 24, 2 * 90 * 24)),
    ({"kind": "dollar", "target_bars_per_day": 50}, (2250, 2 * 90 * 50, 36_000)),
    ({"kind": "dollar", "threshold": 100000}, (0, 1800, 360_000)),
    ({"kind": "renko", "size": "5"}, (0, 1800, 360_000)),
    ({"kind": "dollar_imbalance", "expected_trades": 1000}, (0, 180, 360_000)),
]


@pytest.mark.parametrize(("spec", "rows"), BARS, ids=[str(spec) for spec, _ in BARS])
def test_bars_of_trades_are_known_or_bounded_or_guessed_for_both_symbols(gateway, spec, rows):
    days = {k: v for k, v in KLINES.items() if k != "data_type"} | {"symbols": ["BTCUSDT", "ETHUSDT"]}
    made = {"data_type": "aggTrades", "dataset": "seed=7,trades_per_day=1000"}
    found = asked(gateway, "/submit_pipeline", CHAIN | {"download": days | made, "bars": {"spec": spec}})
    assert tuple(found["rows"].values()) == rows
    assert found["unknown"] == []
    assert found["seconds"]["expected"] > 0
    guessed = rows[0] == 0 and spec["kind"] != "time"
    assert ("a guess" in found["stages"][-1]["how"]) is guessed


def test_the_demo_is_estimated_as_it_is(gateway):
    demo = yaml.safe_load((REPOSITORY / "configs" / "demo.yaml").read_text())
    found = asked(gateway, "/submit_pipeline", demo)
    assert [one["rows"]["expected"] for one in found["stages"]] == [3_600_000] * 2 + [36_000] * 4
    assert found["rows"] == {"low": 0, "expected": 36_000, "high": 7_200_000}
    assert found["seconds"]["high"] > found["seconds"]["expected"] > 1


def test_what_is_not_known_is_named_and_the_rest_is_summed(gateway):
    download = {k: v for k, v in KLINES.items() if k != "data_type"} | {"dataset": "seed=7"}
    split = {"kind": "volume", "threshold": "3", "excess": "split"}
    found = asked(gateway, "/submit_pipeline", CHAIN | {"download": download, "bars": {"spec": split}})
    assert found["rows"] is None
    assert found["unknown"] == ["features", "signals", "backtest", "viz"]
    first = found["stages"][:2]
    assert found["seconds"]["expected"] == pytest.approx(sum(one["seconds"]["expected"] for one in first))
    assert found["memory_bytes"] == max((one["memory_bytes"] for one in first), key=lambda span: span["high"])
    assert "is known once they are stored" in found["stages"][-1]["how"]


BINANCE = {"symbols": ["BTCUSDT"], "start_date": "2022-01-30", "end_date": "2022-03", "venue": "binance"}
"""Two days of January, two whole months: four archives of 61 days."""
SPOT = "https://data.binance.vision/data/spot"


def of_exchange(gateway, **changes: Any) -> dict[str, Any]:
    body = CHAIN | {"download": BINANCE | {"data_type": "aggTrades"} | changes}
    answer = gateway.post("/submit_pipeline", params={"dry_run": "true", "check_symbols": "false"}, json=body)
    return answer.json()["stages"][0]


def test_the_trades_of_an_exchange_follow_from_the_sizes_of_its_archives(gateway, respx_mock):
    sizes = {"monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-02": 13_000_000,
             "monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-03": 26_000_000,
             "daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-01-30": 1_300_000}  # fmt: skip
    for name, n_bytes in sizes.items():
        respx_mock.head(f"{SPOT}/{name}.zip").respond(200, headers={"content-length": str(n_bytes)})
    respx_mock.head(f"{SPOT}/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-01-31.zip").respond(404)
    download = of_exchange(gateway)
    total = sum(sizes.values())
    assert download["rows"] == {"low": total // 25, "expected": total // 13, "high": -(-total // 6)}
    assert download["how"] == "an estimate by the size of 4 of 4 archives, 6 to 25 bytes a trade"


@pytest.fixture
def alone(monkeypatch):
    """No Redis is missed: the limit is that of this process."""
    limiter = Limiter("", {})
    monkeypatch.setattr(asking, "open_limiter", lambda: limiter)


def test_of_many_archives_a_few_are_asked_for_and_the_bounds_are_wider(gateway, respx_mock, alone):
    route = respx_mock.head(url__startswith=SPOT).respond(200, headers={"content-length": "13000"})
    download = of_exchange(gateway, symbols=["BTCUSDT", "ETHUSDT"], start_date="2018-01", end_date="2021-12")
    assert route.call_count == 24
    assert "24 of 96 archives" in download["how"]
    assert download["rows"]["expected"] == pytest.approx(96_000, rel=0.02)  # months are not equally long
    assert download["rows"]["high"] > 6 * download["rows"]["expected"]


def test_what_the_exchange_told_before_it_fell_silent_is_used(gateway, respx_mock, alone):
    told = iter([Response(200, headers={"content-length": "13000"})] * 5 + [Response(503)])
    respx_mock.head(url__startswith=SPOT).mock(side_effect=lambda _: next(told))
    download = of_exchange(gateway, start_date="2018-01", end_date="2021-12")
    assert "5 of 48 archives" in download["how"]
    assert download["rows"]["expected"] == pytest.approx(48_000, rel=0.05)


@pytest.mark.parametrize("status", [403, 418, 500])
def test_where_the_exchange_does_not_say_the_trades_are_bounded(gateway, respx_mock, alone, status):
    route = respx_mock.head(url__startswith=SPOT).respond(status)
    download = of_exchange(gateway)
    assert download["rows"] == {"low": 0, "expected": 61 * 300_000, "high": 61 * 10_000_000}
    assert "the exchange does not say" in download["how"]
    assert route.call_count == 1
    of_exchange(gateway)
    assert route.call_count == (1 if status == 418 else 2)  # who bans us is left alone


@pytest.mark.parametrize("spec", [
    {"kind": "dollar", "threshold": 5000}, {"kind": "dollar", "threshold": 5000, "excess": "carry"},
    {"kind": "dollar", "threshold": 100, "excess": "split"}, {"kind": "volume", "threshold": "9", "reset": "daily"},
    {"kind": "volume", "threshold": "0.1"},
], ids=str)  # fmt: skip
def test_trades_that_are_stored_bound_the_bars_by_what_was_traded_in_all(gateway, spec):
    write_trades(settings().import_dir, "AAA", trades(1))
    chain = {"download": {"venue": "file", "data_type": "trades", "files": {"AAA": "AAA.csv"}}, "bars": {"spec": spec}}
    chain["features"] = CHAIN["features"]
    task = gateway.post("/submit_pipeline", json=chain).json()["task_id"]
    carried_out(task, "download")
    rows = asked(gateway, "/submit_pipeline", chain)["rows"]
    carried_out(task, "bars")
    _, stages = runs.read(ledger_url(), task)
    n_bars = sum(entry.rows for entry in open_lake().manifest(stages[1].artifact_id).files if entry.rows)
    assert rows["low"] <= n_bars <= rows["high"]
    assert rows["expected"] == pytest.approx(n_bars, rel=0.25)


def test_a_request_that_would_be_refused_is_refused(gateway):
    assert gateway.post("/submit_pipeline?dry_run=true", json=CHAIN | {"bars": None}).status_code == 422
    answer = gateway.post("/submit_backtest?dry_run=true", json={"input": "f" * 32})
    assert answer.status_code == 404


def test_a_grid_of_ten_thousand_takes_longer_than_one_of_four_and_more_bars_more_memory(gateway):
    many = CHAIN["signals"] | {"long_entry": "sma_{fast} > {x}", "long_exit": None}
    large = CHAIN | {"signals": many | {"parameters": {"fast": [5, 10], "x": list(range(5000))}}}
    small, grown = asked(gateway, "/submit_pipeline", CHAIN), asked(gateway, "/submit_pipeline", large)
    assert grown["trials"] == 10_000
    assert grown["seconds"]["expected"] > 2 * small["seconds"]["expected"]
    longer = asked(gateway, "/submit_pipeline", CHAIN | {"download": CHAIN["download"] | {"start_date": "2013-01"}})
    assert longer["memory_bytes"]["expected"] > small["memory_bytes"]["expected"]


def test_the_bounds_hold_for_what_the_stages_then_really_take(gateway, shared_data):
    """A year of real 15-minute klines: exact rows, time within the factor of docs/api.md."""
    klines = "klines/binance_spot/BTC_USDT-15m-2023.feather"
    shutil.copy(shared_data / klines, settings().import_dir / "year.feather")
    files = {"BTCUSDT": "year.feather"}
    chain = CHAIN | {
        "download": {"venue": "file", "data_type": "klines", "interval": "15m", "files": files},
        "bars": {"spec": {"kind": "time", "interval": "15m"}},
    }
    first = gateway.post("/submit_pipeline", json=chain).json()["task_id"]
    for stage in JOBS:
        carried_out(first, stage)  # the first call after an installation compiles
    again = asked(gateway, "/submit_pipeline", chain)
    assert all(one["cached"] for one in again["stages"])
    assert (again["seconds"]["high"], again["memory_bytes"]["high"]) == (0, 0)
    shutil.copy(settings().import_dir / "year.feather", settings().import_dir / "same.feather")
    chain["download"] |= {"files": {"BTCUSDT": "same.feather"}}
    expected = asked(gateway, "/submit_pipeline", chain)
    second = gateway.post("/submit_pipeline", json=chain).json()["task_id"]
    for one in expected["stages"]:
        cpu = carried_out(second, one["stage"])
        assert cpu < one["seconds"]["high"], one
        assert one["cached"] is False
    _, stages = runs.read(ledger_url(), second)
    n_bars = next(entry.rows for entry in open_lake().manifest(stages[2].artifact_id).files if entry.rows)
    assert {one["rows"]["expected"] for one in expected["stages"]} == {n_bars}
    other = {"input": stages[3].artifact_id, "commission_rate": 0.0005}
    alone = asked(gateway, "/submit_backtest", other)
    assert alone["rows"] == {"low": n_bars, "expected": n_bars, "high": n_bars}
    cpu = carried_out(gateway.post("/submit_backtest", json=other).json()["task_id"], "backtest")
    assert cpu < alone["seconds"]["high"]


def test_time_is_scaled_by_what_this_system_took_lately_once_there_are_three_runs():
    usual = seconds_of("backtest", Work(10_000, 64))
    runs_of = [Finished(10_000 * 66, usual * slower, {}, 64) for slower in (3.0, 2.0, 50.0)]
    assert scale_of("backtest", runs_of) == pytest.approx(3.0)
    assert scale_of("backtest", runs_of[:2]) == 1.0
    assert scale_of("backtest", [runs_of[2]] * 3) == 10.0


def test_an_account_of_many_symbols_is_reckoned_at_its_own_pace():
    usual = seconds_of("backtest", Work(50_000, 8, shared=True))
    assert usual > seconds_of("backtest", Work(50_000, 8)) > 0
    runs_of = [Finished(50_000 * 10, usual * 2, {"portfolio": {}}, 8)] * 3
    assert scale_of("backtest", runs_of) == pytest.approx(2.0)


PEAK = """
import sys
from pathlib import Path
from services.backtest import job
from services.signals.job import SignalsJob
from tests.services.signals.stages import SMAS, bars_table, features_artifact, stage_call
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.http import Report
from tickloom.lake import Lake

def memory(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

lake, job.SMALL = Lake(sys.argv[1]), 10**12
grid = {"fast": [2, 3, 5], "slow": [8, 13, 21]}
rules = SignalsRequest(long_entry="sma_{fast} > sma_{slow}", long_exit="sma_{fast} < sma_{slow}", parameters=grid)
features = features_artifact(lake, {"A": bars_table(int(sys.argv[2]), bar_us=900_000_000)}, SMAS)
call = stage_call("backtest", BacktestRequest(), SignalsJob(lake).run(stage_call("signals", rules, features), Report()))
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
job.BacktestJob(lake).run(call, Report())
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a process")
def test_the_memory_of_a_backtest_is_within_the_bounds(tmp_path):
    n_bars = 150_000
    command = [sys.executable, "-c", PEAK, str(tmp_path / "lake"), str(n_bars)]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    expected = bytes_of("backtest", Work(n_bars, 9, 20, n_bars // 96))
    assert expected / FACTOR < peak < expected * FACTOR
