"""F23: processes killed for real in the middle of a grid. What was finished is kept: of all trials at most two are run
again, and the bytes do not tell.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.backtest import job, remote
from services.backtest.job import BacktestJob
from services.signals.job import SignalsJob
from tests.services.backtest import counting
from tests.services.signals.stages import SMAS, bars_table, features_artifact, stage_call
from tickloom.contracts.artifact import Manifest, Part
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.events import Progress, StageCall
from tickloom.contracts.signals import SignalsRequest
from tickloom.http import Report
from tickloom.lake import Lake

RULES = SignalsRequest.model_validate(
    {"long_entry": "sma_{fast} > sma_{slow} AND close > {above}", "long_exit": "sma_{fast} < sma_{slow}",
     "parameters": {"fast": [2, 3, 5], "slow": [8, 13, 21], "above": list(range(20))}}
)  # fmt: skip
N_TRIALS = 2 * 180
EVERYWHERE, NOWHERE = 0, 10**12
"""Bars times trials below which all runs in one process."""


def world(folder: Path) -> tuple[Lake, StageCall]:
    """A grid of two symbols in a lake of its own."""
    lake = Lake(str(folder))
    features = features_artifact(lake, {s: bars_table(500, seed=n) for n, s in enumerate("AB")}, SMAS)
    signals = SignalsJob(lake).run(stage_call("signals", RULES, features), Report())
    return lake, stage_call("backtest", BacktestRequest(), signals)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    lake, call = world(tmp_path_factory.mktemp("quiet"))
    return BacktestJob(lake).run(call, Report())


class Child:
    """A process that runs the stage and counts the trials that begin, its helpers included."""

    def __init__(self, lake: Lake, call: StageCall, tally: Path, small: int) -> None:
        self.tally = tally
        tally.touch()
        command = [sys.executable, "-c", "from tests.services.backtest.counting import main; main()"]
        environment = os.environ | {"TICKLOOM_RAY_ADDRESS": "off", "TICKLOOM_CPUS": "2"}
        self.process = subprocess.Popen(
            [*command, lake.url, str(tally), str(small), json.dumps(call.canonical())],
            env=environment, start_new_session=True,
        )  # fmt: skip

    @property
    def begun(self) -> int:
        return self.tally.stat().st_size

    def wait_for(self, trials: int) -> None:
        """Return when so many trials have begun."""
        end = time.monotonic() + 60
        while self.begun < trials:
            assert self.process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.001)


@pytest.mark.parametrize(
    ("small", "kills", "seed"), [(NOWHERE, 1, 1), (EVERYWHERE, 1, 2), (EVERYWHERE, 2, 3)], ids=["one", "two", "twice"]
)
def test_F23_of_a_grid_that_was_killed_at_a_random_moment_at_most_two_trials_run_again(
    small: int, kills: int, seed: int, tmp_path: Path, undisturbed: Manifest
) -> None:
    lake, call = world(tmp_path / "lake")
    chance = random.Random(seed)
    tally = tmp_path / "tally"
    for kill_at in sorted(chance.sample(range(1, N_TRIALS - 20), kills)):
        child = Child(lake, call, tally, small)
        child.wait_for(max(kill_at, child.begun + 1))
        time.sleep(chance.random() * counting.TRIAL_S)  # the moment itself, anywhere in a trial
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
    assert lake.find(call.artifact_id) is None
    begun = tally.stat().st_size
    told: list[Progress] = []
    resumed = counting.run(lake.url, str(tally), NOWHERE, call, Report(told.append))
    assert N_TRIALS <= tally.stat().st_size <= N_TRIALS + 2 * kills
    assert told[0].trials is not None
    assert told[0].trials.done >= begun - 2 * kills
    assert told[-1].trials is not None
    assert told[-1].trials.done == told[-1].trials.total == N_TRIALS
    assert resumed == undisturbed
    assert not [path for path in Path(lake.url, "journals").rglob("*") if path.is_file()]


def test_F23_when_one_of_two_processes_is_killed_one_trial_runs_again_and_the_run_goes_on(
    tmp_path: Path, undisturbed: Manifest
) -> None:
    lake, call = world(tmp_path / "lake")
    child = Child(lake, call, tmp_path / "tally", EVERYWHERE)
    child.wait_for(150)
    helper = psutil.Process(child.process.pid).children()[0]
    helper.kill()
    assert child.process.wait(60) == 0
    assert N_TRIALS <= child.begun <= N_TRIALS + 1
    assert lake.manifest(call.artifact_id) == undisturbed


def test_F23_a_batch_whose_process_died_once_its_part_was_whole_runs_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, call = world(tmp_path / "lake")
    real, tasks = job.run_batch, []

    def remembered(*args: Any) -> Part:
        tasks.append(args)
        return real(*args)

    monkeypatch.setattr(job, "run_batch", remembered)
    BacktestJob(lake).run(call, Report())
    monkeypatch.setattr(remote, "run_trial", None)
    parts = [real(*args) for args in tasks]
    assert sum(len(part.facts["trials"]) for part in parts) == N_TRIALS
