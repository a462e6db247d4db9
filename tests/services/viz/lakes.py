"""A lake with a finished run in it: bars and signals made here, traded by the real backtest stage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from services.backtest.job import BacktestJob
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.events import StageCall
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.contracts.stages import VERSIONS
from tickloom.contracts.viz import VizRequest
from tickloom.http import Report
from tickloom.identity import artifact_id, digest
from tickloom.lake import Lake, decimals

DAY_US = 86_400_000_000
START = 1_641_081_600_000_000  # 2022-01-02
PLACES = 2


@dataclass
class Market:
    """One symbol's bars: ticks of 0.01, `every_us` between closes on average."""

    symbol: str
    n_bars: int = 2_000
    every_us: int = 3_600_000_000
    seed: int = 1
    start_price: float = 400.0
    irregular: bool = False
    flat: bool = False

    def columns(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(self.seed)
        n = self.n_bars
        spread = 0.006 * np.exp(0.5 * np.sin(np.linspace(0, 25, n)) + 0.25 * rng.standard_normal(n))
        step = (
            np.zeros(n) if self.flat else spread * rng.standard_t(4, n) * 0.7 + 0.0006 * np.sin(np.linspace(0, 14, n))
        )
        close = np.maximum(np.rint(self.start_price * np.exp(np.cumsum(step)) * 100), 100).astype(np.int64)
        opened = np.concatenate([close[:1], close[:-1]])
        wick = np.zeros((2, n)) if self.flat else np.abs(rng.standard_normal((2, n))) * spread * close * 0.4
        high = np.maximum(opened, close) + wick[0].astype(np.int64)
        low = np.maximum(np.minimum(opened, close) - wick[1].astype(np.int64), 1)
        gaps = rng.exponential(self.every_us, n).astype(np.int64) if self.irregular else np.full(n, self.every_us)
        ts_close = START + np.cumsum(gaps)
        ts_open = np.concatenate([[START], ts_close[:-1]])
        volume = (1_000 * np.exp(rng.standard_normal(n) * 0.6) * (1 + 40 * np.abs(step))).astype(np.int64)
        names = ("ts_open", "ts_close", "open", "high", "low", "close", "volume")
        return dict(zip(names, (ts_open, ts_close, opened, high, low, close, volume), strict=True))


@dataclass
class Setting:
    """A whole run: markets, the grid of moving averages, the account."""

    markets: Sequence[Market] = field(default_factory=lambda: (Market("BTCUSDT"), Market("ETHUSDT", seed=3)))
    parameters: Mapping[str, Sequence[int | float]] = field(
        default_factory=lambda: {"fast": (5, 10, 20), "slow": (30, 60)}
    )
    account: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=lambda: {"kind": "dollar", "threshold": "1000000"})
    shorts: bool = False
    quality: Sequence[Mapping[str, Any]] = ()
    certificates: Sequence[Mapping[str, Any]] | None = None
    rule: str = "sma_{fast} > sma_{slow}"


def average(values: np.ndarray, n: int) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    out = np.full(values.size, np.nan)
    out[n - 1 :] = (sums[n:] - sums[:-n]) / n
    return out


def crossing(close: np.ndarray, parameters: Mapping[str, Any], shorts: bool) -> np.ndarray:
    """Return masks: in when the fast average is above the slow one, out when it is below."""
    if close.size <= max(parameters.get("fast", 5), parameters.get("slow", 20)):
        return np.zeros(close.size, np.int8)
    fast, slow = average(close, int(parameters.get("fast", 5))), average(close, int(parameters.get("slow", 20)))
    band = 1 + parameters.get("band", 0) / 1000
    above, below = fast > slow * band, fast < slow / band
    rising = above & ~np.concatenate([[False], above[:-1]])
    falling = below & ~np.concatenate([[False], below[:-1]])
    mask = rising * LONG_ENTRY + below * LONG_EXIT
    return (mask + (falling * SHORT_ENTRY + above * SHORT_EXIT if shorts else 0)).astype(np.int8)


def record(source: str, n_read: int, **changes: Any) -> dict[str, Any]:
    digest = f"{abs(hash((len(source), n_read))) % 16**12:012x}" * 6
    gaps = {"count": 0, "missing": 0, "longest": 0, "first": []}
    return {
        "source": source,
        "served_sha256": digest[:64],
        "computed_sha256": digest[:64],
        "bytes": n_read * 11,
        "header": False,
        "time_unit": "us",
        "rows_read": n_read,
        "rows": n_read,
        "dropped": {"sentinel": 0, "other_day": 0, "duplicate": 0},
        "counts": {"out_of_order": 0},
        "id_gaps": gaps,
        "time_gaps": gaps,
        "missing_days": [],
    } | changes


def certificate(symbol: str, month: str, grade: str = "A", **changes: Any) -> dict[str, Any]:
    """Return a certificate as the download stage writes it; a bad one misses ids."""
    reason = "9 ids are missing, 0.75 % of all." if grade != "A" else "The ids run on without a gap."
    missing = 9 if grade != "A" else 0
    checks = [
        {"name": "days", "grade": "A", "verdict": "passed", "text": "All are there.", "numbers": {"missing": 0}},
        {"name": "ids", "grade": grade, "verdict": "passed", "text": reason, "numbers": {"missing": missing}},
        {
            "name": "silences", "grade": "A", "verdict": "passed", "text": "No silence.",
            "numbers": {"silent_minutes": 0, "halted_minutes": 12},
        },
        {"name": "klines", "grade": "A", "verdict": "not checked", "text": "Not compared.", "numbers": {}},
    ]  # fmt: skip
    return {
        "symbol": symbol,
        "month": month,
        "grade": grade,
        "rows": 120_000,
        "reasons": [reason] if grade != "A" else [],
        "checks": checks,
        "days": {},
    } | changes


def graded_file(lake: Lake, setting: "Setting", symbols: Sequence[str]) -> list[Any]:
    """Return the file of certificates: those of the setting, or an A for each month."""
    made = setting.certificates
    if made is None:
        made = [certificate(symbol, month) for symbol in symbols for month in ("2022-01", "2022-02", "2022-03")]
    return [lake.add_bytes("quality/certificates.json", orjson.dumps(made))] if made else []


class Builder:
    """Puts one artifact a stage into a lake, each made from the one before it."""

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(str(folder))

    def put(
        self, stage: str, request: dict[str, Any], inputs: tuple[str, ...], files: Sequence[Any], facts: Any = None
    ) -> Manifest:
        identity = artifact_id(stage, 1, request, inputs)
        manifest = Manifest(
            id=identity, stage=stage, version=1, request=request, inputs=inputs, files=tuple(files), facts=facts or {}
        )
        return self.lake.put_manifest(manifest)

    def backtest(self, setting: Setting) -> Manifest:
        """Return the manifest of a finished backtest."""
        lake, symbols = self.lake, [market.symbol for market in setting.markets]
        records = setting.quality or [
            record(f"{s}-aggTrades-2022-01.zip", 120_000 + 7 * i) for i, s in enumerate(symbols)
        ]
        of = digest([asdict(market) for market in setting.markets])[:12]  # other prices are other data
        download = self.put(
            "download",
            {"symbols": symbols, "start_date": "2022-01", "end_date": "2022-03", "venue": "sim", "dataset": of},
            (),
            [
                *(lake.add_bytes(f"quality/{i}.json", orjson.dumps(one)) for i, one in enumerate(records)),
                *graded_file(lake, setting, symbols),
            ],
            {"quality": {"missing_days": {}, "repaired_days": {}}},
        )
        columns = {market.symbol: market.columns() for market in setting.markets}
        bars = self.put(
            "bars", {"spec": dict(setting.spec)}, (download.id,), [e for s in symbols for e in self.bars(s, columns[s])]
        )
        features = self.put(
            "features",
            {"features": [{"name": "sma", "timeperiod": [5, 20]}]},
            (bars.id,),
            [lake.add_table(f"{s}.parquet", priced(columns[s])) for s in symbols],
        )
        request = {
            "long_entry": setting.rule,
            "long_exit": "sma_{fast} < sma_{slow}",
            "short_entry": None,
            "short_exit": None,
            "parameters": {k: list(v) for k, v in setting.parameters.items()},
            "trigger": "rising_edge",
        }
        signals = self.put("signals", request, (features.id,), self.signals(columns, setting))
        account = BacktestRequest.model_validate(dict(setting.account)).canonical()
        call = StageCall(
            artifact_id=artifact_id("backtest", VERSIONS["backtest"], account, (signals.id,)),
            request=account,
            inputs=(signals.id,),
        )
        return BacktestJob(lake).run(call, Report())

    def bars(self, symbol: str, columns: Mapping[str, np.ndarray]) -> list[Any]:
        day = (columns["ts_close"] - 1) // DAY_US
        entries = []
        for number in np.unique(day):
            text = str(np.datetime64(int(number), "D"))
            part = {name: values[day == number] for name, values in columns.items()}
            entries.append(self.lake.add_table(f"{symbol}/{text}.parquet", priced(part)))
        return entries

    def signals(self, columns: Mapping[str, Mapping[str, np.ndarray]], setting: Setting) -> list[Any]:
        names = sorted(setting.parameters)
        combos = list(product(*(setting.parameters[name] for name in names)))
        table = {"combo": pa.array(range(len(combos)), pa.int32())}
        table |= {name: pa.array([combo[i] for combo in combos]) for i, name in enumerate(names)}
        entries = [self.lake.add_table("combos.parquet", pa.table(table))]
        for symbol, market in columns.items():
            rows: list[tuple[int, int, int]] = []
            for number, combo in enumerate(combos):
                mask = crossing(market["close"], dict(zip(names, combo, strict=True)), setting.shorts)
                change = np.flatnonzero(np.diff(mask, prepend=0))
                rows += [(number, int(bar), int(mask[bar])) for bar in change]
            facts = {"symbol": symbol, "first_combo": 0, "n_combos": len(combos), "n_bars": market["close"].size}
            kinds = (("combo", pa.int32()), ("bar", pa.int64()), ("mask", pa.int8()))
            signal = pa.table({name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(kinds)})
            entries.append(self.lake.add_table(f"{symbol}/0.parquet", signal, facts=facts))
        return entries


def priced(columns: Mapping[str, np.ndarray]) -> pa.Table:
    """Return bars as a table: prices exact decimals of two places, volume of three."""
    exact = {name: decimals(columns[name], PLACES) for name in ("open", "high", "low", "close")}
    times = {name: columns[name] for name in ("ts_open", "ts_close")}
    return pa.table(times | exact | {"volume": decimals(columns["volume"], 3)})


def viz_call(backtest: Manifest, **request: Any) -> StageCall:
    """Return the work order for a report of `backtest`."""
    wanted = VizRequest.model_validate(request).canonical()
    return StageCall(
        artifact_id=artifact_id("viz", VERSIONS["viz"], wanted, (backtest.id,)), request=wanted, inputs=(backtest.id,)
    )


Make = Callable[..., Manifest]
