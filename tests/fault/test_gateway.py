"""What clients may do to the gateway while parts die: repeat, submit at once, cancel at any moment."""

import contextlib
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from tests.fault.oracle import BOUND_S, SMALL, Reference, active, request
from tests.fault.proxy import reply_cutter
from tests.fault.system import System
from tickloom.errors import RemoteProblem
from tickloom.ledger import runs, transaction
from tickloom.ledger.models import Artifact
from tickloom.ledger.models import Run as RunRow

SEED = int(os.environ.get("FAULT_SEED", "7"))


def count_runs(system: System) -> int:
    with transaction(system.ledger, write=False) as session:
        return session.scalar(select(func.count()).select_from(RunRow)) or 0


def download(mark: int) -> dict[str, Any]:
    """A small pipeline that nobody has asked for yet."""
    return {"name": "cut", "download": request(days=1, trades_per_day=500, mark=mark)["download"]}


def kill_when_recorded(system: System, before: int) -> None:
    """Kill the gateway as soon as the ledger holds one run more than `before`: the reply is on its way at best."""
    end = time.monotonic() + 30
    while count_runs(system) == before and time.monotonic() < end:
        time.sleep(0.001)
    system.kill_part("gateway")


def submit_through_a_dying_gateway(system: System, mark: int, *, at_request: bool) -> None:
    """Submit; the gateway is killed after the commit, the reply is lost; the client repeats and gets the one run."""
    before = count_runs(system)
    with reply_cutter(system.ports["GATEWAY"]) as proxy:
        proxy.arm(lambda: kill_when_recorded(system, before), at_request=at_request)
        with system.client(proxy.url) as client:
            run = client.pipeline(download(mark))
        assert proxy.cuts == 1, "no reply was cut"
    assert not run.created, "the first reply got through"
    assert count_runs(system) == before + 1
    assert system.client().run(run.id).wait(BOUND_S)["state"] == "SUCCESS"
    system.wait_all_up()


@pytest.mark.parametrize("moment", ["once_recorded", "at_its_reply"])
def test_F11_a_gateway_killed_between_commit_and_reply_has_accepted_once(system: System, moment: str) -> None:
    at_request = moment == "once_recorded"
    submit_through_a_dying_gateway(system, 1000 + at_request, at_request=at_request)


@pytest.mark.chaos
@pytest.mark.parametrize("number", range(10))
def test_F11_chaos_a_gateway_killed_between_commit_and_reply_has_accepted_once(system: System, number: int) -> None:
    submit_through_a_dying_gateway(system, 1100 + number, at_request=bool(number % 2))


def test_F11_the_key_leads_to_its_run_even_where_an_equal_request_would_be_a_new_one(system: System) -> None:
    before = count_runs(system)
    headers, url = {"Idempotency-Key": "a-client's-own"}, f"http://127.0.0.1:{system.ports['GATEWAY']}/submit_pipeline"
    with reply_cutter(system.ports["GATEWAY"]) as proxy:
        proxy.arm(lambda: kill_when_recorded(system, before), at_request=True)
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{proxy.url}/submit_pipeline", json=download(1200), headers=headers, timeout=60)
    [(accepted, _)] = runs.listing(system.ledger, state=None, kind=None, limit=1, before=None)
    if accepted.state in ("PENDING", "STARTED", "RETRY"):
        runs.cancel(system.ledger, accepted.id)  # from now on an equal request is a new run, but not under the key
    else:
        runs.forget_artifacts(system.ledger, [accepted.artifact_id])
    system.wait_all_up()
    again = httpx.post(url, json=download(1200), headers=headers, timeout=60).json()
    assert (again["task_id"], again["created"]) == (accepted.id, False)
    other = httpx.post(url, json=download(1200), timeout=60).json()
    assert other["created"]
    assert other["task_id"] != accepted.id
    changed = httpx.post(url, json=download(1201), headers=headers, timeout=60)
    assert changed.status_code == 409
    system.client().run(other["task_id"]).wait(BOUND_S)


def test_F19_a_hundred_equal_submissions_at_once_are_one_computation(system: System) -> None:
    before, body = count_runs(system), request(days=2, trades_per_day=2000, mark=1300)
    start = threading.Barrier(10)

    def submit(thread: int) -> list[dict[str, Any]]:
        answers = []
        with httpx.Client(base_url=f"http://127.0.0.1:{system.ports['GATEWAY']}", timeout=60) as client:
            start.wait()
            for number in range(10):
                headers = {"Idempotency-Key": f"{thread}.{number}"} if number % 2 else {}
                answer = client.post("/submit_pipeline", json=body, headers=headers)
                assert answer.status_code == 202, answer.text
                answers.append(answer.json())
        return answers

    with ThreadPoolExecutor(10) as pool:
        answers = [answer for found in pool.map(submit, range(10)) for answer in found]
    assert len(answers) == 100
    assert len({answer["task_id"] for answer in answers}) == 1
    assert sum(answer["created"] for answer in answers) == 1
    assert count_runs(system) == before + 1
    status = system.client().run(answers[0]["task_id"]).wait(BOUND_S)
    assert [stage["attempt"] for stage in status["stages"]] == [1] * 6
    later = system.client().pipeline(body)
    assert (later.id, later.created) == (answers[0]["task_id"], False)


@pytest.mark.parametrize("n_cancels", [10, pytest.param(40, marks=pytest.mark.chaos)])
def test_F22_a_run_that_is_cancelled_at_any_moment_publishes_nothing_afterwards(
    small_reference: Reference, system: System, n_cancels: int
) -> None:
    chance, client = random.Random(SEED), system.client()
    ended = {}
    for mark in range(1, n_cancels + 1):
        run = client.pipeline(request(**SMALL, mark=1400 + mark))
        stage, seconds = small_reference.moment(chance.random())
        system.wait_begun(run.id, stage)
        time.sleep(seconds)
        with contextlib.suppress(RemoteProblem):  # it had just ended
            assert run.cancel()["state"] == "REVOKED"
        ended[run.id] = runs.read(system.ledger, run.id)[0]
    assert {row.state for row in ended.values()} <= {"REVOKED", "SUCCESS"}
    assert sum(row.state == "REVOKED" for row in ended.values()) > n_cancels / 2, "too late to show anything"
    last = client.pipeline(request(**SMALL, mark=1499)).wait(BOUND_S)  # all is well; and time for a late publication
    assert {stage["attempt"] for stage in last["stages"]} == {1}
    for before in ended.values():
        run_now, stages = runs.read(system.ledger, before.id)
        assert (run_now.state, run_now.finished) == (before.state, before.finished)
        assert {stage.state for stage in stages} <= {"SUCCESS", before.state}
        assert before.finished is not None
        with transaction(system.ledger, write=False) as session:
            made = select(Artifact.stage).where(
                Artifact.id.in_([stage.artifact_id for stage in stages]), Artifact.created > before.finished
            )
            assert session.scalars(made).all() == [] or before.state == "SUCCESS"
    assert active(system) == 0
