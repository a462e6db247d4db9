"""The worker for real: a real broker, a real Celery worker, HTTP to a service, and things that go wrong."""

import base64
import json
import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.processes import (
    eventually,
    free_port,
    kill,
    listens,
    process,
    redis_command,
    uvicorn_command,
    worker_command,
)
from tickloom import queue
from tickloom.identity import digest
from tickloom.ledger import leases, ledger_url, migrate, runs
from tickloom.ledger.runs import PlannedStage, Submission
from tickloom.settings import settings


class System:
    """A broker, a worker and fake services, each of which can be killed and started again."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home, self.stack = home, stack
        self.calls = home / "calls"
        self.redis_port, self.services_port = settings().redis_port, settings().services_port
        self.start_redis()
        self.start_services()
        self.start_worker()

    def start_redis(self) -> None:
        command = redis_command(self.redis_port, self.home / "redis")
        self.redis = self.stack.enter_context(process(command, self.home / "redis.log"))
        eventually(lambda: listens(self.redis_port))

    def start_services(self) -> None:
        command = uvicorn_command("tests.worker.fake_services:app", self.services_port)
        environment = {"FAKE_CALLS": str(self.calls)}
        self.services = self.stack.enter_context(process(command, self.home / "services.log", environment))
        eventually(lambda: listens(self.services_port))

    def start_worker(self) -> None:
        self.worker = self.stack.enter_context(process(worker_command(), self.home / "worker.log"))

    def submit(self, *stages: str, **request: object) -> str:
        """Accept a run as the gateway does, and send its first message."""
        salt, planned, before = uuid.uuid4().hex, [], None
        for stage in stages or ("download",):
            made = digest([salt, stage])
            planned.append(PlannedStage(stage, dict(request), made, before))
            before = made
        run, _ = runs.accept(ledger_url(), Submission("pipeline", "test", {}, planned, digest(salt)))
        queue.send_due()
        return run

    def state(self, run: str) -> str:
        return runs.read(ledger_url(), run)[0].state

    def stage(self, run: str, position: int = 0):
        return runs.read(ledger_url(), run)[1][position]

    def count(self, run: str, word: str) -> int:
        short = self.stage(run).artifact_id[:8]
        return self.calls.read_text().count(f"{short} {word}") if self.calls.exists() else 0


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    for name, value in {
        "HOME": tmp_path,
        "REDIS_PORT": free_port(),
        "SERVICES_PORT": free_port(),
        "RAY_ADDRESS": "off",
        "LEASE_S": 2,
        "RECONCILE_S": 0.5,
        "STREAM_TIMEOUT_S": 5,
    }.items():
        monkeypatch.setenv(f"TICKLOOM_{name}", str(value))
    settings.cache_clear()
    queue.celery_app.cache_clear()
    migrate(ledger_url())
    with ExitStack() as stack:
        yield System(tmp_path, stack)
    settings.cache_clear()
    queue.celery_app.cache_clear()


def test_a_chain_of_stages_runs_to_success_each_stage_once(system):
    run = system.submit("download", "bars", "features")
    eventually(lambda: system.state(run) == "SUCCESS")
    _, stages = runs.read(ledger_url(), run)
    assert [stage.attempt for stage in stages] == [1, 1, 1]
    assert all(runs.artifact(ledger_url(), stage.artifact_id) for stage in stages)
    assert system.calls.read_text().count("end") == 3


def test_progress_of_a_stage_reaches_the_ledger_while_it_runs(system):
    run = system.submit(steps=40, step_s=0.1)
    eventually(lambda: system.stage(run).done > 3)
    assert system.state(run) == "STARTED"
    assert system.stage(run).total == 40
    assert system.stage(run).message.startswith("step")
    eventually(lambda: system.state(run) == "SUCCESS")


def test_F01_a_worker_killed_at_work_is_replaced_and_the_run_ends_with_success(system):
    run = system.submit(steps=10, step_s=0.3)
    eventually(lambda: system.stage(run).done > 1)
    kill(system.worker)
    system.start_worker()
    eventually(lambda: system.state(run) == "SUCCESS", 60)
    assert system.stage(run).attempt == 2


def test_F02_a_service_that_dies_at_work_is_called_again(system):
    run = system.submit(do="die once")
    eventually(lambda: system.services.poll() is not None)
    system.start_services()
    eventually(lambda: system.state(run) == "SUCCESS", 60)


def test_F05_a_request_that_kills_its_service_each_time_ends_after_three_attempts(system):
    run = system.submit(do="die")
    for _ in range(3):
        eventually(lambda: system.services.poll() is not None, 60)
        system.start_services()
    eventually(lambda: system.state(run) == "FAILURE", 60)
    assert system.count(run, "start") == 3
    error = runs.read(ledger_url(), run)[0].error
    assert error is not None
    assert "does not answer" in error["detail"]
    assert error["next"]
    after = system.submit()
    eventually(lambda: system.state(after) == "SUCCESS", 10)


def test_F03_the_same_message_many_times_is_one_execution(system):
    run = system.submit(steps=10, step_s=0.2)
    for _ in range(5):
        queue.celery_app().send_task(queue.task_name("download"), args=[run, "download"], queue="download")
    eventually(lambda: system.state(run) == "SUCCESS")
    assert system.count(run, "start") == 1
    assert (system.home / "worker.log").read_text().count("lease held") >= 1 or system.count(run, "end") == 1


def test_F09_runs_survive_a_broker_that_dies_and_comes_back_empty(system):
    running = system.submit("download", "bars", steps=10, step_s=0.3)
    queued = [system.submit(steps=2, step_s=0.3) for _ in range(12)]  # more than the worker has threads
    eventually(lambda: system.stage(running).done > 0)
    kill(system.redis)
    for file in (system.home / "redis").rglob("*"):
        if file.is_file():
            file.unlink()
    accepted = system.submit()
    assert system.state(accepted) == "PENDING"
    system.start_redis()
    eventually(lambda: all(system.state(run) == "SUCCESS" for run in (running, accepted, *queued)), 60)
    later = system.submit()
    eventually(lambda: system.state(later) == "SUCCESS", 15)


def test_F10_a_flushed_broker_loses_no_run(system):
    kill(system.worker)
    waiting = [system.submit() for _ in range(5)]
    redis.Redis(port=system.redis_port).flushall()
    system.start_worker()
    eventually(lambda: all(system.state(run) == "SUCCESS" for run in waiting), 60)


def test_F22_a_cancelled_run_stops_its_service_and_publishes_nothing(system):
    run = system.submit("download", "bars", steps=100, step_s=0.2)
    eventually(lambda: system.stage(run).done > 1)
    runs.cancel(ledger_url(), run)
    at = system.stage(run).done
    eventually(lambda: "lease lost" in (system.home / "worker.log").read_text(), 5)
    assert system.count(run, "end") == 0
    assert system.state(run) == "REVOKED"
    assert system.stage(run).done == at
    assert runs.artifact(ledger_url(), system.stage(run).artifact_id) is None


def test_F15_a_worker_told_to_stop_gives_its_stage_back_and_exits_in_time(system):
    run = system.submit(steps=50, step_s=0.2)
    eventually(lambda: system.stage(run).done > 1)
    os.kill(system.worker.pid, signal.SIGTERM)
    assert system.worker.wait(20) == 0
    assert system.state(run) == "PENDING"
    assert system.stage(run).failures == 0
    system.start_worker()
    eventually(lambda: system.state(run) == "SUCCESS", 60)


def test_a_service_that_refuses_ends_the_run_with_its_problem(system):
    run = system.submit(do="refuse")
    eventually(lambda: system.state(run) == "FAILURE")
    error = runs.read(ledger_url(), run)[0].error
    assert error is not None
    assert error["detail"] == "do: refused"
    assert system.count(run, "start") == 1


def test_a_failure_that_passes_is_tried_again_until_it_has_passed(system):
    run = system.submit(do="fail twice")
    eventually(lambda: system.state(run) == "SUCCESS", 60)
    assert system.stage(run).attempt == 3


def test_a_service_that_is_not_up_yet_is_waited_for_without_counting_a_failure(system):
    kill(system.services)
    run = system.submit()
    eventually(lambda: system.state(run) == "STARTED")
    system.start_services()
    eventually(lambda: system.state(run) == "SUCCESS")
    assert system.stage(run).failures == 0


def test_S22_pickled_and_unknown_messages_are_refused_and_the_worker_lives_on(system):
    body = base64.b64encode(b"cos\nsystem\n(S'exit 1'\ntR.").decode()
    properties = {"delivery_mode": 2, "delivery_tag": uuid.uuid4().hex, "body_encoding": "base64"}
    properties["delivery_info"] = {"exchange": "", "routing_key": "download"}
    for kind, task in (
        ("application/x-python-serialize", queue.task_name("download")),
        ("application/json", "os.system"),
    ):
        headers = {"lang": "py", "task": task, "id": uuid.uuid4().hex}
        message = {"body": body, "content-encoding": "binary", "content-type": kind}
        message |= {"headers": headers, "properties": properties}
        redis.Redis(port=system.redis_port).lpush("download", json.dumps(message))
    run = system.submit()
    eventually(lambda: system.state(run) == "SUCCESS")
    assert system.worker.poll() is None


def test_leases_are_ended_by_whichever_reconciler_sees_them_first(system):
    kill(system.worker)
    run = system.submit()
    assert leases.claim(ledger_url(), run, "download", "ghost", 0.1)
    system.start_worker()
    eventually(lambda: system.state(run) == "SUCCESS", 30)
    assert system.stage(run).attempt == 2
