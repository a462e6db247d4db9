"""The stage over real HTTP: one JSON event a line."""

import json

import httpx
import pytest
import uvicorn

from services.bars.api import app
from tests.services.bars.runs import T0, call_of, imported, write_trades
from tests.services.serving import served
from tickloom.lake import open_lake
from tickloom.settings import settings


@pytest.fixture
def source(tmp_path, home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(tmp_path))
    settings.cache_clear()
    rows = [(i, T0 + i * 1000, "100.5", "0.25", i % 2 == 0) for i in range(20)]
    return imported(data_type="trades", files=write_trades(tmp_path, "BTCUSDT", rows))


@pytest.fixture
def url(source):
    with served(uvicorn.Config(app, log_level="warning")) as address:
        yield address


def events(url, call):
    with httpx.stream("POST", f"{url}/v1/bars", json=call.model_dump(mode="json"), timeout=60) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.iter_lines()]


def test_bars_are_told_as_progress_and_a_manifest(url, source):
    call = call_of(source, kind="volume", threshold="1")
    got = [event for event in events(url, call) if event["event"] != "alive"]
    assert [event["event"] for event in got] == ["progress", "finished"]
    assert got[-1]["manifest"]["facts"]["symbols"]["BTCUSDT"]["n_bars"] == 5
    assert open_lake().manifest(call.artifact_id).canonical() == got[-1]["manifest"]


def test_a_run_that_fails_ends_with_its_problem(url, source):
    last = events(url, call_of(source, kind="dollar", threshold="1e30"))[-1]
    assert (last["event"], last["problem"]["type"]) == ("failed", "urn:tickloom:problem:exactness-lost")
    assert last["problem"]["next"]


def test_health_is_answered(url):
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok", "part": "bars"}
