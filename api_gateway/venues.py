"""Which symbols a venue knows: asked at submission, so that a mistyped name is refused at once.

A venue that does not answer refuses nothing: the download stage will then say what is wrong, in the task's status.
"""

import time
from threading import Lock

import httpx
import structlog

from tickloom.contracts.download import DownloadRequest
from tickloom.errors import BadRequest
from tickloom.settings import settings

log = structlog.get_logger()
KEEP_S = 3600.0
_known_until: dict[tuple[str, str], float] = {}
_lock = Lock()


class UnknownSymbol(BadRequest):
    """The venue knows no such symbol."""

    next_step = (
        "check the spelling (as in BTCUSDT); for a symbol that is no longer traded, submit with ?check_symbols=false"
    )

    def __str__(self) -> str:
        return f"symbols: {self.args[1]} lists no {self.args[0]!r} on its {self.args[2]} market"


def check_symbols(request: DownloadRequest) -> None:
    """Raise UnknownSymbol for the first symbol that the venue says it does not have."""
    base = _api(request)
    if base is None:
        return
    with httpx.Client(timeout=3) as client:
        for symbol in request.all_symbols():
            with _lock:
                if _known_until.get((base, symbol), 0) > time.monotonic():
                    continue
            try:
                answer = client.get(f"{base}/exchangeInfo", params={"symbol": symbol})
            except httpx.HTTPError as error:
                log.warning("could not ask the venue for its symbols", venue=request.venue, error=str(error))
                return
            if answer.status_code == 400 and answer.json().get("code") in (-1121, -1100):
                raise UnknownSymbol(symbol, request.venue, request.market)
            if answer.status_code == 200:
                with _lock:
                    _known_until[(base, symbol)] = time.monotonic() + KEEP_S


def _api(request: DownloadRequest) -> str | None:
    if request.venue == "sim":
        prefix = f"/datasets/{request.dataset}" if request.dataset else ""
        return f"{settings().sim()}{prefix}/api/v3"
    # The futures API has no public mirror beside the archives': its symbols are checked by the download itself.
    return f"{settings().binance_api_url}/api/v3" if request.market == "spot" else None
