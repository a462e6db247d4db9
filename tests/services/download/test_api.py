"""The stage over real HTTP: one JSON event a line."""

import json

import httpx
import pytest
import uvicorn

from services.download.api import app
from tests.services.download.runs import call_of
from tests.services.serving import served


@pytest.fixture
def url(stage):
    with served(uvicorn.Config(app, log_level="warning")) as address:
        yield address


def events(url, call):
    with httpx.stream("POST", f"{url}/v1/download", json=call.model_dump(mode="json"), timeout=60) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.iter_lines()]


def test_a_download_tells_its_progress_and_ends_with_its_manifest(url, stage):
    call = call_of(
        venue="sim", symbols=["BTCUSDT"], start_date="2024-01-05", end_date="2024-01-06", dataset="trades_per_day=300"
    )
    got = events(url, call)
    told = [e["event"] for e in got if e["event"] != "alive"]
    assert (set(told[:-1]), told[-1]) == ({"progress"}, "finished")  # how often it is told is a matter of time
    manifest = got[-1]["manifest"]
    assert manifest["id"] == call.artifact_id
    assert stage.lake.manifest(call.artifact_id).canonical() == manifest


def test_a_download_that_fails_ends_with_its_problem(url):
    call = call_of(
        venue="sim", symbols=["BTCUSDT"], start_date="2024-01-05", end_date="2024-01-05", dataset="fault=zip_truncated"
    )
    last = events(url, call)[-1]
    assert (last["event"], last["problem"]["type"]) == ("failed", "urn:tickloom:problem:bad-archive")


def test_a_call_that_is_no_call_is_refused(url):
    assert httpx.post(f"{url}/v1/download", json={"artifact_id": "x"}).status_code == 422
