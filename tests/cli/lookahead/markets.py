"""A few hundred trades, and pipelines over them, for the probe's tests."""

import random
from pathlib import Path
from typing import Any

from api_gateway.models import PipelineRequest
from cli.lookahead.run import Finding, probe
from tests.services.bars.runs import DAY_US, T0, imported, write_trades
from tickloom.contracts.artifact import Manifest
from tickloom.lake import open_lake

TICK = {"kind": "tick", "threshold": 5}
CROSS = {
    "long_entry": "close > sma_{n}", "long_exit": "close < sma_{n}",
    "short_entry": "close < sma_{n}", "short_exit": "close > sma_{n}", "parameters": {"n": [2, 4]},
}  # fmt: skip
SMAS = [{"name": "sma", "timeperiod": [2, 4]}]


def trades(seed: int, days: int = 3, per_day: int = 150) -> list[tuple[int, int, str, str, bool]]:
    """A walk that trends and turns: (id, us, price, quantity, buyer is maker)."""
    rng, rows, price, drift = random.Random(seed), [], 100.0, 0.0
    for day in range(days):
        for ts in sorted(rng.randrange(DAY_US) for _ in range(per_day)):
            drift = 0.95 * drift + rng.gauss(0, 0.08)
            price = max(price + drift + rng.gauss(0, 0.2), 20)
            quantity = f"{rng.uniform(0.1, 2):.3f}"
            rows.append((len(rows), T0 + day * DAY_US + ts, f"{price:.2f}", quantity, rng.random() < 0.5))
    return rows


def download(folder: Path) -> Manifest:
    return imported(data_type="trades", files=write_trades(folder, "AAA", trades(1)))


def long_download(folder: Path) -> Manifest:
    """One symbol of so many days that there is something to walk over."""
    return imported(data_type="trades", files=write_trades(folder, "LONG", trades(3, days=45, per_day=12)))


def two_downloads(folder: Path) -> Manifest:
    """Two symbols, the second one with a day less."""
    files = write_trades(folder, "AAA", trades(1)) | write_trades(folder, "BBB", trades(2, days=2))
    return imported(data_type="trades", files=files)


def pipeline(
    bars: dict[str, Any] = TICK,
    features: list[dict[str, Any]] = SMAS,
    signals: dict[str, Any] | None = None,
    **backtest: Any,
) -> PipelineRequest:
    return PipelineRequest.model_validate(
        {
            "download": {"venue": "file", "data_type": "trades", "files": {"AAA": "AAA.csv"}},
            "bars": bars if "specs" in bars else {"spec": bars},
            "features": {"features": features} | ({"bars": "chosen"} if "specs" in bars else {}),
            "signals": CROSS if signals is None else signals,
            "backtest": backtest,
        }
    )


def probed(source: Manifest, asked: PipelineRequest, cuts: int = 9, seed: int = 0) -> Finding:
    return probe(open_lake(), source, asked, cuts=cuts, seed=seed)
