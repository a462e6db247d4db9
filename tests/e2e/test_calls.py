"""The calls that README and issue promise, as they are written, against the whole system."""

import csv
import hashlib
import io
import json
import re
import shlex
import shutil
import subprocess
import time
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from api_gateway.models import EXAMPLES
from tests.conftest import REPOSITORY
from tests.e2e.system import System, stage_of
from tickloom.contracts.stages import STAGES

DOWNLOAD = (
    "curl -X POST http://localhost:8000/submit_download -H 'Content-Type: application/json' "
    """-d '{"symbols": ["BTCUSDT", "ETHUSDT"], "start_date": "2022-01", "end_date": "2022-03"}'"""
)
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="NO CURL: install curl to test the README's calls")


def curl(system: System, command: str) -> Any:
    """Run a curl call of the documentation; only the port is another."""
    words = shlex.split(command.replace("http://localhost:8000", system.url))
    return json.loads(subprocess.run([*words, "-sS", "--fail-with-body"], capture_output=True, check=True).stdout)


@pytest.fixture(scope="session")
def chain(system: System) -> dict[str, dict[str, Any]]:
    """The six calls, each sent at once with the task_id of the one before it."""
    accepted = {"download": curl(system, DOWNLOAD)}
    for before, stage in pairwise(STAGES):
        accepted[stage] = system.post(f"/submit_{stage}", EXAMPLES[stage] | {"input": accepted[before]["task_id"]})
    accepted["first status"] = system.http.get(accepted["viz"]["status_url"]).json()
    for stage in STAGES:
        system.done(accepted[stage]["task_id"])
    return accepted


@pytest.fixture(scope="session")
def small(system: System, small_config) -> dict[str, Any]:
    """A small pipeline, sent as JSON: its request and its status at the end."""
    request = yaml.safe_load(small_config.read_text())
    return {"request": request, "status": system.done(system.post("/submit_pipeline", request)["task_id"])}


def test_the_readme_has_the_calls_that_are_tested_here():
    readme = (REPOSITORY / "README.md").read_text()
    joined = re.sub(r"\s*\\\n\s*", " ", readme)
    assert DOWNLOAD.partition("'{")[2] in joined
    assert "submit_download" in joined


def test_each_stage_is_accepted_before_the_one_it_needs_has_finished(system, chain):
    assert chain["first status"]["state"] == "PENDING"
    for stage in STAGES:
        assert re.fullmatch("[0-9a-f]{32}", chain[stage]["task_id"])
        status = curl(system, f"curl http://localhost:8000/status/{chain[stage]['task_id']}")
        assert (status["state"], status["progress"], status["stage"]) == ("SUCCESS", 1.0, stage)
        assert status["artifact_id"] == chain[stage]["artifact_id"]
    for before, stage in pairwise(STAGES):
        assert system.manifest(chain[stage]["artifact_id"])["inputs"] == [chain[before]["artifact_id"]]


def test_the_sums_of_bars_and_what_is_left_open_are_those_of_the_trades(system, chain):
    download, bars = chain["download"]["artifact_id"], chain["bars"]["artifact_id"]
    for symbol, facts in system.manifest(bars)["facts"]["symbols"].items():
        volume = notional = n_trades = 0
        with localcontext(prec=60):
            for month in ("2022-01", "2022-02", "2022-03"):
                table = system.table(download, f"{symbol}/{month}")
                value = pc.multiply(table["price"], table["quantity"])
                volume += pc.sum(table["quantity"].cast(pa.decimal256(60, table["quantity"].type.scale))).as_py()
                notional += pc.sum(value.cast(pa.decimal256(60, value.type.scale))).as_py()
                n_trades += table.num_rows
            made = system.table(bars, f"{symbol}/").to_pydict()
            left = facts["residual"]
            assert sum(made["volume"]) + Decimal(left["volume"]) == volume
            assert sum(made["notional"]) + Decimal(left["notional"]) == notional
            assert sum(made["n_trades"]) + left["n_trades"] == n_trades
        assert n_trades > 1_000_000
        assert len(made["volume"]) > 100


def test_an_artifacts_id_does_as_input_and_an_equal_request_is_the_same_task(system, chain):
    made = chain["bars"]["artifact_id"]
    again = system.post("/submit_features", EXAMPLES["features"] | {"input": made})
    assert (again["task_id"], again["created"]) == (chain["features"]["task_id"], False)
    other = system.post("/submit_features", {"features": [{"name": "mom", "timeperiod": 10}], "input": made})
    status = system.done(other["task_id"])
    assert system.manifest(status["artifact_id"])["facts"]["columns"] == ["mom_10"]


def test_an_artifact_of_the_wrong_stage_is_refused(system, chain):
    body = EXAMPLES["backtest"] | {"input": chain["bars"]["artifact_id"]}
    answer = system.http.post("/submit_backtest", json=body)
    assert answer.status_code == 422
    assert "backtest needs an artifact of stage signals" in answer.json()["detail"]


def test_the_lineage_goes_back_to_the_download(system, chain):
    view = curl(system, f"curl http://localhost:8000/artifacts/{chain['viz']['artifact_id']}")
    assert [step["stage"] for step in view["lineage"]] == list(reversed(STAGES[:-1]))
    assert [step["id"] for step in view["lineage"]] == [chain[stage]["artifact_id"] for stage in reversed(STAGES[:-1])]
    assert view["manifest"]["facts"]["open"] == "report.html"


def test_every_file_of_every_artifact_has_the_hash_that_its_manifest_names(system, small):
    for row in small["status"]["stages"]:
        for name, sha256 in system.files(row["artifact_id"]).items():
            answer = system.http.get(f"/artifacts/{row['artifact_id']}/files/{name}")
            assert hashlib.sha256(answer.content).hexdigest() == sha256 == answer.headers["etag"].strip('"')


def test_rows_are_the_same_as_parquet_csv_and_json(system, small):
    made = stage_of(small["status"], "bars")["artifact_id"]
    query = {"file": "BTCUSDT/2024-01-03", "limit": 25}
    exact = system.table(made, "BTCUSDT/2024-01-03").slice(0, 25).to_pylist()
    as_json = system.http.get(system.data(made), params=query | {"format": "json"}).json()
    as_csv = system.http.get(system.data(made), params=query | {"format": "csv"})
    assert as_csv.headers["content-type"].startswith("text/csv")
    assert len(as_json) == len(exact) == 25
    for texts, values, row in zip(csv.DictReader(io.StringIO(as_csv.text)), as_json, exact, strict=True):
        assert {name: type(row[name])(text) for name, text in texts.items()} == row
        assert {name: type(row[name])(value) for name, value in values.items()} == row
        assert all(isinstance(values[name], str) for name, value in row.items() if isinstance(value, Decimal))


def test_a_pipeline_as_yaml_is_the_one_that_was_sent_as_json_and_a_repeat_returns_at_once(system, small, small_config):
    begun = time.monotonic()
    command = "curl -X POST http://localhost:8000/submit_pipeline -H 'Content-Type: application/yaml'"
    again = curl(system, f"{command} --data-binary @{small_config}")
    assert time.monotonic() - begun < 20
    assert (again["task_id"], again["created"], again["state"]) == (small["status"]["task_id"], False, "SUCCESS")


def test_another_fee_recomputes_the_backtest_and_the_report_alone(system, small):
    request = small["request"] | {"backtest": small["request"]["backtest"] | {"commission_rate": 0.002}}
    status = system.done(system.post("/submit_pipeline", request)["task_id"])
    before, after = small["status"]["stages"], status["stages"]
    assert [row["cached"] for row in after] == [True, True, True, True, False, False]
    same = [a["artifact_id"] == b["artifact_id"] for a, b in zip(before, after, strict=True)]
    assert same == [True, True, True, True, False, False]
    fees = [
        system.client.run(task["task_id"]).results()["best"]["BTCUSDT"]["metrics"]["fees_paid"]
        for task in (small["status"], status)
    ]
    assert fees[1] > fees[0] > 0


def test_a_cancelled_task_is_revoked_for_good_and_publishes_nothing(system):
    body = {"symbols": ["ETHUSDT"], "start_date": "2023-01", "end_date": "2023-12", "dataset": "trades_per_day=50000"}
    accepted = system.post("/submit_download", body)
    waiting = system.post("/submit_bars", EXAMPLES["bars"] | {"input": accepted["task_id"]})
    revoked = curl(system, f"curl -X DELETE http://localhost:8000/tasks/{accepted['task_id']}")
    assert revoked["state"] == "REVOKED"
    assert curl(system, f"curl -X DELETE http://localhost:8000/tasks/{accepted['task_id']}")["state"] == "REVOKED"
    failed = system.ended(waiting["task_id"])
    assert failed["state"] == "FAILURE"
    assert failed["error"]["next"]
    time.sleep(2)
    assert system.http.get(accepted["status_url"]).json()["state"] == "REVOKED"
    assert system.http.get(f"/artifacts/{accepted['artifact_id']}").status_code == 404


def test_tasks_are_listed_newest_first_by_state_and_kind_page_by_page(system, chain, small):
    listed = curl(system, "curl 'http://localhost:8000/tasks?state=SUCCESS&limit=1000'")["tasks"]
    assert {task["state"] for task in listed} == {"SUCCESS"}
    assert {chain[stage]["task_id"] for stage in STAGES} <= {task["task_id"] for task in listed}
    created = [task["created"] for task in listed]
    assert created == sorted(created, reverse=True)
    pages, cursor = [], ""
    while cursor is not None:
        query = {"limit": "3", "state": "SUCCESS"} | ({"cursor": cursor} if cursor else {})
        page = system.http.get("/tasks", params=query).json()
        pages += page["tasks"]
        cursor = page["next"]
    assert [task["task_id"] for task in pages] == [task["task_id"] for task in listed]
    kinds = system.http.get("/tasks", params={"kind": "pipeline"}).json()["tasks"]
    assert {task["kind"] for task in kinds} == {"pipeline"}


def test_an_unknown_id_is_404_and_says_what_to_do(system):
    for path in ("/status/" + "0" * 32, "/artifacts/" + "0" * 64):
        answer = system.http.get(path)
        assert answer.status_code == 404
        assert answer.json()["next"]
