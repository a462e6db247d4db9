"""GET /healthz: the process is up. GET /readyz: so is what it needs."""

import socket
from typing import Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Response

from tickloom.contracts.base import Contract
from tickloom.contracts.stages import STAGES
from tickloom.ledger import ledger_url, transaction
from tickloom.settings import settings

router = APIRouter(tags=["health"])


class Health(Contract):
    """The gateway answers."""

    status: Literal["ok"] = "ok"


class Ready(Contract):
    """Which parts answer."""

    ready: bool
    parts: dict[str, bool]


@router.get("/healthz", summary="Is the gateway up")
def healthz() -> Health:
    """Answer that the process is up."""
    return Health()


@router.get("/readyz", summary="Are all parts up", responses={503: {"description": "a part is down", "model": Ready}})
def readyz(response: Response) -> Ready:
    """Look for each part. Work may be submitted while some are down: it is carried out when they are back."""
    broker = urlsplit(settings().broker())
    parts = {"ledger": _ledger(), "broker": _listens(broker.hostname or "127.0.0.1", broker.port or 6379)}
    for stage in STAGES:
        url = urlsplit(settings().service(stage))
        parts[stage] = _listens(url.hostname or "127.0.0.1", url.port or 80)
    if settings().ray_address != "off":
        parts["ray"] = _listens(*settings().ray_endpoint())
    ready = all(parts.values())
    response.status_code = 200 if ready else 503
    return Ready(ready=ready, parts=parts)


def _ledger() -> bool:
    try:
        with transaction(ledger_url(), write=False) as session:
            session.connection().exec_driver_sql("SELECT 1")
    except Exception:
        return False
    return True


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
