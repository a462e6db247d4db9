"""Is a part up? Each probe answers yes or no within about two seconds and never raises."""

import contextlib
import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

Probe = Callable[[], bool]
TIMEOUT_S = 2.0


def http_probe(
    port: int, path: str = "/healthz", *, statuses: tuple[int, ...] = (200,), host: str = "127.0.0.1"
) -> Probe:
    """Return a probe that asks for `path` and wants one of `statuses`."""
    return lambda: http_get(port, path, host=host)[0] in statuses


def http_get(port: int, path: str, *, token: str = "", host: str = "127.0.0.1") -> tuple[int, bytes]:
    """Return (status, body) of a GET, or (0, b"") when nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def redis_probe(port: int) -> Probe:
    """Return a probe that sends PING to a Redis-protocol server."""

    def probe() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    return probe


def ray_probe(dashboard_port: int, token_file: Path) -> Probe:
    """Return a probe that asks Ray's dashboard for its nodes: the head takes work once it lists one."""

    def probe() -> bool:
        try:
            token = token_file.read_text().strip()
        except OSError:
            return False
        status, body = http_get(dashboard_port, "/nodes?view=summary", token=token)
        if status != 200:
            return False
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return bool(json.loads(body)["data"]["summary"])
        return False

    return probe


def worker_probe(broker_url: str, name: str) -> Probe:
    """Return a probe that pings the Celery worker called `name` through its broker."""
    made: list[Any] = []

    def probe() -> bool:
        try:
            if not made:
                from celery import Celery

                app = Celery("probe", broker=broker_url)
                app.conf.update(
                    broker_transport_options={"socket_connect_timeout": TIMEOUT_S, "socket_timeout": TIMEOUT_S},
                    broker_connection_timeout=TIMEOUT_S,
                    broker_connection_max_retries=1,
                    accept_content=["json"],
                )
                made.append(app)
            return bool(made[0].control.ping(destination=[name], timeout=1.0, limit=1))
        except Exception:  # kombu raises whatever its transport raises; each means that the worker cannot be reached
            made.clear()
            return False

    return probe


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether a server could listen on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_owner(port: int) -> str:
    """Return who listens on the port, as ` by uvicorn (pid 12)`, or an empty text when that cannot be seen."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
