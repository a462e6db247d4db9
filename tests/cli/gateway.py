"""A gateway that does what it is told, on a real port, in the words of the real one's models."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from api_gateway.models import Accepted, Estimate, TaskList, TaskStatus
from cli.probes import free_port, http_get
from tickloom.contracts.stages import STAGES
from tickloom.errors import InvalidRequest, UnknownArtifact, UnknownFile, UnknownTask
from tickloom.http import create_app

TASK = "0f" * 16
ARTIFACTS = {stage: f"{i:x}" * 64 for i, stage in enumerate(STAGES, 1)}


def status(state: str = "SUCCESS", *, at: str = "viz", error: dict[str, Any] | None = None) -> dict[str, Any]:
    """A pipeline's status: the stages before `at` are done, `at` is in `state`."""
    position = STAGES.index(at)
    stages = []
    for i, stage in enumerate(STAGES):
        its = "SUCCESS" if i < position else state if i == position else "PENDING"
        stages.append(
            {
                "stage": stage, "state": its, "progress": 1.0 if its == "SUCCESS" else 0.5 if its == "STARTED" else 0.0,
                "done": 1, "total": 2, "rows": 1000, "rows_per_s": 1234567.0 if its == "STARTED" else None,
                "seconds_left": 75.0 if its == "STARTED" else None, "trials": None, "best": None,
                "message": "BTCUSDT [2022-01-03]", "warnings": [], "attempt": 1, "cached": False,
                "artifact_id": ARTIFACTS[stage], "stale": None, "error": error if i == position else None,
                "started": "2026-01-01T00:00:00Z", "finished": None,
            }
        )  # fmt: skip
    body = {
        "task_id": TASK, "kind": "pipeline", "name": "demo", "state": state, "stage": at, "progress": position / 6,
        "rows": 1000, "rows_per_s": None, "seconds_left": None, "trials": None, "best": None,
        "message": "", "warnings": ["one file had a gap"],
        "artifact_id": ARTIFACTS["viz"], "stale": None, "error": error, "created": "2026-01-01T00:00:00Z",
        "finished": None, "stages": stages,
    }  # fmt: skip
    return TaskStatus.model_validate(body).model_dump(mode="json")


@dataclass
class FakeGateway:
    """What it answers, and what it was asked."""

    statuses: list[dict[str, Any]] = field(default_factory=lambda: [status()])
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    stale: dict[str, Any] | None = None
    busy: int = 0
    parts: dict[str, bool] = field(default_factory=lambda: {"ledger": True, "broker": True})
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def submissions(self) -> list[tuple[str, str, dict[str, str], bytes]]:
        return [request for request in self.requests if request[0] == "POST"]


def _app(fake: FakeGateway) -> FastAPI:
    app = create_app("fake gateway")

    @app.middleware("http")
    async def record(request: Request, call_next: Any) -> Response:
        body = await request.body()
        if request.url.path != "/healthz":
            path = f"{request.url.path}?{request.url.query}".rstrip("?")
            fake.requests.append((request.method, path, dict(request.headers), body))
            if fake.busy:
                fake.busy -= 1
                return JSONResponse({"title": "busy", "status": 503, "detail": "too busy"}, 503)
        return await call_next(request)

    @app.get("/readyz")
    def readyz() -> JSONResponse:
        ready = all(fake.parts.values())
        return JSONResponse({"ready": ready, "parts": fake.parts}, 200 if ready else 503)

    @app.get("/status/{task_id}")
    def read_status(task_id: str) -> dict[str, Any]:
        if task_id != TASK:
            raise UnknownTask(task_id)
        return fake.statuses.pop(0) if len(fake.statuses) > 1 else fake.statuses[0]

    @app.delete("/tasks/{task_id}")
    def cancel(task_id: str) -> dict[str, Any]:
        if task_id != TASK:
            raise UnknownTask(task_id)
        return status("REVOKED", at="bars")

    @app.get("/tasks")
    def tasks(limit: int = 50, cursor: int = 0) -> dict[str, Any]:
        limit = min(limit, 3)  # pages may be smaller than asked for
        end = cursor + limit
        page = {"tasks": fake.tasks[cursor:end], "next": str(end) if end < len(fake.tasks) else None}
        return TaskList.model_validate(page).model_dump(mode="json")

    _artifacts(app, fake)

    @app.post("/artifacts/{artifact_id}/recheck", status_code=202)
    def recheck(artifact_id: str) -> dict[str, Any]:
        if artifact_id not in fake.files:
            raise UnknownArtifact(artifact_id)
        return _accepted()

    @app.post("/recheck", status_code=202)
    def recheck_all() -> dict[str, Any]:
        return {"tasks": [_accepted()]}

    @app.post("/submit_{kind}", status_code=202)
    async def submit(kind: str, request: Request, dry_run: bool = False) -> dict[str, Any]:
        if b"nonsense" in await request.body():
            raise InvalidRequest("spec", "nonsense")
        return _estimate() if dry_run else _accepted()

    return app


def _estimate() -> dict[str, Any]:
    costs = {
        "rows": {"low": 0, "expected": 2160, "high": 2160}, "trials": 64,
        "memory_bytes": {"low": 10**7, "expected": 4 * 10**7, "high": 16 * 10**7},
        "seconds": {"low": 0.25, "expected": 1.0, "high": 4.0}, "how": "by the [calendar]",
    }  # fmt: skip
    unknown = {"rows": None, "trials": None, "memory_bytes": None, "seconds": None, "how": "not known before"}
    stages = [{"stage": "bars", "cached": False} | unknown, {"stage": "backtest", "cached": False} | costs]
    body = {
        "artifact_id": ARTIFACTS["viz"],
        "unknown": ["bars"],
        "stages": [*stages, {"stage": "viz", "cached": True} | costs],
    }
    return Estimate.model_validate(body | costs).model_dump(mode="json")


def _accepted() -> dict[str, Any]:
    answer = Accepted(
        task_id=TASK, state="PENDING", artifact_id=ARTIFACTS["viz"], created=True, status_url=f"/status/{TASK}"
    )
    return answer.model_dump(mode="json")


def _artifacts(app: FastAPI, fake: FakeGateway) -> None:
    @app.get("/artifacts/{artifact_id}")
    def artifact(artifact_id: str) -> dict[str, Any]:
        if artifact_id not in fake.files:
            raise UnknownArtifact(artifact_id)
        entries = [
            {"name": name, "bytes": len(data), "sha256": "0" * 64, "rows": 1 if name.endswith(".parquet") else None}
            for name, data in fake.files[artifact_id].items()
        ]
        manifest = {"id": artifact_id, "stage": "viz", "request": {"title": "[x]"}, "files": entries}
        manifest["facts"] = {"archives": 12, "changed": ["/a.zip"]}
        steps = [
            {"id": ARTIFACTS[stage], "stage": stage, "request": {}, "files": 2, "rows": 10, "bytes": 2000}
            for stage in ("bars", "download")
        ]
        return {"manifest": manifest, "stale": fake.stale, "lineage": steps}

    @app.get("/artifacts/{artifact_id}/files/{name:path}")
    def file(artifact_id: str, name: str) -> Response:
        if name not in fake.files.get(artifact_id, {}):
            raise UnknownFile(artifact_id, name)
        return Response(fake.files[artifact_id][name])


@contextmanager
def serving(fake: FakeGateway, port: int = 0) -> Iterator[FakeGateway]:
    """Serve `fake` on a port of this machine while the block runs."""
    port = port or free_port()
    server = uvicorn.Server(uvicorn.Config(_app(fake), host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 20
    while http_get(port, "/healthz")[0] != 200:
        assert time.monotonic() < end, "the fake gateway does not start"
        time.sleep(0.02)
    try:
        yield fake
    finally:
        server.should_exit = True
        thread.join(10)


def as_json(text: str) -> Any:
    """Read what a command printed with --json."""
    return json.loads(text)
