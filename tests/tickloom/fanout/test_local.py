"""The local pool: its processes, and what they cannot send."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.processes import free_port
from tests.tickloom.fanout import tasks
from tickloom.fanout import NO_RAY, Task, map_unordered
from tickloom.settings import settings

ROOT = Path(__file__).parents[3]


def test_an_error_brings_the_traceback_of_its_process_along(home: Path) -> None:
    with pytest.raises(KeyError) as caught:
        list(map_unordered([Task("fail", tasks.fail, ("x",))]))
    assert "in fail" in "".join(caught.value.__notes__)


def test_an_error_that_cannot_travel_arrives_under_its_name(home: Path) -> None:
    with pytest.raises(RuntimeError, match="NeedsMore: what went wrong"):
        list(map_unordered([Task("fail", tasks.fail_unsendably, ())]))


def test_a_result_or_a_function_that_cannot_travel_is_an_error_and_no_hang(home: Path) -> None:
    with pytest.raises(RuntimeError, match="a result cannot be sent"):
        list(map_unordered([Task("answer", tasks.answer_unsendably, ())]))
    with pytest.raises(Exception, match="lambda"):
        list(map_unordered([Task("lambda", lambda: 1, ())]))
    assert list(map_unordered([Task("square", tasks.square, (3,))])) == [(0, 9)]


def test_a_task_that_exits_is_an_error_and_its_process_goes_on(home: Path) -> None:
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        list(map_unordered([Task("exit", tasks.exit_quietly, ())]))
    assert list(map_unordered([Task("square", tasks.square, (3,))])) == [(0, 9)]


def test_ctrl_c_is_not_for_the_pools_processes(home: Path) -> None:
    assert list(map_unordered([Task("interrupted", tasks.interrupted, ())])) == [(0, repr(signal.SIG_IGN))]


def test_without_a_head_tasks_run_on_the_pool_with_one_warning(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKLOOM_RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    settings.cache_clear()
    warnings: list[str] = []
    begun = time.monotonic()
    where = dict(map_unordered([Task("where", tasks.where, (i,)) for i in range(6)], warn=warnings.append))
    assert set(where.values()) == {"pool"}
    assert warnings == [NO_RAY]
    assert time.monotonic() - begun < 30
    warnings.clear()
    assert list(map_unordered([Task("square", tasks.square, (3,))], small=True, warn=warnings.append)) == [(0, 9)]
    assert warnings == []


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_the_pools_processes_end_with_their_parent_also_in_the_middle_of_a_task(tmp_path: Path, blow: int) -> None:
    code = (
        "from tests.tickloom.fanout import tasks; from tickloom.fanout import *\n"
        f"list(map_unordered([Task('s', tasks.leave_pid_and_sleep, ({str(tmp_path)!r}, str(i))) for i in range(2)]))"
    )
    environment = {"TICKLOOM_RAY_ADDRESS": "off", "PATH": "/usr/bin", "TICKLOOM_CPUS": "2"}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    until = time.monotonic() + 60
    while len(pids := [p.read_text() for p in tmp_path.iterdir()]) < 2 or not all(pids):
        assert time.monotonic() < until
        assert parent.poll() is None
        time.sleep(0.05)
    parent.send_signal(blow)
    assert parent.wait(5) == -blow
    until = time.monotonic() + 3
    while (left := [pid for pid in pids if psutil.pid_exists(int(pid))]) and time.monotonic() < until:
        time.sleep(0.02)
    assert left == []
