"""The supervisor, with real processes on free ports."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cli import runfile
from cli.parts import Part
from cli.probes import free_port, http_get, http_probe, port_is_free
from cli.process import Identity, kill_all, members
from cli.supervisor import AlreadyRunning, PartFailed, PortBusy, Supervisor, Timing
from tests.cli.system import FakePlan, failing, server
from tickloom.settings import Settings

FAST = Timing(poll=0.02, probe=0.1, backoff_first=0.05, backoff_last=0.4, healthy=0.5, hang=1.0, start=20.0)
REPOSITORY = Path(__file__).resolve().parents[2]


def supervisor(home: Path, *parts, said: list[str] | None = None, timing: Timing = FAST) -> tuple[Supervisor, FakePlan]:
    plan = FakePlan(list(parts))
    announce = (lambda part, text: said.append(f"{part}: {text}")) if said is not None else (lambda *_: None)
    return Supervisor(Settings(home=home), "sim", announce=announce, timing=timing, plan=plan), plan


def pid_at(port: int) -> int:
    return int(http_get(port, "/healthz")[1] or 0)


def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_work_is_done_with_all_parts_up_and_nothing_is_left_afterwards(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    it, plan = supervisor(tmp_path, server("redis", first, children=2), server("gateway", second, needs=("redis",)))

    def work() -> tuple[int, int, int]:
        return pid_at(first), pid_at(second), len(members(plan.run, []))

    redis, gateway, count = it.run(work)
    assert redis
    assert gateway
    assert count == 4
    assert members(plan.run, []) == []
    assert port_is_free(first)
    assert port_is_free(second)
    assert not (tmp_path / "run.json").exists()
    assert "serving" in (tmp_path / "logs" / "redis.log").read_text()


def test_a_killed_part_comes_back_without_its_old_children_and_the_run_file_knows(tmp_path: Path) -> None:
    port, said = free_port(), []
    it, plan = supervisor(tmp_path, server("services", port, children=2), said=said)

    def work() -> None:
        for restarts in (1, 2):
            before = pid_at(port)
            os.kill(before, signal.SIGKILL)
            until(lambda before=before: pid_at(port) not in (0, before))
            until(lambda restarts=restarts: runfile.read(tmp_path).parts["services"]["restarts"] == restarts)
            until(lambda: len(members(plan.run, [])) == 3)
            until(lambda restarts=restarts: said.count("services: is up again") == restarts)

    it.run(work)
    assert sum("was ended by SIGKILL" in line for line in said) == 2


def test_a_part_that_hangs_is_replaced(tmp_path: Path) -> None:
    port, said = free_port(), []
    it, _ = supervisor(tmp_path, server("gateway", port), said=said)

    def work() -> None:
        before = pid_at(port)
        os.kill(before, signal.SIGSTOP)
        until(lambda: pid_at(port) not in (0, before), 25)

    it.run(work)
    assert any("has not answered" in line for line in said)


def test_the_pauses_between_restarts_double_and_health_forgets_them(tmp_path: Path) -> None:
    port, said = free_port(), []
    timing = Timing(poll=0.01, probe=0.05, backoff_first=1 / 64, backoff_last=1 / 16, healthy=2.0, start=20.0)
    it, _ = supervisor(tmp_path, server("gateway", port), said=said, timing=timing)
    pauses: list[float] = []
    sleep = __import__("asyncio").sleep

    async def recorded(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(seconds)

    def die() -> None:
        before = pid_at(port)
        os.kill(before, signal.SIGKILL)
        until(lambda: pid_at(port) not in (0, before))

    def work() -> None:
        for _ in range(4):
            die()
        time.sleep(2.3)
        die()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cli.supervisor.asyncio.sleep", recorded)
        it.run(work)
    backoffs = [pause for pause in pauses if pause in (1 / 64, 1 / 32, 1 / 16)]
    assert backoffs == [1 / 64, 1 / 32, 1 / 16, 1 / 16, 1 / 64]


def test_a_part_that_never_comes_up_ends_the_start_with_the_end_of_its_log(tmp_path: Path) -> None:
    port = free_port()
    it, plan = supervisor(tmp_path, server("redis", port), failing("gateway", free_port()))
    with pytest.raises(PartFailed, match="no such table: runs") as caught:
        it.run()
    assert "gateway exited with code 1, three times in a row" in str(caught.value)
    assert members(plan.run, []) == []
    assert port_is_free(port)


def test_a_busy_port_is_named_with_its_part_and_variable_before_anything_starts(tmp_path: Path) -> None:
    free, busy = free_port(), free_port()
    listener = subprocess.Popen([sys.executable, "-m", "http.server", str(busy), "--bind", "127.0.0.1"])
    try:
        until(lambda: not port_is_free(busy))
        it, _ = supervisor(tmp_path, server("redis", free), server("gateway", busy))
        with pytest.raises(PortBusy) as caught:
            it.run()
    finally:
        listener.kill()
        listener.wait()
    text = str(caught.value)
    assert f"port {busy} is in use" in text
    assert "the gateway needs it" in text
    assert "TICKLOOM_GATEWAY_PORT" in text
    assert f"pid {listener.pid}" in text
    assert not (tmp_path / "logs").exists(), "something was started"


def test_a_second_start_on_the_same_home_says_that_one_is_running(tmp_path: Path) -> None:
    it, _ = supervisor(tmp_path, server("gateway", free_port()))
    other, _ = supervisor(tmp_path, server("gateway", free_port()))

    def work() -> str:
        with pytest.raises(AlreadyRunning) as caught:
            other.run()
        return str(caught.value)

    assert f"already running (pid {os.getpid()})" in it.run(work)
    assert runfile.running(tmp_path) is None


def test_what_work_raises_comes_out_and_everything_is_stopped(tmp_path: Path) -> None:
    it, plan = supervisor(tmp_path, server("gateway", free_port(), children=1))

    def work() -> None:
        raise ValueError("a failed run")

    with pytest.raises(ValueError, match="a failed run"):
        it.run(work)
    assert members(plan.run, []) == []


SCRIPT = """
import sys, time
from pathlib import Path
from cli.supervisor import Supervisor, Timing
from tests.cli.system import FakePlan, server
from tickloom.settings import Settings
parts = [server("redis", int(sys.argv[2]), children=2), server("gateway", int(sys.argv[3]), needs=("redis",), layer=1)]
announce = lambda part, text: print(part, text, flush=True)
Supervisor(Settings(home=Path(sys.argv[1])), "sim", announce=announce, plan=FakePlan(parts)).run()
"""


def started(home: Path) -> "tuple[subprocess.Popen[str], list[int]]":
    """A supervisor in a process of its own, up; with the ports of its two parts."""
    ports = [free_port(), free_port()]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(home), *map(str, ports)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "supervisor ready\n":
            return process, ports
    raise AssertionError("it did not come up")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    process, ports = started(tmp_path)
    run = runfile.read(tmp_path)
    assert run is not None
    assert run.state == "ready"
    assert run.pid == process.pid
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert time.monotonic() - begun < 10
    assert members(run.run, run.leaders()) == []
    assert all(map(port_is_free, ports))
    assert not (tmp_path / "run.json").exists()
    assert not Path(run.scratch).exists()


def test_what_a_killed_supervisor_leaves_behind_is_swept_by_the_next_start(tmp_path: Path) -> None:
    process, _ = started(tmp_path)
    run = runfile.read(tmp_path)
    assert run is not None
    grandchildren = [child.pid for child in psutil.Process(run.parts["redis"]["pid"]).children()]
    process.kill()
    process.wait()
    if sys.platform == "linux":  # the parts themselves die with the supervisor; what they started does not
        until(lambda: not any(leader.alive() for leader in run.leaders()))
    assert len(grandchildren) == 2
    assert all(map(psutil.pid_exists, grandchildren))
    said: list[str] = []
    it, _ = supervisor(tmp_path, server("gateway", free_port()), said=said)
    it.run(lambda: None)
    assert not any(map(psutil.pid_exists, grandchildren))
    assert not Path(run.scratch).exists()
    assert said[0].startswith("supervisor: ended 2 processes")


def test_a_process_that_merely_has_a_recorded_number_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        recorded = Identity(stranger.pid, Identity.of(stranger.pid).started - 100)
        assert members("no such run", [recorded]) == []
        assert members("no such run", [Identity.of(stranger.pid)]) != []
        part = {"pid": recorded.pid, "started": recorded.started}
        runfile.RunFile("gone", 1, "sim", "", str(tmp_path / "x"), parts={"gateway": part}).write(tmp_path)
        assert runfile.sweep(tmp_path) == 0
        assert stranger.poll() is None
    finally:
        kill_all([psutil.Process(stranger.pid)])
        stranger.wait()


def test_a_damaged_run_file_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"run": ')
    assert runfile.read(tmp_path) is None
    assert runfile.sweep(tmp_path) == 0
    (tmp_path / "run.json").write_text(json.dumps({"run": "x"}))
    assert runfile.read(tmp_path) is None


def test_only_a_scratch_folder_is_ever_removed(tmp_path: Path) -> None:
    kept = tmp_path / "precious"
    kept.mkdir()
    runfile.remove_scratch(kept)
    assert kept.is_dir()
    made = runfile.make_scratch()
    assert len(str(made)) < 40
    assert made.stat().st_mode & 0o077 == 0
    runfile.remove_scratch(made)
    assert not made.exists()


def test_the_work_thread_does_not_outlive_a_dead_gateway(tmp_path: Path) -> None:
    port = free_port()
    it, _ = supervisor(tmp_path, server("gateway", port))
    release = threading.Event()

    def work() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
            assert answer.status == 200
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        release.wait(30)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        it.run(work)
    release.set()
    assert time.monotonic() - begun < 15


def test_work_begins_when_the_parts_that_it_names_answer(tmp_path: Path) -> None:
    first, never = free_port(), free_port()
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    late = Part("ray", lambda: sleeper, http_probe(never))
    it, plan = supervisor(tmp_path, server("gateway", first), late, server("worker", free_port(), needs=("ray",)))
    assert it.run(lambda: pid_at(first), when=("gateway",))
    assert members(plan.run, []) == []


def test_a_part_that_is_not_ready_in_time_is_named(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; print('still thinking', flush=True); time.sleep(600)"]
    late = Part("ray", lambda: sleeper, http_probe(free_port()))
    timing = Timing(poll=0.02, start=2.0)
    it, plan = supervisor(tmp_path, server("gateway", free_port()), late, timing=timing)
    with pytest.raises(PartFailed, match=r"(?s)the ray is not ready after 2 s.*still thinking"):
        it.run()
    assert members(plan.run, []) == []


def test_nobody_waits_for_a_part_that_only_looks_on(tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    flower = Part("flower", lambda: sleeper, http_probe(free_port()), essential=False)
    it, _ = supervisor(tmp_path, server("gateway", free_port()), flower)
    assert it.run(lambda: "done") == "done"
