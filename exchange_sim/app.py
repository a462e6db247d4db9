"""The simulator's HTTP face: `/data`, `/api/v3`, `/fapi/v1`, and the same below `/datasets/{dataset}`.

A dataset is a part of the URL, so one simulator serves every market and every fault at once, and keeps nothing that
would change a byte.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from exchange_sim import answers, rest
from exchange_sim.access_log import AccessLog
from exchange_sim.archives import ArchiveStore, is_listed
from exchange_sim.config import SimSettings
from exchange_sim.dataset import BadDataset, Dataset, parse_dataset
from exchange_sim.mounts import find_archive, mounted_symbols, own_checksum
from exchange_sim.names import ArchiveName, parse_archive_path
from exchange_sim.symbols import Market
from tickloom.settings import settings as tickloom_settings

_METHODS = ["GET", "HEAD"]
_READS = {
    "klines": {"symbol", "interval", "startTime", "endTime", "timeZone", "limit"},
    "aggTrades": {"symbol", "fromId", "startTime", "endTime", "limit"},
    "historicalTrades": {"symbol", "fromId", "limit"},
    "exchangeInfo": {"symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"},
    "ping": set[str](),
    "time": set[str](),
}
_REST_FAULTS = frozenset({"rate_limited", "banned", "server_error", "always_down", "redirect"})


class Exchange:
    """Answers requests; holds the store of archives and the counters of the passing faults."""

    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self._patience = answers.Patience()
        self.store = ArchiveStore(settings.cache)

    def data(self, request: Request, dataset: str, path: str) -> Response:
        """Answer a request below `/data/`: an archive or its checksum."""
        archive = parse_archive_path(path.removesuffix(".CHECKSUM"))
        if archive is None:
            return answers.no_such_key(path)
        is_checksum = path.endswith(".CHECKSUM")
        if dataset in self._settings.mounts:
            return self._mounted(dataset, archive, is_checksum) or answers.no_such_key(path)
        made = parse_dataset(dataset) if dataset else Dataset()
        fault = made.fault_for(f"{archive.stem}.zip")
        refusal = answers.refused(request, made, fault, self._patience)
        if refusal is not None:
            return refusal
        published = archive.complete_on() <= self._settings.today()
        missing = fault == "not_found" or (is_checksum and fault == "checksum_missing")
        if missing or not published or not is_listed(archive):
            return answers.no_such_key(path)
        if fault == "republished" and self._patience.is_over(f"{dataset}/{archive.path}", made.republish_after):
            made = replace(made, fault="", fault_on="")
        stored = self.store.get(made, archive)
        if is_checksum:
            return _checksum(stored.sha256, archive, fault)
        spoilt = answers.spoilt_body(request, stored.path, fault, self._settings)
        return spoilt or answers.archive_answer(stored, archive.complete_on())

    def api(self, request: Request, dataset: str, endpoint: str, market: Market) -> Response:
        """Answer a request below `/api/v3/` (spot), `/fapi/v1/` (USD-M) or `/dapi/v1/` (COIN-M)."""
        if endpoint not in rest.WEIGHTS[market]:
            return Response(status_code=404)
        if market != "spot" and endpoint == "historicalTrades":
            return answers.exchange_error(401, -2014, "API-key format invalid.")
        mounted = dataset in self._settings.mounts
        made = parse_dataset(dataset) if dataset and not mounted else Dataset()
        fault = made.fault_for(endpoint)
        if fault in _REST_FAULTS:
            refusal = answers.refused(request, made, fault, self._patience)
            if refusal is not None:
                return refusal
        headers = {"X-MBX-USED-WEIGHT-1M": str(rest.WEIGHTS[market][endpoint])}
        try:
            query = rest.Query.read(request.query_params.multi_items(), _READS[endpoint], market)
            fine = market == "spot" and request.headers.get("x-mbx-time-unit", "").upper() == "MICROSECOND"
            body = self._call(endpoint, dataset if mounted else "", made, query, fine)
        except rest.ExchangeError as error:
            return answers.exchange_error(400, error.code, error.message, headers)
        return JSONResponse(body, headers=headers)

    def _call(self, endpoint: str, mount: str, made: Dataset, query: rest.Query, microseconds: bool) -> Any:
        today = self._settings.today()
        if endpoint in ("ping", "time"):
            return {} if endpoint == "ping" else {"serverTime": rest.exchange_info(query, list, today)["serverTime"]}
        if endpoint == "exchangeInfo":
            listed = (lambda: mounted_symbols(self._settings.mounts[mount])) if mount else rest.made_symbols
            return rest.exchange_info(query, listed, today)
        if mount:
            raise rest.ExchangeError(-1020, "This dataset is a folder of archives: it has no REST history.")
        calls = {"klines": rest.klines, "aggTrades": rest.agg_trades, "historicalTrades": rest.historical_trades}
        return calls[endpoint](made, query, today, microseconds)

    def _mounted(self, dataset: str, archive: ArchiveName, is_checksum: bool) -> Response | None:
        stored = find_archive(self._settings.mounts[dataset], archive)
        if stored is None:
            return None
        if not is_checksum:
            return answers.archive_answer(stored, archive.complete_on())
        theirs = own_checksum(stored)
        if theirs is not None:
            return Response(theirs.encode(), media_type="binary/octet-stream")
        return answers.checksum_answer(stored.sha256, f"{archive.stem}.zip")


def create_app(settings: SimSettings | None = None) -> FastAPI:
    """Return the simulator as an ASGI app. Without settings it keeps its archives below `TICKLOOM_HOME`."""
    chosen = settings or SimSettings(cache=tickloom_settings().home / "sim")
    app = FastAPI(title="exchange_sim", version="1", docs_url="/docs", redoc_url=None)
    exchange = Exchange(chosen)
    app.state.exchange = exchange
    app.include_router(_router(exchange))
    app.add_exception_handler(BadDataset, _bad_dataset)
    if not chosen.quiet:
        app.add_middleware(AccessLog)
    return app


def _router(exchange: Exchange) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    def healthz() -> dict[str, str]:
        """Tell that the simulator is up."""
        return {"status": "ok"}

    def data(request: Request, path: str, dataset: str = "") -> Response:
        """Serve an archive or its CHECKSUM."""
        return exchange.data(request, dataset, path)

    def api(request: Request, endpoint: str, dataset: str = "") -> Response:
        """Serve REST history."""
        return exchange.api(request, dataset, endpoint, "spot")

    def fapi(request: Request, endpoint: str, dataset: str = "") -> Response:
        """Serve REST history of USD-M futures."""
        return exchange.api(request, dataset, endpoint, "um")

    def dapi(request: Request, endpoint: str, dataset: str = "") -> Response:
        """Serve REST history of COIN-M futures."""
        return exchange.api(request, dataset, endpoint, "cm")

    def mount(path: str, call: Callable[..., Response]) -> None:
        router.add_api_route(path, call, methods=_METHODS, response_class=Response)

    mount("/data/{path:path}", data)
    mount("/api/v3/{endpoint}", api)
    mount("/fapi/v1/{endpoint}", fapi)
    mount("/dapi/v1/{endpoint}", dapi)
    mount("/datasets/{dataset}/data/{path:path}", data)
    mount("/datasets/{dataset}/api/v3/{endpoint}", api)
    mount("/datasets/{dataset}/fapi/v1/{endpoint}", fapi)
    mount("/datasets/{dataset}/dapi/v1/{endpoint}", dapi)
    return router


def _checksum(sha256: str, archive: ArchiveName, fault: str) -> Response:
    name = f"{archive.stem}.zip"
    if fault == "checksum_wrong":
        sha256 = hashlib.sha256(sha256.encode()).hexdigest()
    if fault == "checksum_other":
        name = f"OTHER{name}"
    return answers.checksum_answer(sha256, name)


def _bad_dataset(_: Request, error: Exception) -> Response:
    body = {"title": "There is no such dataset", "status": 400, "detail": str(error)}
    return JSONResponse(body, 400, media_type="application/problem+json")
