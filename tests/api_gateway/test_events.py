"""Live events: a real server, clients that watch, clients that leave."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import pytest

from tests.api_gateway.test_tasks import DOWNLOAD, finish
from tests.processes import eventually, free_port, listens, process, uvicorn_command
from tickloom.contracts.events import Progress
from tickloom.ledger import leases, ledger_url, runs


@pytest.fixture
def url(gateway, tmp_path) -> Iterator[str]:
    """A gateway in a process of its own, over the ledger of the one in ours."""
    port = free_port()
    with process(uvicorn_command("api_gateway.app:app", port), tmp_path / "gateway.log"):
        eventually(lambda: listens(port))
        yield f"http://127.0.0.1:{port}"


def follow(url: str, task: str) -> list[dict]:
    """Return every status that was sent, until the server ends the stream."""
    with httpx.stream("GET", f"{url}/tasks/{task}/events", timeout=20) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def test_a_watcher_is_told_at_once_at_each_change_and_at_the_end(url):
    task = httpx.post(f"{url}/submit_download", json=DOWNLOAD).json()["task_id"]
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(follow, url, task)
        lease = leases.claim(ledger_url(), task, "download", "w", 30)
        assert lease is not None
        for done in (1, 2):
            assert leases.renew(ledger_url(), lease, 30, Progress(done=done, total=2))
            threading.Event().wait(0.8)
        runs.cancel(ledger_url(), task)
        statuses = seen.result(20)
    assert statuses[-1]["state"] == "REVOKED"
    assert [status["stages"][0]["done"] for status in statuses][-2:] == [2, 2]
    assert all(one != other for one, other in pairwise(statuses))


def test_a_task_that_has_ended_is_told_once(url):
    task = httpx.post(f"{url}/submit_download", json=DOWNLOAD).json()["task_id"]
    finish(task)
    assert [status["state"] for status in follow(url, task)] == ["SUCCESS"]


def test_an_unknown_task_has_no_events(url):
    assert httpx.get(f"{url}/tasks/{'0' * 32}/events").status_code == 404


def test_F21_watchers_that_leave_in_the_middle_disturb_nobody(url):
    task = httpx.post(f"{url}/submit_download", json=DOWNLOAD).json()["task_id"]
    for _ in range(20):
        with httpx.stream("GET", f"{url}/tasks/{task}/events", timeout=20) as response:
            next(response.iter_lines())
    with ThreadPoolExecutor(30) as pool:
        watching = [pool.submit(follow, url, task) for _ in range(30)]
        threading.Event().wait(0.5)
        runs.cancel(ledger_url(), task)
        assert all(one.result(20)[-1]["state"] == "REVOKED" for one in watching)
    assert httpx.get(f"{url}/healthz").status_code == 200
