"""The harness: contenders answer and fail in words, ratios are of the same round, differing results stop the run."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks import compare, data, measures
from benchmarks.contender import peak_rss_mb
from benchmarks.processes import Sample, contender, fresh
from benchmarks.report import Goal, render
from benchmarks.tasks import Task, Work, measure, warm_up

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "benchmarks" / "peers" / "locks").glob("*.lock"))


def test_a_contender_answers_each_call_and_survives_one_that_fails():
    with contender("ours.ingest") as ours:
        assert ours.call("versions")["result"]["tickloom"]
        with pytest.raises(RuntimeError, match="tickloom failed in no_such_call"):
            ours.call("no_such_call")
        assert ours.call("versions")["cpu_s"] >= 0


def test_a_fresh_process_is_charged_for_its_start_and_its_own_memory_alone():
    held = bytearray(600_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_rss_mb() > 600
    found = fresh("peers.with_pyarrow", "versions")
    assert found.wall_s > found.cpu_s / 8 > 0
    assert 10 < found.rss_mb < 500


def test_short_calls_are_repeated_and_cost_what_one_of_them_costs():
    with contender("peers.with_pyarrow") as peer:
        assert peer.call("versions", least_s=0.2)["wall_s"] < 0.1


def test_ratios_are_of_a_unit_and_within_a_round():
    task = Task("Grid", "", "candles", {"tickloom": 1000, "vectorbt": 500})
    task.samples = {"tickloom": [Sample(1, 1), Sample(9, 4)], "vectorbt": [Sample(2, 3), Sample(9, 12)]}
    assert task.ratios("vectorbt") == [6, 6]
    assert task.rate("tickloom") == 400
    assert "| vectorbt |" in render([task], [], [], {}, 2, 1.0)


def test_who_begins_changes_from_round_to_round():
    began = []
    names = ("a", "b", "c")
    task = Task("T", "", "rows", dict.fromkeys(names, 1))
    runs = {name: lambda name=name: began.append(name) or Sample(1, 1) for name in names}
    measure(3, [Work("t", task, runs)])
    assert "".join(began) == "abcbcacab"
    assert {name: len(samples) for name, samples in task.samples.items()} == dict.fromkeys(names, 3)


def test_what_runs_warm_is_done_once_before_it_counts_and_what_starts_cold_is_not():
    began = []
    works = [
        Work(
            key, Task(key, "", "rows", {"a": 1}, fresh=fresh), {"a": lambda key=key: began.append(key) or Sample(1, 1)}
        )
        for key, fresh in (("warm", False), ("cold", True))
    ]
    warm_up(works)
    assert began == ["warm"]
    assert [work.task.samples for work in works] == [{}, {}]


def test_a_goal_that_is_missed_is_said_so():
    assert Goal("rate", 7.0, "M", least=7).met
    assert "| **no** |" in Goal("rate", 6.9, "M", least=7).row()
    assert "| **no** |" in Goal("peak", 301, "MB", most=300).row()


def test_differing_results_stop_the_run_before_anything_is_timed():
    with pytest.raises(compare.Disagreement):
        compare.close("bars", 120, 100, 0.1)
    compare.close("bars", 105, 100, 0.1)


def test_trades_are_stored_and_summed_alike_by_all(tmp_path):
    archive = data.archive(tmp_path, 20_000)
    with zipfile.ZipFile(archive.path) as zipped:
        assert zipped.read(zipped.namelist()[0]).count(b"\n") == archive.rows
    assert abs(archive.rows - 20_000) < 500
    peers = ("ours.bars", "peers.with_pandas", "peers.with_polars", "peers.with_pyarrow")
    with contender(peers[0]) as ours, contender(peers[1]) as pandas, contender(peers[2]) as polars:
        with contender(peers[3]) as arrow:
            works, notes = measures.ingest(tmp_path, archive, [ours, pandas, polars, arrow], None)
        built, said = measures.bars(tmp_path, archive.rows, [ours, pandas, polars], [])
        measure(1, [work for work in works + built if work.key in ("warm", "volume", "parquets")])
    assert [work.key for work in works] == ["ingest", "warm"]
    assert len(built) == 5 + len(measures.INFORMATION)
    assert "All stored the same" in notes[0]
    assert said[0].startswith("Tick bars: tickloom 20, pandas 20, polars 20;")


def test_the_grid_trades_as_the_walk_does(tmp_path):
    rule = data.RULE | {"fast": [5, 8], "slow": [40], "trend": 50}
    with contender("ours.grid") as ours:
        ours.call("prepare", candles=str(data.candles_file(tmp_path, 3000)), rule=rule)
        found = ours.call("grid", rule=rule)["result"]
        prepared = ours.call("prepared", rule=rule)["result"]
    assert len(found["n_trades"]) == len(found["total_return"]) == 2
    assert min(found["n_trades"]) > 5
    assert prepared == found


def test_one_strategy_trades_alike_by_callbacks_compiled_and_by_rules(tmp_path):
    candles = str(data.candles_file(tmp_path, 6000))
    with contender("ours.events") as ours:
        works, notes = measures.events([ours], candles, 6000)
        found = [ours.call(name, rule=data.EVENTS)["result"] for name in ("events", "compiled", "by_rules")]
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])
    assert found[0]["n_trades"] > 2
    assert [*works[0].runs] == ["tickloom", "tickloom, compiled", "tickloom, rules"]
    assert notes[0].startswith("One strategy, trades in 6,000 candles: tickloom")


def test_made_candles_are_bars_and_always_the_same():
    first, again = data.candles(500), data.candles(500)
    for name, column in first.items():
        assert (column == again[name]).all()
    assert (first["low"] <= first["open"]).all()
    assert (first["high"] >= first["close"]).all()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_of_the_peers_is_locked_by_hash(lock):
    text = lock.read_text()
    assert f"{lock.stem.replace('_', '-')}==" in text
    assert "://" not in text
    packages = [block for block in text.split("\n") if block[:1].isalnum()]
    assert all("==" in package for package in packages)
    assert text.count("--hash=sha256:") >= len(packages)


def test_each_peer_with_a_lock_has_a_module():
    assert [path.stem for path in LOCKS] == [
        "backtesting",
        "backtrader",
        "finmlkit",
        "mlfinpy",
        "nautilus_trader",
        "vectorbt",
    ]
    for path in LOCKS:
        assert (ROOT / "benchmarks" / "peers" / f"with_{path.stem}.py").exists()


def test_the_options_have_help():
    command = [sys.executable, "-m", "benchmarks", "--help"]
    assert "--rounds" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
