"""A process killed for real in the middle of a grid: what it finished is kept, and the bytes do not tell."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from services.backtest.job import BacktestJob
from services.signals import job as signals_job
from services.signals.job import SignalsJob
from tests.services.signals.stages import SMAS, bars_table, features_artifact, files_of, stage_call
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.events import Progress
from tickloom.contracts.signals import SignalsRequest
from tickloom.http import Report
from tickloom.lake import Lake

CHILD = """
import json, sys, time
from services.backtest.job import BacktestJob
from tickloom.contracts.events import StageCall
from tickloom.http import Report
from tickloom.lake import Lake

def tell(event):
    print(event.done, flush=True)
    time.sleep(0.05)

BacktestJob(Lake(sys.argv[1])).run(StageCall.model_validate(json.loads(sys.argv[2])), Report(tell))
"""
RULES = SignalsRequest.model_validate(
    {"long_entry": "sma_{fast} > sma_{slow}", "long_exit": "sma_{fast} < sma_{slow}",
     "parameters": {"fast": [2, 3, 5], "slow": [8, 13, 21]}}
)  # fmt: skip


@pytest.mark.parametrize("kill_after", [1, 5])
def test_a_killed_grid_goes_on_where_it_was(kill_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals_job, "BATCH", 1)
    lake = Lake(str(tmp_path / "lake"))
    features = features_artifact(lake, {"BTCUSDT": bars_table(500)}, SMAS)
    signals = SignalsJob(lake).run(stage_call("signals", RULES, features), Report())
    call = stage_call("backtest", BacktestRequest(), signals)

    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, lake.url, json.dumps(call.canonical())], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    done = 0
    while done < kill_after:
        done = int(child.stdout.readline())
    child.kill()
    child.wait()
    assert lake.find(call.artifact_id) is None

    told: list[Progress] = []
    resumed = BacktestJob(lake).run(call, Report(told.append))
    assert told[0].done >= kill_after
    assert told[-1].done == told[-1].total == 10

    quiet = Lake(str(tmp_path / "quiet"))
    again = features_artifact(quiet, {"BTCUSDT": bars_table(500)}, SMAS)
    undisturbed = BacktestJob(quiet).run(
        stage_call("backtest", BacktestRequest(), SignalsJob(quiet).run(stage_call("signals", RULES, again), Report())),
        Report(),
    )
    assert files_of(resumed) == files_of(undisturbed)
    assert resumed == undisturbed
