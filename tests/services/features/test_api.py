"""The features service over real HTTP: uvicorn, a socket, and the stream of events."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from services.features.api import app
from tests.services.features.bars import bar_table, call_for, put_bars
from tickloom.contracts.events import EVENTS, Alive, Failed, Finished, Progress, StageCall
from tickloom.lake import Lake, open_lake


@pytest.fixture
def lake(home: Path) -> Lake:
    return open_lake()


@pytest.fixture
def service(lake: Lake) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)


def events(service: str, call: StageCall) -> list[Progress | Alive | Finished | Failed]:
    with httpx.stream("POST", f"{service}/v1/features", json=call.model_dump(mode="json"), timeout=60) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        return [EVENTS.validate_json(line) for line in answer.iter_lines()]


def test_the_service_streams_progress_and_then_the_manifest(service: str, lake: Lake) -> None:
    call = call_for(put_bars(lake, {f"{s}.parquet": bar_table(90, i) for i, s in enumerate(["BTCUSDT", "ETHUSDT"])}))
    *before, last = events(service, call)
    assert isinstance(last, Finished)
    assert last.manifest == lake.manifest(call.artifact_id)
    told = [event for event in before if isinstance(event, Progress)]
    assert (told[-1].done, told[-1].total, told[-1].rows) == (2, 2, 180)
    again = events(service, call)[-1]
    assert again == last


def test_bars_that_are_not_there_end_the_stream_with_a_problem(service: str) -> None:
    (last,) = [event for event in events(service, call_for("0" * 64)) if not isinstance(event, Alive)]
    assert isinstance(last, Failed)
    assert last.problem["type"] == "urn:tickloom:problem:unknown-artifact"
    assert last.problem["status"] == 404


def test_a_request_that_cannot_be_is_a_problem_that_names_the_field(service: str, lake: Lake) -> None:
    call = call_for(put_bars(lake, {"BTCUSDT.parquet": bar_table(9)})).model_dump(mode="json")
    call["request"] = {"features": [{"name": "rsi", "timeperiod": -1}]}
    (last,) = events(service, StageCall.model_validate_json(json.dumps(call)))
    assert isinstance(last, Failed)
    assert last.problem["type"] == "urn:tickloom:problem:invalid-request"
    assert "features.0.rsi.timeperiod.0" in last.problem["detail"]


def test_a_body_that_is_no_work_order_is_422(service: str) -> None:
    answer = httpx.post(f"{service}/v1/features", json={"artifact_id": "../../etc/passwd", "request": {}})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert httpx.get(f"{service}/healthz").json() == {"status": "ok", "part": "features"}
