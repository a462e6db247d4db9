"""The gateway: `uvicorn api_gateway.app:app`. It refuses to be public without a token and a TLS proxy before it."""

import hmac
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from sqlalchemy.exc import OperationalError
from starlette.middleware.trustedhost import TrustedHostMiddleware

from api_gateway.models import PipelineRequest, ProblemView
from api_gateway.routes import artifacts, health, pages, rechecks, submit, tasks
from tickloom import __version__
from tickloom.http import PROBLEM, LimitBody, Unauthorised, install_errors, problem_response
from tickloom.ledger import LedgerUnavailable, ledger_url, migrate
from tickloom.settings import settings
from tickloom.telemetry import configure_logging

DESCRIPTION = """
From raw exchange trades to tested trading ideas: **download, bars, features, signals, backtest, viz**.

Submit a stage or a whole chain; each answers 202 with a `task_id`. Follow it at `/status/{task_id}`. What it makes is
an artifact: `/artifacts/{id}` shows where every number comes from. Errors are `application/problem+json` and say what
to do next. Equal requests are one computation.
"""
# The pages and Swagger UI's files hold no data; what they show, they ask for with the visitor's token.
OPEN_PATHS = ("/healthz", "/", "/docs")
OPEN_FOLDER = "/static/"


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    configure_logging("gateway")
    refuse_unsafe_bind()
    migrate(ledger_url())
    yield


def refuse_unsafe_bind() -> None:
    """Exit with the reasons when the gateway would be public without protection."""
    host = settings().host
    if host == "localhost" or (host and ip_address(host).is_loopback):
        return
    reasons = []
    if len(settings().api_token) < 24:
        reasons.append("TICKLOOM_API_TOKEN is not set to a secret of 24 characters or more")
    if not settings().behind_proxy:
        reasons.append("TICKLOOM_BEHIND_PROXY=1 does not say that a TLS proxy stands before it")
    if reasons:
        sys.exit(f"tickloom: refusing to listen on {host}: " + "; ".join(reasons))


async def _authorise(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    token = settings().api_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    path = request.scope["path"]  # request.url would be read with the Host header, which the caller writes
    is_open = path in OPEN_PATHS or path.startswith(OPEN_FOLDER)
    if token and not is_open and not hmac.compare_digest(given.encode(), token.encode()):
        return problem_response(Unauthorised().problem(), {"www-authenticate": "Bearer"})
    return await handle(request)


async def _ledger_away(_: Request, error: Exception) -> Response:
    """Answer a full disk, a locked or an absent database by name."""
    assert isinstance(error, OperationalError)
    return problem_response(LedgerUnavailable(str(error.orig).partition("\n")[0]).problem())


def create_gateway() -> FastAPI:
    """Return the gateway."""
    app = FastAPI(
        title="Tickloom",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,  # FastAPI's own pages load from a CDN: ours are in routes/pages.py
        redoc_url=None,
    )
    app.add_middleware(LimitBody)
    app.middleware("http")(_authorise)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings().allowed_hosts.split(","), www_redirect=False)
    install_errors(app)
    app.add_exception_handler(OperationalError, _ledger_away)
    for router in (submit.router, tasks.router, artifacts.router, rechecks.router, health.router, pages.router):
        app.include_router(router)
    app.mount("/static", pages.static, "static")
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Describe what FastAPI does not know of: the pipeline's body, read by hand as JSON or YAML, and our problems."""
    if app.openapi_schema is None:
        described = FastAPI.openapi(app)
        schemas = described["components"]["schemas"]
        for model in (PipelineRequest, ProblemView):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}) | {model.__name__: schema} | schemas)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = {PROBLEM: {"schema": {"$ref": f"#/components/schemas/{ProblemView.__name__}"}}}
        for methods in described["paths"].values():
            for operation in methods.values():
                for status, answer in operation["responses"].items():
                    if status.startswith("4"):
                        answer["content"] = problem
    return FastAPI.openapi(app)


app = create_gateway()
