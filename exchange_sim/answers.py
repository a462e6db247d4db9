"""Answers over HTTP: archives and checksums, what the exchange says when it refuses, and bodies that never end well."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from exchange_sim.archives import StoredArchive
from exchange_sim.config import SimSettings
from exchange_sim.dataset import Dataset

_REFUSED_AT_FIRST = 2  # requests
_RETRY_AFTER_S = {"rate_limited": 1, "banned": 120}
_POLL_S = 0.2
_LATER_RANGE = re.compile(r"bytes=(?!0+-)[0-9]+-")


class Patience:
    """Counts the requests of each URL, for the faults that end by themselves. The only state there is."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def is_over(self, url: str, at_first: int = _REFUSED_AT_FIRST) -> bool:
        """Count one request; tell whether there were more than `at_first`: the URL's fault is over then."""
        with self._lock:
            self._seen[url] += 1
            return self._seen[url] > at_first


def refused(request: Request, dataset: Dataset, fault: str, patience: Patience) -> Response | None:
    """Return the answer of a fault that keeps the request from being served at all, or None."""
    wait = {"Retry-After": str(_RETRY_AFTER_S.get(fault, 1) if dataset.retry_after is None else dataset.retry_after)}
    if fault == "banned":
        return exchange_error(418, -1003, "Way too much request weight used; IP banned.", wait)
    if fault == "rate_limited" and not patience.is_over(request.url.path):
        return exchange_error(429, -1003, "Too much request weight used; please slow down.", wait)
    if fault == "always_down" or (fault == "server_error" and not patience.is_over(request.url.path)):
        return exchange_error(503, -1000, "An unknown error occurred while processing the request.")
    if fault == "redirect":
        return Response(status_code=302, headers={"Location": str(request.url.replace(hostname="127.0.0.2"))})
    return None


def exchange_error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error in the exchange's words."""
    return JSONResponse({"code": code, "msg": message}, status, headers)


def no_such_key(path: str) -> Response:
    """Return what the archive host says where there is no file."""
    safe = re.sub(r"[^\w./-]", "?", path[:200])
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
        f"<Message>The specified key does not exist.</Message><Key>data/{safe}</Key></Error>"
    )
    return Response(body, 404, media_type="application/xml")


def archive_answer(stored: StoredArchive, published: date) -> FileResponse:
    """Return an archive; FileResponse does HEAD, Range and If-Range. Its headers are as lasting as its bytes."""
    headers = {
        "ETag": f'"{stored.sha256}"',
        "Last-Modified": format_datetime(datetime.combine(published, time(), UTC), usegmt=True),
    }
    return FileResponse(stored.path, media_type="application/zip", headers=headers)


def checksum_answer(sha256: str, name: str) -> Response:
    """Return the text of a CHECKSUM: as `sha256sum` writes it, without a line end."""
    return Response(f"{sha256}  {name}".encode(), media_type="binary/octet-stream")


def spoilt_body(request: Request, path: Path, fault: str, settings: SimSettings) -> Response | None:
    """Return an answer whose body stalls, crawls or breaks off; None if this request gets the whole body.

    A Range that begins after the first byte is served whole: a client that resumes gets through.
    """
    if fault not in ("stall", "slow", "cut_off"):
        return None
    if request.method == "HEAD" or _LATER_RANGE.match(request.headers.get("range", "")):
        return None
    body = path.read_bytes()
    headers = {"Content-Length": str(len(body)), "Accept-Ranges": "bytes"}
    if fault == "slow":
        return StreamingResponse(_crawl(request, body, settings.slow_s), headers=headers, media_type="application/zip")
    half = body[: len(body) // 2]
    if fault == "stall":
        stream = _stall(request, half, settings.stall_s)
        return _BrokenOff(stream, headers=headers, media_type="application/zip")
    return _BrokenOff(_once(half), headers=headers, media_type="application/zip")


class _BrokenOff(StreamingResponse):
    """Sends what the stream gives and never says that the body is complete, so the server drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self.body_iterator:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _stall(request: Request, half: bytes, seconds: float) -> AsyncIterator[bytes]:
    yield half
    waited = 0.0
    while waited < seconds and not await request.is_disconnected():
        await asyncio.sleep(_POLL_S)
        waited += _POLL_S


async def _crawl(request: Request, body: bytes, pause_s: float) -> AsyncIterator[bytes]:
    for position in range(len(body)):
        if await request.is_disconnected():
            return
        yield body[position : position + 1]
        await asyncio.sleep(pause_s)
