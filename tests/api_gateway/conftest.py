"""A gateway over a fresh ledger and lake, without a broker: what it accepts waits in the outbox."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.processes import free_port
from tickloom import queue
from tickloom.settings import settings


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    imports = tmp_path / "imports"
    imports.mkdir()
    for name, value in {
        "HOME": tmp_path,
        "IMPORT_DIR": imports,
        "RAY_ADDRESS": "off",
        "REDIS_PORT": free_port(),
        "SIM_PORT": free_port(),
        "VENUE": "sim",
    }.items():
        monkeypatch.setenv(f"TICKLOOM_{name}", str(value))
    settings.cache_clear()
    queue.celery_app.cache_clear()
    from api_gateway.app import create_gateway

    with TestClient(create_gateway(), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client
    settings.cache_clear()
    queue.celery_app.cache_clear()
