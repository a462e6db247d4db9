"""How many rows each stage of a chain has to go through, before any of it runs: counted where the lake or a calendar
tells, bounded where a request or an exchange does, guessed within bounds where neither does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil

import pyarrow as pa
import pyarrow.dataset as ds

from api_gateway.archive_sizes import rows_of
from api_gateway.intake import import_path
from api_gateway.models import Span
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.bars import BarSpec, BarsRequest, TickBars, TimeBars, bars_of
from tickloom.contracts.download import INTERVAL_US, DownloadRequest
from tickloom.contracts.features import FeaturesRequest
from tickloom.settings import settings

DAY_US = 86_400_000_000
BYTES_A_ROW = (15, 200)
"""Of a line of text in an imported file; zipped, a line takes a tenth of its bytes at the least."""
SIMULATED = 20_000
"""Trades of a symbol and day that the simulator makes where its dataset does not say."""
TRADES_A_DAY = (300_000, 10_000_000)
"""Of a symbol, where nobody says: a guess, and more than the busiest days of the busiest symbols."""
TRADES_A_BAR = 100
"""A guess, where how many bars close follows from the path of the price."""


@dataclass(frozen=True)
class Count:
    """Rows of all symbols together, or None and why they are not known."""

    rows: Span | None
    how: str
    n_days: int | None = None
    """UTC days that they span."""
    totals: Mapping[str, float] = field(default_factory=dict)
    """Of trades that are stored: their `volume` and `dollar`, what bars of those kinds have to share."""


def exactly(rows: int, how: str, n_days: int | None, totals: Mapping[str, float] | None = None) -> Count:
    """Return a count that is known."""
    return Count(Span.of(rows, rows, rows), how, n_days, totals or {})


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
    totals = {
        kind: sum(float(entry.facts[fact]) for entry in tables)
        for kind, fact in (("volume", "quantity"), ("dollar", "notional"))
        if stage == "download" and tables and all(fact in entry.facts for entry in tables)
    }
    return exactly(sum(entry.rows or 0 for entry in tables), how, n_days, totals)


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
    is_made = request.dataset == "" or "=" in request.dataset
    if (request.venue or settings().venue) == "sim" and is_made:
        asked = dict(part.partition("=")[::2] for part in request.dataset.split(","))
        rows = symbol_days * int(asked.get("trades_per_day", SIMULATED))
        return Count(Span.of(rows // 3, rows, 2 * rows), "the dataset's trades_per_day, a mean", n_days)
    if (told := rows_of(request)) is not None:
        return Count(*told, n_days)
    usual, most = TRADES_A_DAY
    how = f"a guess, for the exchange does not say: at most {most:,} trades of a symbol and day"
    return Count(Span.of(0, usual * symbol_days, most * symbol_days), how, n_days)


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


def of_bars(request: BarsRequest, trades: Count, klines: str | None, bars: str | None, n_symbols: int) -> Count:
    """Return the bars that will be made, of the kind named by `bars` where there are several."""
    spec: BarSpec = (
        request.named()[bars or ""] if (bars or "") in request.named() else next(iter(request.named().values()))
    )
    if isinstance(spec, TimeBars):
        return _time_bars(spec, trades, klines, n_symbols)
    if trades.rows is None:
        return trades
    # A day that begins with an empty bar has one more, which is not full.
    resets = n_symbols * (trades.n_days or 0) if getattr(spec, "reset", "never") == "daily" else n_symbols
    threshold, most = getattr(spec, "threshold", None), trades.rows.high
    if isinstance(spec, TickBars) and threshold is not None:
        span = Span.of(trades.rows.low // threshold, trades.rows.expected // threshold, most // threshold + resets)
        return Count(span, f"a bar for every {threshold:,} trades", trades.n_days)
    target = getattr(spec, "target_bars_per_day", None)
    if target is not None and trades.n_days is not None:
        rows = int(target) * trades.n_days * n_symbols
        return Count(Span.of(rows // 4, rows, 4 * rows), "target_bars_per_day", trades.n_days)
    if threshold is not None and spec.kind in trades.totals:
        return _of_totals(trades, spec.kind, float(threshold), getattr(spec, "excess", "drop"), resets)
    if getattr(spec, "excess", "drop") == "split":
        how = f"how many bars {spec.kind} splits its trades into is known once they are stored"
        return Count(None, how, trades.n_days)
    usual = getattr(spec, "expected_trades", TRADES_A_BAR)
    how = f"a guess, {usual:,} trades a {spec.kind} bar; at most a bar for each trade"
    return Count(Span.of(0, trades.rows.expected // usual, most), how, trades.n_days)


def _of_totals(trades: Count, kind: str, threshold: float, excess: str, resets: int) -> Count:
    """Return how many bars the stored volume or notional fills. Dropping what a bar has too much leaves fewer."""
    assert trades.rows is not None
    total = trades.totals[kind]
    most = total / threshold + resets
    if excess != "split":
        most = min(most, trades.rows.high)
    mean = total / max(trades.rows.expected, 1)
    usual = total / (threshold + mean) if excess == "drop" else total / threshold
    how = f"an estimate by what was traded in all, {total:,.0f}, at {threshold:,.8g} a bar"
    return Count(Span.of(0, min(usual, most), most), how, trades.n_days)


def _time_bars(spec: TimeBars, trades: Count, klines: str | None, n_symbols: int) -> Count:
    if klines is not None and trades.rows is not None:
        ratio = max(INTERVAL_US[spec.interval] // INTERVAL_US[klines], 1)
        low, expected, high = (ceil(rows / ratio) for rows in (trades.rows.low, trades.rows.expected, trades.rows.high))
        return Count(Span.of(low, expected, high), f"klines merged to {spec.interval}", trades.n_days)
    if trades.n_days is not None:
        rows = n_symbols * trades.n_days * DAY_US // INTERVAL_US[spec.interval]
        return Count(
            Span.of(0, rows, rows), f"at most a bar for each {spec.interval} of each symbol's days", trades.n_days
        )
    if trades.rows is None:
        return trades
    how = f"a guess, {TRADES_A_BAR} trades a bar; at most a bar for each trade"
    return Count(Span.of(0, trades.rows.expected // TRADES_A_BAR, trades.rows.high), how)


def columns_of(features: FeaturesRequest) -> int:
    """Return how many columns a table of these features has, those of the bars included."""
    return 14 + len(features.columns())
