"""Real trades, from the exchange's archives to a report, through every part. What came of them is pinned.

The archives are those of shared data, `trades/vision_layout`; SOURCE.md there says which days are whole.
"""

import csv
import hashlib
import io
import zipfile
from dataclasses import dataclass
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import System, stage_of

FEATURES = {"features": [{"name": "sma", "timeperiod": [3, 5, 10, 20]}, {"name": "ema", "timeperiod": 30}]}
SIGNALS = {
    "long_entry": "sma_{fast} > sma_{slow} AND close > ema_30",
    "long_exit": "sma_{fast} < sma_{slow}",
    "parameters": {"fast": [3, 5], "slow": [10, 20]},
}
BACKTEST = {"initial_cash": 10000, "commission_rate": 0.0001, "slippage_rate": 0.0001, "stop_loss_rate": 0.02}
BACKTEST |= {"objective": "total_return"}  # a day is too short for a Sharpe ratio


@dataclass(frozen=True)
class Case:
    """One request on real archives, and what is known of its results.

    rows, bars      numbers of trades and bars
    digests         SHA-256 of the JSON that the API gives for trades, bars and the best trial's trades
    metrics         of the best trial
    """

    symbol: str
    data_type: str
    days: tuple[str, ...]
    spec: dict[str, Any]
    rows: int
    bars: int
    digests: tuple[str, str, str]
    combo: int
    metrics: dict[str, float]

    def pipeline(self) -> dict[str, Any]:
        download = {"venue": "sim", "dataset": "real", "symbols": [self.symbol], "data_type": self.data_type}
        days = {"start_date": self.days[0], "end_date": self.days[-1]}
        stages = {"bars": {"spec": self.spec}, "features": FEATURES, "signals": SIGNALS, "backtest": BACKTEST}
        return {"name": f"real {self.symbol}", "download": download | days, **stages, "viz": {}}


CASES = [
    Case(
        symbol="NEXOUSDT",
        data_type="trades",
        days=("2024-07-24",),
        spec={"kind": "dollar", "threshold": 5000},
        rows=12215,
        bars=198,
        digests=(
            "ac11c89f63d574688efb7d3e50bfd0b1fa5af83d214a761b4d21058d47e5118c",
            "70cbe66fa8d56f5f3a3e0e444ca9a636e5da7adee41c4f685342fb1f5382876f",
            "ec81b675862848759a5654513c7ba2409dbdb75fc3bdc5594254c4c22d986d3e",
        ),
        combo=2,
        metrics={
            "total_return": -0.0021898879368256186,
            "max_drawdown": -0.024063989667899688,
            "fees_paid": 14.087508299519978,
            "n_trades": 7,
            "win_rate": 0.42857142857142855,
            "buy_and_hold_return": -0.03268737958957224,
        },
    ),
    Case(
        symbol="BTCUSDT",
        data_type="trades",
        days=("2024-08-08", "2024-08-09"),
        spec={"kind": "tick", "threshold": 50},
        rows=9738 + 10166,
        bars=398,
        digests=(
            "8af1032c17a9fbaf7127cd955affefee9d96fe13e165ffc53e82217cd47ff70d",
            "453b1859c891be4e8bb6dd538c2f0e94521ff63dcfa4a33edafc0cae10cffb3b",
            "de9c41b97a08b11429f9706768341add48147be14ad2e3fdae9d3d92ddb0e38e",
        ),
        combo=0,
        metrics={
            "total_return": -0.0029860503350856993,
            "max_drawdown": -0.0031622084304099296,
            "fees_paid": 23.96896998563352,
            "n_trades": 12,
            "win_rate": 0.25,
            "buy_and_hold_return": -0.0038545402672037765,
        },
    ),
    Case(
        symbol="XRPETH",
        data_type="aggTrades",
        days=("2019-10-11",),
        spec={"kind": "volume", "threshold": 5000},
        rows=5929,
        bars=387,
        digests=(
            "6eacfb6ff49a16c280c6e8c58877cc5c23a1ef62bfa310bdb6c539681d880011",
            "0150826280dd73581de2ea7b9cde3c9c6b283d3d0b8dc8a5284f728518c63f16",
            "b3d236eedd202f6a0473e4eeea99cab741ad730431e086f7a1de18c5cb4c9609",
        ),
        combo=3,
        metrics={
            "total_return": 0.04507162666617348,
            "max_drawdown": -0.013632161183724234,
            "fees_paid": 16.30742585597276,
            "n_trades": 8,
            "win_rate": 0.375,
            "buy_and_hold_return": 0.04595638931078949,
        },
    ),
]


@pytest.fixture(scope="module")
def runs(system: System, shared_data: Path) -> dict[str, dict[str, Any]]:
    """All of them submitted side by side; symbol -> its status at the end."""
    sent = {case.symbol: system.post("/submit_pipeline", case.pipeline())["task_id"] for case in CASES}
    return {symbol: system.done(task_id) for symbol, task_id in sent.items()}


def archived(shared_data: Path, case: Case) -> tuple[int, Decimal, Decimal]:
    """Return (trades, quantity, price x quantity) of the archives, read with nothing of ours."""
    n_trades, quantity, notional = 0, Decimal(0), Decimal(0)
    for day in case.days:
        name = f"{case.symbol}-{case.data_type}-{day}"
        with zipfile.ZipFile(shared_data / "trades" / "vision_layout" / "spot" / f"{name}.zip") as archive:
            for row in csv.reader(io.TextIOWrapper(archive.open(f"{name}.csv"))):
                n_trades += 1
                quantity += Decimal(row[2])
                notional += Decimal(row[1]) * Decimal(row[2])
    return n_trades, quantity, notional


def digest(system: System, artifact_id: str, file: str) -> str:
    answer = system.http.get(system.data(artifact_id), params={"file": file, "limit": 1_000_000})
    assert answer.status_code == 200, answer.text
    return hashlib.sha256(answer.content).hexdigest()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.symbol)
def test_sums_of_bars_and_of_what_is_left_open_are_those_of_the_archives(system, runs, shared_data, case):
    made = stage_of(runs[case.symbol], "bars")["artifact_id"]
    left = system.manifest(made)["facts"]["symbols"][case.symbol]["residual"]
    bars = system.table(made, f"{case.symbol}/").to_pydict()
    with localcontext(prec=60):
        n_trades, quantity, notional = archived(shared_data, case)
        assert sum(bars["volume"]) + Decimal(left["volume"]) == quantity
        assert sum(bars["notional"]) + Decimal(left["notional"]) == notional
    assert sum(bars["n_trades"]) + left["n_trades"] == n_trades == case.rows
    assert len(bars["volume"]) == case.bars


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.symbol)
def test_the_archives_were_verified_and_their_record_travels_to_the_bars(system, runs, case):
    quality = system.manifest(stage_of(runs[case.symbol], "bars")["artifact_id"])["facts"]["quality"]
    assert (quality["sources"], quality["verified"]) == (len(case.days), len(case.days))
    assert quality["rows"] == quality["rows_read"] == case.rows
    assert (quality["id_gaps"], quality["missing_days"]) == (0, {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.symbol)
def test_tables_and_metrics_are_the_pinned_ones(system, runs, case):
    made = {row["stage"]: row["artifact_id"] for row in runs[case.symbol]["stages"]}
    tables = (
        ("download", f"{case.symbol}/"),
        ("bars", f"{case.symbol}/"),
        ("backtest", f"trades/{case.symbol}.parquet"),
    )
    assert tuple(digest(system, made[stage], file) for stage, file in tables) == case.digests
    best = system.manifest(made["backtest"])["facts"]["best"][case.symbol]
    assert best["combo"] == case.combo
    assert {name: best["metrics"][name] for name in case.metrics} == pytest.approx(case.metrics, rel=1e-9)


def test_a_day_that_the_folder_lacks_is_named_not_left_out(system, shared_data):
    days = {"start_date": "2019-10-11", "end_date": "2019-10-12"}
    status = system.ended(system.post("/submit_download", CASES[2].pipeline()["download"] | days)["task_id"])
    assert status["state"] == "FAILURE"
    assert status["error"]["type"] == "urn:tickloom:problem:no-such-archive"
    assert "XRPETH-aggTrades-2019-10-12" in status["error"]["detail"]
    assert status["error"]["next"]


def test_a_symbol_that_the_folder_lacks_is_refused_at_once(system, shared_data):
    body = CASES[0].pipeline()["download"] | {"symbols": ["ETHUSDT"]}
    answer = system.http.post("/submit_download", json=body)
    assert answer.status_code == 422
    assert "ETHUSDT" in answer.json()["detail"]
