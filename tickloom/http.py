"""What every HTTP face of ours has in common: health, a body limit, errors as problems, and the stream
in which a stage tells how far it is.

A stage is called with `POST /v1/<stage>` and a StageCall. The answer is a line of JSON per event (events.py). A client
that goes away cancels the stage; partitions that were committed stay.
"""

import asyncio
import contextlib
import hmac
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tickloom import __version__
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import Alive, BestTrial, Failed, Finished, Progress, StageCall, Trials
from tickloom.errors import BadRequest, Problem, StageCancelled, TickloomError
from tickloom.settings import settings
from tickloom.telemetry import configure_logging

log = structlog.get_logger()
MAX_BODY = 1 << 20
PROBLEM = "application/problem+json"
ALIVE_S = 1.0


class BodyTooLarge(BadRequest):
    """The request's body is larger than 1 MiB."""

    status = 413
    next_step = "send less: a request describes work, data goes through the lake"

    def __str__(self) -> str:
        return f"a body may have {MAX_BODY:,} bytes at most"


class Unauthorised(TickloomError):
    """The call carries no valid token."""

    status = 401
    next_step = "send the header Authorization: Bearer <token>"

    def __str__(self) -> str:
        return "a valid bearer token is needed"


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as an HTTP answer."""
    return JSONResponse(problem, status_code=int(problem["status"]), media_type=PROBLEM, headers=headers)


def problems(*errors: type[TickloomError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the errors that a route may answer with."""
    return {
        error.status: {"description": (error.__doc__ or "").splitlines()[0], "content": {PROBLEM: {}}}
        for error in errors
    }


class LimitBody:
    """Refuse bodies over MAX_BODY: before they are read where a length is declared, as soon as they are too long else.

    A smaller body is read whole before the app is called, so that what it raises never meets half of one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        messages = None if not declared.isdigit() or int(declared) > MAX_BODY else await _whole_body(receive)
        if messages is None:
            await problem_response(BodyTooLarge().problem(), {"connection": "close"})(scope, receive, send)
            return

        async def replayed() -> Message:
            return messages.popleft() if messages else await receive()

        await self.app(scope, replayed, send)


async def _whole_body(receive: Receive) -> deque[Message] | None:
    """Return the messages of a request up to the end of its body, or None when it is too long."""
    messages, size = deque[Message](), 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return messages


def install_errors(app: FastAPI) -> None:
    """Answer every error as a problem: ours by name, validation as 422, the unforeseen as 500 without details."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TickloomError)
        headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
        return problem_response(error.problem(), headers)

    async def validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return problem_response(validation_problem(error.errors()))

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        step = "GET /docs lists every call" if error.status_code in (404, 405) else BadRequest.next_step
        title = str(error.detail)
        body = {"type": "about:blank", "title": title, "status": error.status_code, "detail": title, "next": step}
        return problem_response({**body, "retryable": False}, dict(error.headers or {}))

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("unforeseen error", path=request.url.path, exc_info=error)
        return problem_response(unforeseen_problem())

    app.add_exception_handler(TickloomError, ours)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unforeseen)


def validation_problem(errors: Any) -> Problem:
    """Return one problem for all that pydantic found wrong with a request: each field with its reason."""
    rows = []
    for error in errors:
        where = [str(part)[:100] for part in error["loc"] if part != "body"]
        rows.append({"field": ".".join(where) or "body", "reason": str(error["msg"]).removeprefix("Value error, ")})
    rows = rows[:20]
    text = "; ".join(f"{row['field']}: {row['reason']}" for row in rows)
    # Text that cannot be UTF-8 (a lone surrogate sent by the client) is answered escaped.
    text = text.encode("utf-8", "backslashreplace").decode()
    problem = BadRequest().problem() | {"type": "urn:tickloom:problem:invalid-request", "detail": text}
    clean = [{k: v.encode("utf-8", "backslashreplace").decode() for k, v in row.items()} for row in rows]
    return problem | {"title": "A field of the request is missing or has a value it cannot have.", "errors": clean}


def unforeseen_problem() -> Problem:
    """Return what a caller is told of an error that has no name: nothing that could leak."""
    return TickloomError().problem() | {
        "title": "Something unforeseen happened.",
        "detail": "an error without a name; the log of the part that answered has it whole",
    }


class Job(Protocol):
    """What a stage does: plan, fan out, commit. Runs in a thread."""

    def run(self, call: StageCall, report: "Report") -> Manifest:
        """Make the artifact and return its manifest. Raises TickloomError; StageCancelled when told to stop."""


class Pace:
    """How fast work goes on: by what was done since it was first looked at, so that what an earlier attempt left
    behind does not count as speed."""

    def __init__(self) -> None:
        self._unit, self._since, self._before = "", 0.0, 0

    def left(self, unit: str, done: int, total: int) -> float | None:
        """Return the seconds left, or None while nothing was done since the first look."""
        now = time.monotonic()
        if unit != self._unit:
            self._unit, self._since, self._before = unit, now, done
        if done <= self._before or total < done:
            return None
        return round((total - done) * (now - self._since) / (done - self._before), 1)


class Report:
    """How a running job speaks and listens: `progress(...)` tells, `cancelled` is set when nobody wants it any more."""

    def __init__(self, send: Callable[[Progress], None] | None = None) -> None:
        self.cancelled = threading.Event()
        self._send = send or (lambda _: None)
        self._warnings: list[str] = []
        self._pace = Pace()

    def progress(
        self,
        done: int,
        total: int,
        rows: int = 0,
        message: str = "",
        trials: Trials | None = None,
        best: BestTrial | None = None,
    ) -> None:
        """Tell how far the job is; `trials` and `best` of a search. Raises StageCancelled when it should stop.

        The time left goes by the trials while there are trials left, and by the partitions otherwise.
        """
        self.check()
        searching = trials is not None and trials.done < trials.total
        left = self._pace.left("trials", trials.done, trials.total) if trials and searching else None
        if trials is None:
            left = self._pace.left("partitions", done, total)
        event = Progress(
            done=done, total=total, rows=rows, message=message, seconds_left=left, trials=trials, best=best,
            warnings=tuple(self._warnings),
        )  # fmt: skip
        self._send(event)

    def warn(self, text: str) -> None:
        """Add a warning that the task's status will show."""
        if text not in self._warnings:
            self._warnings.append(text)

    def check(self) -> None:
        """Raise StageCancelled when the job should stop."""
        if self.cancelled.is_set():
            raise StageCancelled()


def stage_router(stage: str, job: Job) -> APIRouter:
    """Return the routes of one stage."""
    router = APIRouter(tags=[stage], dependencies=[Depends(_check_token)])

    @router.post(f"/v1/{stage}", response_class=StreamingResponse, responses=problems(Unauthorised, BodyTooLarge))
    async def run(call: StageCall) -> StreamingResponse:
        """Run the stage; the answer is one JSON event a line, the last one `finished` or `failed`."""
        return StreamingResponse(_stream(stage, job, call), media_type="application/x-ndjson")

    return router


async def _stream(stage: str, job: Job, call: StageCall) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Progress | Finished | Failed] = asyncio.Queue()

    def send(event: Progress | Finished | Failed) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody listens
            loop.call_soon_threadsafe(events.put_nowait, event)

    report = Report(send)
    thread = threading.Thread(target=lambda: send(_outcome(stage, job, call, report)), name=stage, daemon=True)
    thread.start()
    try:
        while True:
            try:
                event = await asyncio.wait_for(events.get(), ALIVE_S)
            except TimeoutError:
                yield Alive().model_dump_json().encode() + b"\n"
                continue
            yield event.model_dump_json().encode() + b"\n"
            if not isinstance(event, Progress):
                return
    finally:
        report.cancelled.set()  # finished, or the caller went away


def _outcome(stage: str, job: Job, call: StageCall, report: Report) -> Finished | Failed:
    try:
        return Finished(manifest=job.run(call, report))
    except TickloomError as error:
        return Failed(problem=error.problem())
    except ValidationError as error:
        return Failed(problem=validation_problem(error.errors()))
    except MemoryError:
        return Failed(problem=unforeseen_problem() | {"detail": "out of memory", "retryable": True})
    except BaseException as error:  # a panic in a Rust library is no Exception; silence would look like work
        log.error("stage failed", stage=stage, artifact=call.artifact_id, exc_info=error)
        detail = f"the {stage} stage met {type(error).__name__}, which has no explanation yet; its log has the whole"
        return Failed(problem=unforeseen_problem() | {"detail": detail, "retryable": True})


def create_app(title: str, *routers: APIRouter, lifespan: Callable[[FastAPI], Any] | None = None) -> FastAPI:
    """Return an internal app: routers, health, body limit, errors as problems."""
    app = FastAPI(title=f"tickloom {title}", version=__version__, lifespan=lifespan or _logs(title))
    app.add_middleware(LimitBody)
    install_errors(app)
    for router in routers:
        app.include_router(router)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """Answer that the process is up."""
        return {"status": "ok", "part": title}

    return app


def _logs(part: str) -> Callable[[FastAPI], Any]:
    """Return the lifespan of an app that needs nothing but its log set up."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        configure_logging(part)
        yield

    return lifespan


def service_headers() -> dict[str, str]:
    """Return the headers that a service asks of our own parts: the installation's secret, if there is one."""
    token = _service_token()
    return {"authorization": f"Bearer {token}"} if token else {}


def _service_token() -> str:
    try:
        return settings().token_file().read_text().strip()
    except FileNotFoundError:  # none was installed; one that cannot be read is an error, not an open door
        return ""


def _check_token(request: Request) -> None:
    expected = _service_token()
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if expected and not (scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), expected.encode())):
        raise Unauthorised()
