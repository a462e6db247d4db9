"""One question to an exchange, within the limit that all processes share; without an answer nobody has to wait."""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import structlog

from tickloom.limiter import open_limiter

log = structlog.get_logger()
LONGEST_WAIT_S = 1.0


def ask(
    client: httpx.Client, method: str, url: str, params: Mapping[str, str] | None = None, *, weight: int = 1
) -> httpx.Response | None:
    """Return the exchange's answer, or None when it gives none, or should not be asked just now."""
    limiter, host = open_limiter(), urlsplit(url).netloc
    turn = limiter.reserve(host, weight)
    if turn.pause is not None or turn.wait_s > LONGEST_WAIT_S:
        log.warning("the exchange is not asked just now", host=host)
        return None
    time.sleep(turn.wait_s)
    try:
        answer = client.request(method, url, params=params)
    except httpx.HTTPError as error:
        log.warning("could not ask the exchange", host=host, error=str(error))
        return None
    if answer.status_code in (418, 429):
        text = answer.headers.get("retry-after", "")
        seconds = float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 60.0
        limiter.pause(host, seconds, banned=answer.status_code == 418)
        return None
    return answer
