"""The HTTP face that all services have, on a real server over real sockets."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from tests.tickloom.serving import served
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.bars import BarsRequest
from tickloom.contracts.events import EVENTS, Alive, Failed, Finished, Progress, StageCall, Trials
from tickloom.errors import MissingPartition
from tickloom.http import MAX_BODY, Report, create_app, stage_router

ID = "a" * 64


class PanicException(BaseException):
    """What a panic in a Rust library looks like from here."""


class FakeJob:
    """Does what the call's request asks for."""

    def __init__(self) -> None:
        self.ended: dict[str, threading.Event] = {}
        self.runs = 0

    def run(self, call: StageCall, report: Report) -> Manifest:
        self.runs += 1
        asked = call.request
        if "wait_s" in asked:
            ended = self.ended.setdefault(str(asked.get("name")), threading.Event())
            if report.cancelled.wait(asked["wait_s"]):
                ended.set()
            report.check()
        if "raise" in asked:
            raise {
                "named": MissingPartition("trades", "2022-01-03"),
                "secret": RuntimeError("password=hunter2 in /srv/secret/path"),
                "panic": PanicException("a library lost its head"),
                "memory": MemoryError(),
            }[asked["raise"]]
        if "spec" in asked:
            BarsRequest.model_validate(asked)
        report.warn("slow today")
        for done in range(asked.get("steps", 0)):
            report.progress(done + 1, asked["steps"], rows=10, message="bars BTCUSDT")
        return Manifest(id=ID, stage="fake", version=1, request=asked, inputs=(), files=())


@pytest.fixture(scope="module")
def job() -> FakeJob:
    return FakeJob()


@pytest.fixture(scope="module", autouse=True)
def short_tracebacks() -> Iterator[None]:
    """By default structlog draws every local variable, which takes seconds."""
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def url(job: FakeJob) -> Iterator[str]:
    app = create_app("fake", stage_router("fake", job))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("password=hunter2")

    with served(app) as address:
        yield address


@pytest.fixture(autouse=True)
def no_token(home: Path) -> Path:
    return home / "service_token"


def events(url: str, **request: Any) -> list[Any]:
    answer = httpx.post(f"{url}/v1/fake", json={"artifact_id": ID, "request": request}, timeout=20)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [EVENTS.validate_json(line) for line in answer.iter_lines()]


def raw_call(body: bytes) -> bytes:
    head = b"POST /v1/fake HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def is_problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "next", "retryable"} <= set(problem)
    assert problem["status"] == answer.status_code
    return problem


# the stream ------------------------------------------------------------------------------------------------------


def test_a_job_tells_its_progress_and_ends_with_its_manifest(url: str) -> None:
    *progress, last = events(url, steps=3)
    assert [(event.done, event.total, event.rows) for event in progress] == [(1, 3, 10), (2, 3, 10), (3, 3, 10)]
    assert all(event.warnings == ("slow today",) for event in progress)
    assert isinstance(last, Finished)
    assert last.manifest.request == {"steps": 3}


def test_a_silent_job_is_said_to_be_alive_every_second(url: str) -> None:
    begun = time.monotonic()
    *alive, last = events(url, wait_s=2.5)
    assert time.monotonic() - begun >= 2.5
    assert alive == [Alive(), Alive()]
    assert isinstance(last, Finished)


def test_events_arrive_while_the_job_runs_and_not_at_its_end(url: str) -> None:
    body = {"artifact_id": ID, "request": {"wait_s": 20, "name": "early"}}
    begun = time.monotonic()
    with httpx.stream("POST", f"{url}/v1/fake", json=body) as answer:
        assert EVENTS.validate_json(next(answer.iter_lines())) == Alive()
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize("after_s", [0.1, 1.2])
def test_a_client_that_goes_away_cancels_the_job_at_once(url: str, job: FakeJob, after_s: float) -> None:
    name = f"gone after {after_s}"
    ended = job.ended[name] = threading.Event()
    body = json.dumps({"artifact_id": ID, "request": {"wait_s": 30, "name": name}}).encode()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        client.sendall(raw_call(body))
        time.sleep(after_s)
    begun = time.monotonic()
    assert ended.wait(10)
    assert time.monotonic() - begun < 10


def test_fifty_clients_that_go_away_leave_no_thread_behind(url: str, job: FakeJob) -> None:
    before, runs = threading.active_count(), job.runs
    body = json.dumps({"artifact_id": ID, "request": {"wait_s": 30, "name": "crowd"}}).encode()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
            client.sendall(raw_call(body))
            time.sleep(0.02)
    until = time.monotonic() + 10
    while threading.active_count() > before + 2 and time.monotonic() < until:
        time.sleep(0.05)
    assert threading.active_count() <= before + 2
    assert job.runs > runs + 25  # some went away before they were heard
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok", "part": "fake"}


# failures --------------------------------------------------------------------------------------------------------


def test_a_named_error_is_the_problem_that_the_stream_ends_with(url: str) -> None:
    (last,) = events(url, **{"raise": "named"})
    assert isinstance(last, Failed)
    assert last.problem == MissingPartition("trades", "2022-01-03").problem()


@pytest.mark.parametrize(("kind", "name"), [("secret", "RuntimeError"), ("panic", "PanicException")])
def test_an_unforeseen_error_ends_the_stream_without_its_details(url: str, kind: str, name: str) -> None:
    (last,) = events(url, **{"raise": kind})
    assert isinstance(last, Failed)
    assert last.problem["status"] == 500
    assert last.problem["retryable"] is True
    assert name in last.problem["detail"]
    assert "hunter2" not in str(last.problem)
    assert "lost its head" not in str(last.problem)


def test_a_stages_request_that_is_none_is_the_callers_error(url: str) -> None:
    (last,) = events(url, spec={"kind": "volume", "threshold": -1})
    assert last.problem["status"] == 422
    assert last.problem["retryable"] is False
    assert "threshold" in last.problem["detail"]


def test_a_job_out_of_memory_may_be_tried_again(url: str) -> None:
    (last,) = events(url, **{"raise": "memory"})
    assert last.problem["detail"] == "out of memory"
    assert last.problem["retryable"] is True


def test_an_unforeseen_error_of_a_route_is_a_500_that_tells_nothing(url: str) -> None:
    answer = httpx.get(f"{url}/broken")
    assert answer.status_code == 500
    is_problem(answer)
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/v1/fake", 405)])
def test_what_is_not_there_is_a_problem_too(url: str, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, url + path)
    assert answer.status_code == status
    assert is_problem(answer)["next"] == "GET /docs lists every call"


# who may call ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        ("Basic s3cret", 401),
        ("s3cret", 401),
        ("Bearer s3cret2", 401),
        ("Bearer \xe9", 401),
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
    ],
)
def test_a_call_needs_the_token_that_was_installed(
    url: str, no_token: Path, job: FakeJob, header: str | None, status: int
) -> None:
    no_token.write_text("s3cret\n")
    runs = job.runs
    headers = {} if header is None else {"authorization": header.encode("latin-1")}
    answer = httpx.post(f"{url}/v1/fake", json={"artifact_id": ID, "request": {}}, headers=headers)
    assert answer.status_code == status
    assert job.runs == runs + (status == 200)
    if status == 401:
        assert is_problem(answer)["next"] == "send the header Authorization: Bearer <token>"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_without_the_token_a_caller_does_not_learn_what_is_wrong_with_the_request(url: str, no_token: Path) -> None:
    no_token.write_text("s3cret")
    assert httpx.post(f"{url}/v1/fake", json={"artifact_id": "no id"}).status_code == 401


def test_a_token_that_cannot_be_read_opens_no_door(url: str, no_token: Path) -> None:
    no_token.mkdir()
    assert httpx.post(f"{url}/v1/fake", json={"artifact_id": ID, "request": {}}).status_code == 500


# bodies ----------------------------------------------------------------------------------------------------------


def body_of(size: int) -> bytes:
    frame = b'{"artifact_id":"%s","request":{"x":"%s"}}'
    return frame % (ID.encode(), b"x" * (size - len(frame % (ID.encode(), b""))))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_one_mebibyte_is_taken_and_one_byte_more_is_413(url: str, chunked: bool) -> None:
    for size, status in ((MAX_BODY, 200), (MAX_BODY + 1, 413)):
        body = body_of(size)
        content = iter([body[i : i + 50_000] for i in range(0, size, 50_000)]) if chunked else body
        answer = httpx.post(f"{url}/v1/fake", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == status
        if status == 413:
            assert is_problem(answer)["type"] == "urn:tickloom:problem:body-too-large"


def test_a_declared_body_of_200_megabytes_is_refused_before_it_is_sent(url: str) -> None:
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20) as client:
        client.sendall(b"POST /v1/fake HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n")
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - begun < 10


def test_an_endless_body_is_cut_off_soon(url: str) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 200_000_000:
            sent += 65536
            yield b" " * 65536

    begun = time.monotonic()
    with suppress(httpx.TransportError):  # the server may hang up while the client is still sending
        assert httpx.post(f"{url}/v1/fake", content=endless()).status_code == 413
    assert time.monotonic() - begun < 30
    assert sent < 50_000_000


HOSTILE = {
    "NaN": b'{"artifact_id":"%s","inputs":NaN,"request":{}}' % ID.encode(),
    "a number too large for a double": b'{"artifact_id":1e400,"request":{}}',
    "a lone surrogate as id": b'{"artifact_id":"\\ud800","request":{}}',
    "a lone surrogate as an unknown field": b'{"\\ud800":1,"artifact_id":"x","request":{}}',
    "5,000 digits": b'{"artifact_id":%s,"request":{}}' % (b"9" * 5000),
    "4,000 digits": b'{"artifact_id":%s,"request":{}}' % (b"9" * 4000),
    "100,000 lists deep": b'{"artifact_id":"x","request":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an unknown field": b'{"artifact_id":"%s","request":{},"owner_id":1}' % ID.encode(),
    "true for an id": b'{"artifact_id":true,"request":{}}',
    "a list": b"[]",
    "null": b"null",
    "nothing": b"",
    "no JSON": b"{",
    "bytes that are no UTF-8": b'{"artifact_id":"\xff\xfe","request":{}}',
    "NUL bytes": b"\0" * 100,
    "a field name of a megabyte": b'{"%s":1}' % (b"x" * 1_000_000),
    "an id with a newline": b'{"artifact_id":"%s\\n","request":{}}' % ID.encode(),
    "a path for an id": b'{"artifact_id":"../../../etc/passwd","request":{}}',
    "two thousand inputs that are no ids": b'{"artifact_id":"%s","request":{},"inputs":[%s]}'
    % (ID.encode(), b",".join([b'"x"'] * 2000)),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_the_callers_error_and_never_ours(url: str, job: FakeJob, body: bytes) -> None:
    runs = job.runs
    answer = httpx.post(f"{url}/v1/fake", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 413, 422), answer.text[:300]
    is_problem(answer)
    assert len(answer.content) < 20_000
    assert job.runs == runs


@pytest.mark.parametrize(
    "inside",
    [b"NaN", b"1e400", b'"\\ud800"', b'{"\\ud800":1}', b"9" * 5000, b"[" * 500 + b"]" * 500, b"true", b'{"x":1}'],
)
def test_a_hostile_value_inside_a_stages_request_ends_in_a_4xx_or_a_failed_stream(url: str, inside: bytes) -> None:
    body = b'{"artifact_id":"%s","request":{"spec":{"kind":"tick","threshold":%s}}}' % (ID.encode(), inside)
    answer = httpx.post(f"{url}/v1/fake", content=body, headers={"content-type": "application/json"})
    if answer.status_code == 200:
        assert isinstance(EVENTS.validate_json(answer.text.splitlines()[-1]), Failed)
    else:
        assert answer.status_code in (400, 422)
        is_problem(answer)


def test_a_report_without_listener_counts_warnings_once_and_stops_when_told() -> None:
    seen: list[Progress] = []
    report = Report(seen.append)
    report.warn("a")
    report.warn("a")
    report.progress(1, 2)
    assert seen[0].warnings == ("a",)
    report.cancelled.set()
    with pytest.raises(Exception, match="cancelled"):
        report.progress(2, 2)
    assert len(seen) == 1


def test_the_time_left_goes_by_what_this_attempt_has_done(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Progress] = []
    clock = iter([100.0, 110.0, 120.0, 130.0, 140.0])
    monkeypatch.setattr("tickloom.http.time.monotonic", lambda: next(clock))
    report = Report(told.append)
    report.progress(50, 100)  # an earlier attempt's
    report.progress(60, 100)
    report.progress(100, 100)
    assert [event.seconds_left for event in told] == [None, 40.0, 0.0]
    report.progress(100, 100, trials=Trials(done=8, total=64))
    report.progress(100, 100, trials=Trials(done=36, total=64))
    report.progress(100, 100, trials=Trials(done=64, total=64))  # what comes after the trials has no rate of theirs
    assert [event.seconds_left for event in told[3:]] == [None, 10.0, None]
