"""The backtest stage with a tally: a byte in a file for each trial that begins, whichever process runs it.

`main` runs a call so: <lake> <tally> <small> <call>.
"""

import json
import os
import sys
import time
from typing import Any

from services.backtest import job, remote
from tickloom.contracts.artifact import Manifest, Part
from tickloom.contracts.events import StageCall
from tickloom.http import Report
from tickloom.lake import Lake

TALLY = "TRIALS_TALLY"
TRIAL_S = 0.002
"""How long a trial takes at least: so that a kill meets one at work more often than not."""

SMALL, _batch, _trial = job.SMALL, remote.run_batch, remote.run_trial


def run_trial(*args: Any) -> Any:
    """Count a trial, and run it."""
    file = os.open(os.environ[TALLY], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b".")
    os.close(file)
    time.sleep(TRIAL_S)
    return _trial(*args)


def run_batch(*args: Any) -> Part:
    """Do as `remote.run_batch` does, in any process, and count."""
    remote.run_trial = run_trial
    try:
        return _batch(*args)
    finally:
        remote.run_trial = _trial


def run(lake: str, tally: str, small: int, call: StageCall, report: Report) -> Manifest:
    """Run the stage and count; `small` is below how many bars times trials all runs in this process."""
    os.environ[TALLY] = tally
    job.run_batch, job.SMALL = run_batch, small
    try:
        return job.BacktestJob(Lake(lake)).run(call, report)
    finally:
        job.run_batch, job.SMALL = _batch, SMALL


def main() -> None:
    """Run the call that the command line names."""
    lake, tally, small, call = sys.argv[1:]
    run(lake, tally, int(small), StageCall.model_validate(json.loads(call)), Report())
