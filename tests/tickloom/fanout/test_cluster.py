"""Ray: what it shows, and what happens when its head dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.ray_head import RayHead
from tests.tickloom.fanout import tasks
from tickloom.fanout import NO_RAY, Task, map_unordered

ROOT = Path(__file__).parents[3]
RECONNECT_S = 12
"""How long a driver lives on after its head's death, if it stays connected: 60 by default. Leaving takes Ray five."""


def test_tasks_run_on_ray_without_a_warning(use_ray: RayHead) -> None:
    warnings: list[str] = []
    where = map_unordered([Task("where", tasks.where, (i,)) for i in range(4)], warn=warnings.append)
    assert {place for _, place in where} == {"ray"}
    assert warnings == []


def test_a_task_whose_kept_argument_is_lost_runs_without_it(use_ray: RayHead, tmp_path: Path) -> None:
    import ray

    list(map_unordered([Task("square", tasks.square, (3,))]))
    lost = ray.remote(max_retries=0)(tasks.die_always).remote(
        str(tmp_path)
    )  # what a task kept whose node died looks just so
    [(_, answer)] = map_unordered([Task("use", tasks.use, (7,), given=lost)])
    assert answer == (7, None)


def test_the_dashboard_shows_tasks_under_readable_names(use_ray: RayHead) -> None:
    list(map_unordered([Task("bars BTCUSDT 2022-01-03", tasks.square, (3,))]))
    url, names = f"http://127.0.0.1:{use_ray.dashboard}/api/v0/tasks?limit=10000", set()
    until = time.monotonic() + 30
    while "bars BTCUSDT 2022-01-03" not in names and time.monotonic() < until:
        time.sleep(0.5)
        answer = httpx.get(url, headers={"Authorization": f"Bearer {use_ray.token}"}, timeout=10)
        names = {task["name"] for task in answer.json()["data"]["result"]["result"]}
    assert "bars BTCUSDT 2022-01-03" in names
    assert httpx.get(url).status_code == 401


def test_a_ray_worker_that_is_killed_from_outside_costs_nothing_but_time(use_ray: RayHead, tmp_path: Path) -> None:
    killed = []

    def kill_one() -> None:
        until = time.monotonic() + 20
        while not killed and time.monotonic() < until:
            for process in psutil.process_iter(["name", "cmdline"]):
                if " ".join(process.info["cmdline"] or []).startswith("ray::victim"):
                    process.send_signal(signal.SIGKILL)
                    killed.append(process.pid)
                    return
            time.sleep(0.02)

    threading.Thread(target=kill_one).start()
    todo = [Task(f"victim {i}", tasks.nap, (0.5, i)) for i in range(4)]
    assert sorted(map_unordered(todo)) == [(i, i) for i in range(4)]
    assert killed


FAILING = """
from tests.tickloom.fanout import tasks
from tickloom.errors import MissingPartition
from tickloom.fanout import Task, map_unordered

for n in range(200):
    try:
        list(map_unordered([Task("missing", tasks.missing, ()), Task("square", tasks.square, (n,))]))
    except MissingPartition:
        continue
print("alive")
"""


def test_jobs_that_fail_again_and_again_do_not_bring_the_driver_down(use_ray: RayHead) -> None:
    """Ray aborts a driver that cancels a task in the moment in which it ends (ray-project/ray#54785)."""
    environment = os.environ | use_ray.environment
    driver = subprocess.run(
        [sys.executable, "-c", FAILING], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert driver.returncode == 0, driver.stderr[-2000:]
    assert driver.stdout.endswith("alive\n")


class Driver:
    """driver.py, from outside."""

    def __init__(self, head: RayHead) -> None:
        environment = os.environ | head.environment
        environment |= {"RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_S)}
        command = [sys.executable, "-m", "tests.tickloom.fanout.driver"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
        self.process = subprocess.Popen(command, env=environment, **pipes)

    def ask(self, kind: str, count: int = 4, seconds: float = 0.0) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([kind, count, seconds]) + "\n")
        self.process.stdin.flush()

    def told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the driver ended with {self.process.wait(5)}"
        return json.loads(line)

    def where(self) -> set[str]:
        self.ask("where")
        return {place for _, place in self.told()["results"]}


@pytest.fixture
def driver(use_ray: RayHead) -> Iterator[Driver]:
    driver = Driver(use_ray)
    yield driver
    driver.process.kill()
    driver.process.wait()


def test_a_map_outlives_the_head_and_so_does_its_process_and_the_next_head_is_used(
    use_ray: RayHead, driver: Driver
) -> None:
    assert driver.where() == {"ray"}
    driver.ask("watched", 12, 0.3)
    driver.told()
    use_ray.kill()
    died = time.monotonic()
    try:
        while "results" not in (answer := driver.told()):
            pass
        assert answer["results"] == [[i, i] for i in range(12)]
        assert answer["warnings"] == [NO_RAY]
        assert answer["kept"], "ray.init replaced a signal handler"
        assert time.monotonic() - died < 30
        assert driver.where() == {"pool"}
        time.sleep(max(0.0, RECONNECT_S + 2 - (time.monotonic() - died)))
        assert driver.process.poll() is None
    finally:
        use_ray.start()
    assert driver.where() == {"ray"}
    # This process lost the head too, and finds the new one.
    assert {place for _, place in map_unordered([Task("where", tasks.where, (i,)) for i in range(2)])} == {"ray"}


def test_a_head_that_is_replaced_at_once_is_still_noticed(use_ray: RayHead, driver: Driver) -> None:
    assert driver.where() == {"ray"}
    driver.ask("watched", 8, 0.3)
    driver.told()
    use_ray.kill()
    died = time.monotonic()
    use_ray.start()
    while "results" not in (answer := driver.told()):
        pass
    assert answer["results"] == [[i, i] for i in range(8)]
    assert driver.where() == {"ray"}
    time.sleep(max(0.0, RECONNECT_S + 2 - (time.monotonic() - died)))
    assert driver.where() == {"ray"}
