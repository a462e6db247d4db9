"""The command line and the Python client, run as users run them."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.processes import free_port

BROKEN = {
    "symbols": ["BTCUSDT"],
    "start_date": "2024-01-05",
    "end_date": "2024-01-05",
    "dataset": "trades_per_day=20,fault=bit_flip",
}
BACKWARDS = '{"symbols": ["BTCUSDT"], "start_date": "2022-02", "end_date": "2022-01"}'
UNKNOWN = '{"symbols": ["NOSUCH"], "start_date": "2022-01", "end_date": "2022-01"}'


def test_run_follow_ends_with_0_and_names_the_artifact(system, small_config):
    done = system.cli("run", str(small_config), "--follow")
    assert done.returncode == 0, done.stderr
    assert " is SUCCESS; artifact " in done.stdout
    assert "backtest" in done.stderr or "backtest" in done.stdout


def test_run_with_json_prints_one_status_that_scripts_can_read(system, small_config):
    done = system.cli("run", str(small_config), "--follow", "--json")
    status = json.loads(done.stdout)
    assert (done.returncode, status["state"], len(status["stages"])) == (0, "SUCCESS", 6)
    again = json.loads(system.cli("run", str(small_config), "--json").stdout)
    assert again == {"task_id": status["task_id"], "created": False, "status_url": f"/status/{status['task_id']}"}


def test_a_run_that_fails_ends_with_1_and_says_why_and_what_next(system):
    failed = system.cli("submit", "download", json.dumps(BROKEN), "--follow")
    assert failed.returncode == 1
    assert "BTCUSDT-aggTrades-2024-01-05.zip" in failed.stderr
    assert "next:" in failed.stderr
    as_json = system.cli("submit", "download", json.dumps(BROKEN), "--follow", "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["state"] == "FAILURE"
    assert json.loads(as_json.stderr)["type"] == "urn:tickloom:problem:bad-archive"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("status", "0" * 32), 4, "no task"),
        (("show", "0" * 64), 4, "no artifact"),
        (
            ("submit", "download", '{"symbols": ["BTCUSDT"], "start_date": "2022-02", "end_date": "2022-01"}'),
            2,
            "before",
        ),
        (
            ("submit", "download", '{"symbols": ["NOSUCH"], "start_date": "2022-01", "end_date": "2022-01"}'),
            2,
            "NOSUCH",
        ),
        (("run", "no/such/file.yaml"), 2, "cannot be read"),
    ],
    ids=["unknown task", "unknown artifact", "refused", "unknown symbol", "no file"],
)
def test_what_cannot_be_done_has_its_own_exit_code(system, words, code, said):
    done = system.cli(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    problem = json.loads(system.cli(*words, "--json").stderr)
    assert problem["next"]


def test_a_gateway_that_cannot_be_reached_ends_with_3(system, tmp_path):
    elsewhere = {"TICKLOOM_URL": f"http://127.0.0.1:{free_port()}", "TICKLOOM_HOME": str(tmp_path)}
    done = system.cli("status", "0" * 32, **elsewhere)
    assert done.returncode == 3
    assert "tickloom up" in done.stderr


def test_status_tells_that_all_parts_are_up(system):
    done = system.cli("status", "--json")
    status = json.loads(done.stdout)
    assert (done.returncode, status["ready"]) == (0, True)
    assert {part["state"] for part in status["parts"].values()} == {"up"}


EXAMPLE = """
from tickloom import Client
c = Client(); run = c.pipeline({path!r}); run.wait(); frame = run.equity()
import pandas as pd
assert isinstance(frame, pd.DataFrame) and isinstance(frame.index, pd.DatetimeIndex) and str(frame.index.tz) == "UTC"
assert frame["equity"].notna().all() and frame.index.is_monotonic_increasing
print(len(frame), round(frame["equity"].iloc[-1] - run.results()["best"]["BTCUSDT"]["metrics"]["final_equity"], 6))
print(run.report({folder!r}))
"""


def test_the_python_example_gives_a_frame_of_equity(system, small_config, tmp_path):
    source = EXAMPLE.format(path=str(small_config), folder=str(tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-c", source], env=system.environment, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows, difference = done.stdout.split()[:2]
    assert int(rows) > 100
    assert float(difference) == 0
    assert (tmp_path / "out" / "report.html").stat().st_size > 100_000
