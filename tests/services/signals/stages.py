"""What the tests of the signals and backtest stages have in common: features in a lake, and calls over real HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import uvicorn
from fastapi import FastAPI

from services.features.remote import with_features
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.base import Contract
from tickloom.contracts.events import StageCall
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.stages import VERSIONS
from tickloom.http import service_headers
from tickloom.identity import artifact_id, digest
from tickloom.lake import Lake

HOUR_US = 3_600_000_000


def bars_table(n_bars: int, seed: int = 0, bar_us: int = HOUR_US) -> pa.Table:
    """Bars of a random walk, one after the other without a gap."""
    rng = np.random.default_rng(seed)
    close = np.round(20_000 * np.exp(np.cumsum(rng.normal(0, 0.004, n_bars))), 2)
    open_ = np.r_[close[:1], close[:-1]]
    spread = np.round(rng.exponential(20.0, (2, n_bars)), 2)
    ts_open = 1_672_531_200_000_000 + np.arange(n_bars) * bar_us
    return pa.table(
        {
            "ts_open": ts_open,
            "ts_close": ts_open + bar_us,
            "open": open_,
            "high": np.maximum(open_, close) + spread[0],
            "low": np.minimum(open_, close) - spread[1],
            "close": close,
            "volume": rng.exponential(3.0, n_bars),
        }
    )


def features_artifact(
    lake: Lake, bars: dict[str, pa.Table], request: FeaturesRequest, market: str = "spot"
) -> Manifest:
    """Store features computed over `bars` as the features stage stores them, on top of a download of that market."""
    facts = {"market": market}
    source = lake.put_manifest(
        Manifest(id=digest(facts), stage="download", version=1, request={}, inputs=(), files=(), facts=facts)
    )
    entries = []
    for symbol, table in bars.items():
        features, lengths = with_features(symbol, table, request)
        entries.append(lake.add_table(f"{symbol}.parquet", features, facts={"symbol": symbol, **lengths}))
    identity = digest([market, *(entry.sha256 for entry in entries)])
    manifest = Manifest(
        id=identity, stage="features", version=1, request=request.canonical(), inputs=(source.id,),
        files=tuple(entries),
    )  # fmt: skip
    return lake.put_manifest(manifest)


SMAS = FeaturesRequest.model_validate({"features": [{"name": "sma", "timeperiod": [2, 3, 5, 8, 13, 21]}]})


def stage_call(stage: str, request: Contract, *inputs: Manifest) -> StageCall:
    ids = tuple(manifest.id for manifest in inputs)
    body = request.canonical()
    return StageCall(artifact_id=artifact_id(stage, VERSIONS[stage], body, ids), request=body, inputs=ids)


def files_of(manifest: Manifest) -> dict[str, str]:
    return {entry.name: entry.sha256 for entry in manifest.files}


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve `app` on a port of its own and yield its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def events(url: str, stage: str, call: StageCall | dict[str, Any]) -> list[dict[str, Any]]:
    """Call a stage over HTTP and return its events, the `alive` ones left out."""
    body = call.canonical() if isinstance(call, StageCall) else call
    with httpx.stream("POST", f"{url}/v1/{stage}", json=body, headers=service_headers(), timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in answer.iter_lines()]
    return [line for line in lines if line["event"] != "alive"]
