"""Which symbols a venue knows: asked at submission, so that a mistyped name is refused at once.

A venue that does not answer refuses nothing: the download stage will then say what is wrong, in the task's status.
"""

import json
import time
from threading import Lock

import httpx

from api_gateway.asking import ask
from tickloom.contracts.download import DownloadRequest
from tickloom.errors import BadRequest
from tickloom.settings import settings

KEEP_S = 3600.0
WEIGHT = 20
"""What one look costs of the venue's limit (binance-spot-api-docs, rest-api.md, exchange information)."""

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
    with _lock:
        symbols = [one for one in request.all_symbols() if _known_until.get((base, one), 0) <= time.monotonic()]
    with httpx.Client(timeout=3) as client:
        if len(symbols) > 1:  # a look at many costs as much as one at one: each by itself only if one is refused
            answer = _ask(client, base, {"symbols": json.dumps(symbols, separators=(",", ":"))})
            if answer is None or answer.status_code != 400:
                _remember(base, symbols, answer)
                return
        for symbol in symbols:
            answer = _ask(client, base, {"symbol": symbol})
            if answer is None:
                return
            if answer.status_code == 400 and answer.json().get("code") in (-1121, -1100):
                raise UnknownSymbol(symbol, request.venue, request.market)
            _remember(base, [symbol], answer)


def _remember(base: str, symbols: list[str], answer: httpx.Response | None) -> None:
    if answer is not None and answer.status_code == 200:
        with _lock:
            _known_until.update({(base, symbol): time.monotonic() + KEEP_S for symbol in symbols})


def _ask(client: httpx.Client, base: str, params: dict[str, str]) -> httpx.Response | None:
    return ask(client, "GET", f"{base}/exchangeInfo", params, weight=WEIGHT)


def _api(request: DownloadRequest) -> str | None:
    if request.market != "spot":
        return None  # futures have no public mirror of it: their symbols are checked by the download itself
    if request.venue == "sim":
        prefix = f"/datasets/{request.dataset}" if request.dataset else ""
        return f"{settings().sim()}{prefix}/api/v3"
    return f"{settings().binance_api_url}/api/v3"
