"""F10: a broker that is full. What it refuses waits in the ledger's outbox, and nobody dies of it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.processes import eventually, free_port, listens, process, redis_command, uvicorn_command, worker_command
from tickloom import queue
from tickloom.identity import digest
from tickloom.ledger import ledger_url, migrate, runs
from tickloom.ledger.runs import PlannedStage, Submission
from tickloom.settings import settings


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["redis.Redis"]:
    """A worker on a broker that forgets nothing."""
    names = {"HOME": tmp_path, "RAY_ADDRESS": "off", "RECONCILE_S": 0.5, "LEASE_S": 3}
    names |= {"REDIS_PORT": free_port(), "SERVICES_PORT": free_port()}
    for name, value in names.items():
        monkeypatch.setenv(f"TICKLOOM_{name}", str(value))
    settings.cache_clear()
    queue.celery_app.cache_clear()
    migrate(ledger_url())
    port, services = settings().redis_port, uvicorn_command("tests.worker.fake_services:app", settings().services_port)
    with ExitStack() as stack:
        stack.enter_context(process(redis_command(port, tmp_path / "redis"), tmp_path / "redis.log"))
        eventually(lambda: listens(port))
        stack.enter_context(process(services, tmp_path / "services.log", {"FAKE_CALLS": str(tmp_path / "calls")}))
        worker = stack.enter_context(process(worker_command(), tmp_path / "worker.log"))
        yield redis.Redis(port=port)
        assert worker.poll() is None, "the worker died"
    settings.cache_clear()
    queue.celery_app.cache_clear()


def submit() -> str:
    salt = os.urandom(8).hex()
    planned = [PlannedStage("download", {"do": "work"}, digest([salt]), None)]
    run_id, _ = runs.accept(ledger_url(), Submission("pipeline", "test", {}, planned, digest(salt)))
    return run_id


def state(run_id: str) -> str:
    return runs.read(ledger_url(), run_id)[0].state


def test_F10_a_full_broker_takes_no_message_and_loses_none(broker: "redis.Redis") -> None:
    first = submit()
    eventually(lambda: state(first) == "SUCCESS", 60)
    broker.config_set("maxmemory", 1)  # full for whatever is to come, also when buffers are freed meanwhile
    waiting = [submit() for _ in range(5)]
    assert queue.send_due() == 0, "a full broker took messages"
    log = Path(os.environ["TICKLOOM_HOME"]) / "worker.log"
    eventually(lambda: "messages wait in the outbox" in log.read_text(), 30)
    assert [state(run_id) for run_id in waiting] == ["PENDING"] * 5
    broker.config_set("maxmemory", 0)
    eventually(lambda: all(state(run_id) == "SUCCESS" for run_id in waiting), 60)
