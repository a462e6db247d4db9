"""One JSON line per request on stderr, written when the answer is complete or broken off."""

import sys
import time
from datetime import UTC, datetime

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class AccessLog:
    """ASGI middleware that counts what it passes on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, n_bytes, complete = time.perf_counter(), 0, 0, False

        async def counting(message: Message) -> None:
            nonlocal status, n_bytes, complete
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                n_bytes += len(message.get("body", b""))
                complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "method": scope["method"],
                "path": scope["path"],
                "query": scope["query_string"].decode("latin-1"),
                "status": status,
                "bytes": n_bytes,
                "complete": complete,
                "ms": round((time.perf_counter() - began) * 1000, 1),
                "client": (scope.get("client") or ("",))[0],
            }
            sys.stderr.write(orjson.dumps(line).decode() + "\n")
            sys.stderr.flush()
