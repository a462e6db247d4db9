"""What the embedded default starts, and how it is shut to others."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis

from cli import runfile
from cli.parts import Plan, make_plan
from cli.probes import free_port
from cli.process import MARK, session_members
from cli.supervisor import Supervisor
from tests.conftest import REPOSITORY
from tickloom.settings import Settings


def config(home: Path, **changes: object) -> Settings:
    ports = {name: free_port() for name in Settings.model_fields if name.endswith("_port")}
    return Settings.model_validate({"home": home, **ports, **changes})


def plan(home: Path, venue: str = "sim", **changes: object) -> Plan:
    return make_plan(config(home, **changes), venue, home / "scratch", "f" * 32)


def names(made: Plan) -> list[str]:
    return [part.name for part in made.parts]


def test_the_parts_are_those_that_the_settings_do_not_name_elsewhere(tmp_path: Path) -> None:
    every = ["redis", "ray", "sim", "services", "gateway", "worker", "flower"]
    assert names(plan(tmp_path)) == every
    assert "sim" not in names(plan(tmp_path, "binance"))
    assert "redis" not in names(plan(tmp_path, broker_url="redis://elsewhere:6379/0"))
    assert "ray" not in names(plan(tmp_path, ray_address="off"))
    assert "ray" not in names(plan(tmp_path, ray_address="elsewhere:6380"))
    without = plan(tmp_path, "binance", broker_url="redis://elsewhere:6379/0", ray_address="off")
    assert all(need in names(without) for part in without.parts for need in part.needs)


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = plan(tmp_path)
    for name in ("ray_token", "redis_password", "service_token"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert len((tmp_path / name).read_text()) == 64
    token = (tmp_path / "ray_token").read_text()
    assert plan(tmp_path).environment["RAY_AUTH_TOKEN_PATH"] == first.environment["RAY_AUTH_TOKEN_PATH"]
    assert (tmp_path / "ray_token").read_text() == token
    assert first.environment["RAY_AUTH_MODE"] == "token"
    assert first.environment[MARK] == "f" * 32


def test_no_secret_is_on_a_command_line_where_every_user_could_read_it(tmp_path: Path) -> None:
    made = plan(tmp_path, api_token="a-secret-of-the-operator")
    words = " ".join(word for part in made.parts for word in part.command())
    secrets = [(tmp_path / name).read_text() for name in ("ray_token", "redis_password", "service_token")]
    assert not any(secret in words for secret in [*secrets, "a-secret-of-the-operator"])


def test_docs_ports_lists_every_port_with_its_variable(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "ports.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\w+) \| `(\w+)` \|", text, re.MULTILINE)
    made = make_plan(Settings(home=tmp_path), "sim", tmp_path, "f" * 32)
    started = [(str(port.number), part.name, port.variable) for part in made.parts for port in part.ports]
    assert sorted(rows) == sorted(started)
    assert {variable for *_, variable in rows} == {
        f"TICKLOOM_{name.upper()}" for name in Settings.model_fields if name.endswith("_port")
    }


def test_docs_running_names_settings_and_parts_that_exist(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "running.md").read_text()
    known = {f"TICKLOOM_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"`(TICKLOOM_\w+)`", text)) <= known
    assert all(f"| {name} |" in text for name in names(plan(tmp_path)))


def only(*wanted: str):
    """A plan maker that keeps some parts of the real plan."""

    def make(settings: Settings, venue: str, scratch: Path, run: str) -> Plan:
        made = make_plan(settings, venue, scratch, run)
        parts = tuple(replace(part, needs=()) for part in made.parts if part.name in wanted)
        return Plan(run, parts, made.environment)

    return make


def test_the_embedded_redis_refuses_rather_than_forgets_and_keeps_its_data(tmp_path: Path) -> None:
    home = tmp_path / 'a "quoted" home'
    home.mkdir()
    settings = config(home)

    def work() -> None:
        client = redis.Redis.from_url(settings.broker())
        assert client.info("memory")["maxmemory_policy"] == "noeviction"
        assert client.info("persistence")["aof_enabled"] == 1
        client.set("kept", "yes")
        os.kill(runfile.read(home).parts["redis"]["pid"], signal.SIGKILL)

    Supervisor(settings, plan=only("redis")).run(work)
    again = Supervisor(settings, plan=only("redis"))
    assert again.run(lambda: redis.Redis.from_url(settings.broker()).get("kept")) == b"yes"


def test_the_embedded_redis_wants_a_password_and_forbids_what_no_part_needs(tmp_path: Path) -> None:
    settings = config(tmp_path)

    def work() -> None:
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=settings.redis_port).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=settings.redis_port, password="0" * 64).ping()
        client = redis.Redis.from_url(settings.broker())
        assert client.ping()
        for words in (["CONFIG", "GET", "*"], ["FLUSHALL"], ["KEYS", "*"], ["SHUTDOWN"], ["ACL", "LIST"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words)

    Supervisor(settings, plan=only("redis")).run(work)
    assert (tmp_path / "redis" / "redis.conf").stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module")
def ray_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, str]]:
    """A real Ray head under a supervisor of its own."""
    home = tmp_path_factory.mktemp("ray")
    settings = config(home, cpus=1)
    script = """
import json, sys
from pathlib import Path
from cli.supervisor import Supervisor
from tests.cli.test_parts import only
from tickloom.settings import Settings
settings = Settings.model_validate_json(sys.argv[1])
Supervisor(settings, announce=lambda *words: print(*words, flush=True), plan=only("ray")).run()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, settings.model_dump_json()], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "supervisor ready\n":
            break
    yield settings, (home / "ray_token").read_text()
    session = runfile.read(home).parts["ray"]["pid"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert session_members(session) == []


def ask(port: int, path: str, token: str = "", body: bytes | None = None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_rays_jobs_api_wants_the_token(ray_head: tuple[Settings, str]) -> None:
    settings, token = ray_head
    job = json.dumps({"entrypoint": "touch /tmp/owned"}).encode()
    assert ask(settings.ray_dashboard_port, "/api/jobs/", body=job) == 401
    assert ask(settings.ray_dashboard_port, "/api/jobs/", "0" * 64, job) in (401, 403)
    assert ask(settings.ray_dashboard_port, "/api/version") == 401
    assert ask(settings.ray_dashboard_port, "/api/version", token) == 200


def test_a_driver_without_the_token_gets_nothing_done(ray_head: tuple[Settings, str]) -> None:
    settings, _token = ray_head
    code = f"""
import ray
ray.init('127.0.0.1:{settings.ray_port}', log_to_driver=False)
print(ray.cluster_resources()['CPU'])
"""
    path = settings.home / "ray_token"

    def driver(token_path: Path) -> subprocess.CompletedProcess[str]:
        # Ray asks a head that refuses it 20 times, a second apart; the driver with the token shows that twice will do.
        environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_path)}
        environment |= {"RAY_NUM_REDIS_GET_RETRIES": "2"}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert driver(path).stdout == "1.0\n"
    wrong = settings.home / "wrong_token"
    wrong.write_text("0" * 64)
    refused = driver(wrong)
    assert refused.returncode != 0
    assert refused.stdout == ""


def test_the_dashboard_is_on_loopback_alone(ray_head: tuple[Settings, str]) -> None:
    settings, _ = ray_head
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == settings.ray_dashboard_port
    }
    assert listening == {"127.0.0.1"}
