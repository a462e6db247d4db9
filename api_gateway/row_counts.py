"""How many rows each stage of a chain has to go through, before any of it runs: counted where the lake or a calendar
tells, bounded where a request does, and left unknown where neither does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from api_gateway.intake import import_path
from api_gateway.models import Span
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.bars import BarSpec, BarsRequest, TickBars, TimeBars, bars_of
from tickloom.contracts.download import INTERVAL_US, DownloadRequest
from tickloom.contracts.features import FeaturesRequest

DAY_US = 86_400_000_000
BYTES_A_ROW = (15, 200)
"""Of a line of text in an imported file; zipped, a line takes a tenth of its bytes at the least."""


@dataclass(frozen=True)
class Count:
    """Rows of all symbols together, or None and why they are not known."""

    rows: Span | None
    how: str
    n_days: int | None = None
    """UTC days that they span."""


def exactly(rows: int, how: str, n_days: int | None) -> Count:
    """Return a count that is known."""
    return Count(Span.of(rows, rows, rows), how, n_days)


def made(stage: str, manifest: Manifest, bars: str | None, n_days: int | None) -> Count:
    """Return what an artifact that is in the lake holds for the stages after it.

    bars  which bars the features want, where there are several kinds
    """
    how = f"counted in the {stage} artifact that is in the lake"
    if stage == "signals":
        n_bars = {entry.facts["symbol"]: int(entry.facts["n_bars"]) for entry in manifest.files if entry.facts}
        return exactly(sum(n_bars.values()), how, n_days)
    chosen = bars_of(manifest, bars) if stage == "bars" and bars else manifest
    tables = [entry for entry in chosen.files if entry.rows is not None and not entry.name.startswith("quality/")]
    return exactly(sum(entry.rows or 0 for entry in tables), how, n_days)


def of_download(request: DownloadRequest) -> Count:
    """Return the rows that a download will store. Raises InvalidRequest where an imported file is not there."""
    if request.venue == "file":
        return _of_files(request)
    today = datetime.now(UTC).date()
    n_days = (min(request.last_day(), today - timedelta(days=1)) - request.first_day()).days + 1
    symbol_days = n_days * len(request.all_symbols())
    if request.interval is not None:
        rows = symbol_days * DAY_US // INTERVAL_US[request.interval]
        return Count(Span.of(0, rows, rows), "klines of every interval of the days asked for", n_days)
    settings = dict(part.partition("=")[::2] for part in request.dataset.split(",") if part)
    if request.venue == "sim" and ("trades_per_day" in settings or not request.dataset):
        rows = symbol_days * int(settings.get("trades_per_day", 20_000))
        return Count(Span.of(rows // 3, rows, 2 * rows), "the dataset's trades_per_day, a mean", n_days)
    return Count(None, "how many trades there are is known once they are downloaded", n_days)


def _of_files(request: DownloadRequest) -> Count:
    low = expected = high = 0
    for symbol, file in request.files.items():
        path = import_path(symbol, file.path)
        if path.suffix in (".feather", ".arrow", ".parquet", ".pq"):
            try:
                rows = ds.dataset(
                    path, format="parquet" if path.suffix in (".parquet", ".pq") else "feather"
                ).count_rows()
            except (OSError, pa.ArrowException):
                return Count(None, f"{file.path} cannot be read: the download will say why")
            low, expected, high = low + rows, expected + rows, high + rows
        else:
            size = path.stat().st_size * (1 if path.suffix == ".csv" else 10)
            low, high = low + path.stat().st_size // BYTES_A_ROW[1], high + size // BYTES_A_ROW[0] + 1
            expected += size // 60
    n_days = None
    if request.interval is not None:
        n_days = ceil(expected / len(request.files) * INTERVAL_US[request.interval] / DAY_US) + 1
    return Count(Span.of(low, expected, high), "the size of the imported files", n_days)


def of_bars(request: BarsRequest, trades: Count, klines: str | None, bars: str | None) -> Count:
    """Return the bars that will be made, of the kind named by `bars` where there are several."""
    if trades.rows is None:
        return trades
    spec: BarSpec = (
        request.named()[bars or ""] if (bars or "") in request.named() else next(iter(request.named().values()))
    )
    if isinstance(spec, TimeBars):
        return _time_bars(spec, trades, klines)
    if isinstance(spec, TickBars) and spec.threshold is not None:
        n = spec.threshold
        span = Span.of(trades.rows.low // n, trades.rows.expected // n, trades.rows.high // n + 1)
        return Count(span, f"a bar for every {n:,} trades", trades.n_days)
    target: Any = getattr(spec, "target_bars_per_day", None)
    if target is not None and trades.n_days is not None:
        rows = int(target) * trades.n_days
        return Count(Span.of(rows // 4, rows, 4 * rows), "target_bars_per_day", trades.n_days)
    how = f"how many {spec.kind} bars there are is known once they are made; at most one for each trade"
    return Count(None, how, trades.n_days)


def _time_bars(spec: TimeBars, trades: Count, klines: str | None) -> Count:
    assert trades.rows is not None
    if klines is not None:
        ratio = max(INTERVAL_US[spec.interval] // INTERVAL_US[klines], 1)
        low, expected, high = (ceil(rows / ratio) for rows in (trades.rows.low, trades.rows.expected, trades.rows.high))
        return Count(Span.of(low, expected, high), f"klines merged to {spec.interval}", trades.n_days)
    if trades.n_days is None:
        return Count(None, "how many days the imported trades span is known once they are stored")
    rows = trades.n_days * DAY_US // INTERVAL_US[spec.interval]
    return Count(Span.of(0, rows, rows), f"a bar for each {spec.interval} of a symbol's days", trades.n_days)


def columns_of(features: FeaturesRequest) -> int:
    """Return how many columns a table of these features has, those of the bars included."""
    return 14 + len(features.columns())
