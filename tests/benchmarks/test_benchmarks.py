"""The harness: contenders answer and fail in words, ratios are of the same round, differing results stop the run."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import data, run
from benchmarks.report import Sample, Task, ratios, render

ROOT = Path(__file__).resolve().parents[2]


def test_a_contender_answers_each_call_and_survives_one_that_fails():
    with run.contender("ours") as ours:
        assert ours.call("versions")["result"]["tickloom"]
        with pytest.raises(RuntimeError, match="tickloom failed in no_such_call"):
            ours.call("no_such_call")
        assert ours.call("versions")["cpu_s"] >= 0


def test_ratios_are_taken_within_a_round():
    task = Task("grid", "Grid", "candles", 1000, {"tickloom": [Sample(1, 1), Sample(9, 4)]})
    task.samples["vectorbt"] = [Sample(2, 3), Sample(9, 12)]
    assert ratios(task, "vectorbt") == [3, 3]
    assert "| vectorbt |" in render([task], [], {}, 2, 1.0)


def test_differing_results_stop_the_run_before_anything_is_timed():
    with pytest.raises(run.Disagreement):
        run._close("bars", 120, 100, 0.1)
    run._close("bars", 105, 100, 0.1)


def test_trades_are_stored_and_summed_alike_by_all(tmp_path):
    inputs = data.make(tmp_path, 2000, 1000)
    work: list = []
    with run.contender("ours") as ours, run.contender("pandas_peer") as pandas, run.contender("polars_peer") as polars:
        notes = run._prepare_trades([ours, pandas, polars], inputs, tmp_path, work)
    assert len(work) == 3
    assert "All stored the same" in notes[0]


def test_made_candles_are_bars_and_always_the_same():
    first, again = data.candles(500), data.candles(500)
    for name, column in first.items():
        assert (column == again[name]).all()
    assert (first["low"] <= first["open"]).all()
    assert (first["high"] >= first["close"]).all()


def test_every_package_of_the_peers_is_locked_by_hash():
    text = (ROOT / "benchmarks" / "requirements.lock").read_text()
    assert "vectorbt==1.2.0" in text
    assert "://" not in text
    packages = [block for block in text.split("\n") if block[:1].isalnum()]
    assert len(packages) > 20
    assert text.count("--hash=sha256:") >= len(packages)


def test_the_options_have_help():
    command = [sys.executable, "-m", "benchmarks.run", "--help"]
    assert "--rounds" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
