"""The simulator as a process: real sockets, bodies that never end well, the access log, a busy port."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.exchange_sim.conftest import REPOSITORY, SMALL
from tests.exchange_sim.reading import url

WHERE = ("spot", "daily", "trades", "BTCUSDT", "2024-03-05")


def start(*arguments: str, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "exchange_sim", "--cache", str(cache), *arguments]
    environment = os.environ | {"TZ": "Asia/Kolkata"}
    return subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, env=environment)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_up(base: str, process: subprocess.Popen[str]) -> None:
    for _ in range(300):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        try:
            if httpx.get(f"{base}/healthz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the simulator did not come up in 30 s")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    port = free_port()
    mounted = tmp_path_factory.mktemp("mounted")
    process = start("--port", str(port), "--mount", f"real={mounted}", cache=tmp_path_factory.mktemp("cache"))
    base = f"http://127.0.0.1:{port}"
    wait_until_up(base, process)
    yield base, process
    process.kill()
    process.wait()


@pytest.fixture
def base(running) -> str:
    return running[0]


def broken(base: str, fault: str) -> str:
    return base + url(*WHERE, dataset=f"{SMALL},fault={fault}")


def read_until_it_breaks(address: str, timeout: float, **headers: str) -> tuple[bytes, int, type[Exception] | None]:
    """Return what came, what was promised, and how it ended."""
    got, promised = b"", 0
    try:
        with httpx.stream("GET", address, timeout=timeout, headers=headers) as answer:
            promised = int(answer.headers["content-length"])
            for chunk in answer.iter_raw():
                got += chunk
    except httpx.TransportError as error:
        return got, promised, type(error)
    return got, promised, None


@pytest.mark.parametrize(("fault", "error"), [("stall", httpx.ReadTimeout), ("cut_off", httpx.RemoteProtocolError)])
def test_half_a_body_comes_and_a_range_brings_the_rest(base, fault, error):
    whole = httpx.get(base + url(*WHERE)).content
    got, promised, ended = read_until_it_breaks(broken(base, fault), 1.0)
    assert ended is error
    assert promised == len(whole)
    assert got == whole[: len(whole) // 2]
    rest = httpx.get(broken(base, fault), headers={"Range": f"bytes={len(got)}-"})
    assert rest.status_code == 206
    assert got + rest.content == whole
    assert read_until_it_breaks(broken(base, fault), 1.0, Range="bytes=0-")[2] is error


def test_a_slow_body_comes_byte_by_byte(base):
    began, got = time.monotonic(), b""
    with httpx.stream("GET", broken(base, "slow"), timeout=5) as answer:
        for chunk in answer.iter_raw():
            got += chunk
            if len(got) == 2:
                break
    assert got == httpx.get(base + url(*WHERE)).content[:2]
    assert time.monotonic() - began > 0.8


def test_the_archive_arrives_over_a_real_socket_as_its_checksum_says(base):
    body = httpx.get(base + url(*WHERE)).content
    assert httpx.get(base + url(*WHERE) + ".CHECKSUM").text.startswith(hashlib.sha256(body).hexdigest())
    assert httpx.get(f"{base}/datasets/real/api/v3/exchangeInfo").json()["symbols"] == []


def test_a_busy_port_is_named(base, tmp_path):
    port = base.rpartition(":")[2]
    process = start("--port", port, cache=tmp_path)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in complaint
    assert "in use" in complaint


def test_a_folder_that_is_not_there_is_named(tmp_path):
    process = start("--mount", f"real={tmp_path / 'nowhere'}", cache=tmp_path)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "nowhere is not a folder" in complaint


@pytest.mark.parametrize("quiet", [True, False])
def test_each_request_is_one_line_of_json_unless_quiet(tmp_path, quiet):
    port = free_port()
    process = start("--port", str(port), *(["--quiet"] if quiet else []), cache=tmp_path)
    wait_until_up(f"http://127.0.0.1:{port}", process)
    httpx.get(f"http://127.0.0.1:{port}/api/v3/exchangeInfo?symbol=NOPE")
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    lines = [json.loads(line) for line in log.splitlines()]
    if quiet:
        assert lines == []
        return
    (line,) = [line for line in lines if "exchangeInfo" in line["path"]]
    assert (line["method"], line["status"], line["query"]) == ("GET", 400, "symbol=NOPE")
    assert line["bytes"] > 0
    assert line["complete"] is True


def test_a_simulator_with_a_stalled_client_still_stops(tmp_path):
    port = free_port()
    process = start("--port", str(port), "--quiet", cache=tmp_path)
    wait_until_up(f"http://127.0.0.1:{port}", process)
    with httpx.stream("GET", broken(f"http://127.0.0.1:{port}", "stall"), timeout=5) as answer:
        next(answer.iter_raw())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) is not None
    process.communicate()
