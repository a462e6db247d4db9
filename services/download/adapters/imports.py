"""Klines from files of other programs: every table becomes the text of canonical columns, and is then read by the one
exact parser. Floats become their shortest text, the one that reads back as the same float.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from services.download.adapters.archive import open_member
from services.download.adapters.ingest import Source
from services.download.adapters.texts import first_line, open_text, whole_text
from services.download.domain.archives import period_of
from services.download.domain.errors import BadRow, FileChanged, FileMissing, FileOutside, FileUnreadable
from services.download.domain.layouts import KLINES, Layout, klines_layout, layout_of
from services.download.domain.times import MICROSECONDS_FROM
from tickloom.contracts.download import VERSION
from tickloom.identity import digest, sha256_file

TEXTS: Final = (".csv", ".csv.gz")
TABLES: Final = (".feather", ".parquet", *TEXTS)
_TIME = ("ts_open", "open_time", "date", "datetime", "timestamp", "time", "date_time", "unix")
_NAMES: dict[str, tuple[str, ...]] = {
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "notional": ("notional", "quote_volume", "quote_asset_volume", "asset_volume"),
    "n_trades": ("n_trades", "trades", "count", "number_of_trades", "tradecount"),
    "buy_volume": ("buy_volume", "taker_buy_volume", "taker_buy_base_asset_volume", "buy_base_asset_volume"),
    "buy_notional": (
        "buy_notional",
        "taker_buy_quote_volume",
        "taker_buy_quote_asset_volume",
        "buy_quote_asset_volume",
    ),
}
_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y-%m-%d %I:%M %p",
    "%Y/%m/%d %H:%M:%S%.f",
)
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.f%#z")
_UNITS = ((10**11, 1_000_000), (10**14, 1_000), (10**17, 1))
"""Times below 10**11 are seconds, below 10**14 milliseconds, below 10**17 microseconds, else nanoseconds."""


@dataclass(frozen=True)
class Import:
    """One file of the import folder and what to read from it."""

    path: str
    sha256: str
    symbol: str
    market: str
    data_type: str
    interval: str
    first: date | None
    last: date | None

    def key(self) -> str:
        """Return the digest of all that its part depends on."""
        span = {"first": str(self.first), "last": str(self.last)}
        return digest({"version": VERSION, "venue": "file", **vars(self), **span})


@contextmanager
def opened(file: Path, stem: str, work: Import) -> Iterator[tuple[Source, Iterable[bytes]]]:
    """Yield what a file holds, and its text.

    file  a copy of one's own; its ending says of which kind it is
    stem  its name in the import folder, without the ending

    Raises FileUnreadable, and what open_member and open_text raise, also while the text is read.
    """
    layout = layout_of(work.market, work.data_type)
    if file.suffix == ".zip":
        with open_member(file, work.path, None) as chunks:
            yield _source(work, layout, period_of(stem)), chunks
    elif not file.name.endswith(TABLES):
        raise FileUnreadable(work.path, f"it is none of {', '.join(TABLES)} and .zip")
    elif file.name.endswith(TEXTS) and (not work.interval or _is_plain_klines(file, work.path)):
        with open_text(file, work.path) as chunks:
            yield _source(work, layout, None), chunks
    elif not work.interval:
        raise FileUnreadable(work.path, "trades are read from the exchange's own .zip or .csv alone")
    else:
        text, layout = klines_text(file, work.path, work.symbol)
        try:
            yield _source(work, layout, None), [text]
        except BadRow as error:
            raise error.of_table() from None


def _source(work: Import, layout: Layout, period: tuple[date, date] | None) -> Source:
    first, last = work.first or date(1970, 1, 1), work.last or date(9999, 12, 31)
    if period is not None:
        first, last = max(first, period[0]), min(last, period[1])
    record = f"{work.symbol}-{work.interval or work.data_type}"
    return Source(work.path, work.symbol, layout, work.interval, first, last, record, whole=period is not None)


def resolve(folder: Path, path: str) -> Path:
    """Return the file that a request names. Raises FileOutside, also for links that lead out, and FileMissing."""
    try:
        root, file = folder.resolve(), (folder / path).resolve()
    except (OSError, ValueError, RuntimeError):
        raise FileOutside(path) from None
    if not file.is_relative_to(root):
        raise FileOutside(path)
    if not file.is_file():
        raise FileMissing(path)
    return file


def check_sha256(file: Path, path: str, pinned: str) -> None:
    """Raise FileChanged when the file is not the pinned one."""
    found = sha256_file(file)
    if found != pinned:
        raise FileChanged(path, pinned, found)


def klines_text(file: Path, path: str, symbol: str) -> tuple[bytes, Layout]:
    """Return a table of klines as text of canonical columns, and their layout. Raises FileUnreadable."""
    try:
        frame = _read(file, path)
        columns = _columns(frame, path, symbol)
        times = _microseconds(frame[columns.pop("ts_open")], path)
        names = tuple(column.name for column in KLINES.columns if column.name in columns)
        values = [_text(frame[columns[name]], integer=name == "n_trades").alias(name) for name in names]
        if (times < MICROSECONDS_FROM).any():
            raise FileUnreadable(path, "a time lies before 1973: that is a unit misread, not a market")
        canonical = pl.DataFrame([times.alias("ts_open"), *values])
        if canonical.null_count().sum_horizontal().item():
            raise FileUnreadable(path, "a row has no value in a column that is read")
        text = canonical.write_csv(include_header=False, quote_style="never").encode()
        return text, klines_layout(("ts_open", *names))
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        raise FileUnreadable(path, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}") from error


def _is_plain_klines(file: Path, path: str) -> bool:
    """Tell whether a CSV file is in the exchange's own form: 12 columns without a header."""
    return re.fullmatch(rb"\d+(,[^,]*){11}", first_line(file, path)) is not None


def _read(file: Path, path: str) -> pl.DataFrame:
    if file.suffix == ".feather":
        return pl.read_ipc(file)
    if file.suffix == ".parquet":
        return pl.read_parquet(file)
    text = whole_text(file, path)
    return pl.read_csv(io.BytesIO(text[_header(text) :]), infer_schema=False)


def _header(text: bytes) -> int:
    """Return where the header begins: some vendors put a line about themselves before it."""
    at = 0
    for line in text[: 1 << 16].split(b"\n")[:5]:
        if {_plain(name) for name in line.decode("utf-8", "replace").split(",")} & set(_TIME):
            return at
        at += len(line) + 1
    return 0


def _plain(name: str) -> str:
    return re.sub(r"[ .]+", "_", name.strip().strip('"').removeprefix("\ufeff").lower())


def _columns(frame: pl.DataFrame, path: str, symbol: str) -> dict[str, str]:
    """Return canonical name -> column of the frame."""
    given: dict[str, str] = {}
    for name in frame.columns:
        if _plain(name) in given:
            raise FileUnreadable(path, f"two columns are called {_plain(name)!r}")
        given[_plain(name)] = name
    columns = {}
    for wanted, names in {"ts_open": _TIME, **_NAMES}.items():
        found = next((given[name] for name in names if name in given), None)
        if found is not None:
            columns[wanted] = found
    columns["volume"] = given[_volume(set(given), path, symbol)]
    missing = {"ts_open", "open", "high", "low", "close"} - set(columns)
    if missing:
        have = ", ".join(frame.columns)[:200]
        raise FileUnreadable(path, f"no column is {' or '.join(sorted(missing))}; it has {have}")
    return columns


def _volume(given: set[str], path: str, symbol: str) -> str:
    """Return the column of the base volume: `volume`, or `volume_btc` of BTCUSD, whose `volume` is in dollars."""
    others = {name for name in given if re.fullmatch(r"volume_[a-z0-9]+", name)}
    base = {name for name in others if symbol.lower().startswith(name.removeprefix("volume_"))}
    if len(base) == 1:
        return base.pop()
    if others or "volume" not in given:
        have = ", ".join(sorted(others | ({"volume"} & given))) or "none"
        raise FileUnreadable(path, f"it is not clear which column is the volume in the base currency: {have}")
    return "volume"


def _microseconds(column: pl.Series, path: str) -> pl.Series:
    """Return opening times as int64 microseconds UTC."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch("us")
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("us")).dt.epoch("us")
    if column.dtype == pl.String:
        numbers = column.str.strip_chars().cast(pl.Int64, strict=False)
        return _parsed(column.str.strip_chars(), path) if numbers.null_count() else _epoch(numbers, path)
    if column.dtype.is_integer():
        return _epoch(column.cast(pl.Int64), path)
    raise FileUnreadable(path, f"times are of type {column.dtype}: integers, dates or text are understood")


def _epoch(times: pl.Series, path: str) -> pl.Series:
    low, high = times.min(), times.max()
    if not isinstance(low, int) or not isinstance(high, int):
        return times
    for limit, factor in _UNITS:
        if high < limit:
            if low <= high // 100:
                raise FileUnreadable(path, "times are in more than one unit")
            return times * factor
    if (times % 1_000 != 0).any():
        raise FileUnreadable(path, "times are finer than a microsecond")
    return times // 1_000


def _parsed(texts: pl.Series, path: str) -> pl.Series:
    texts = texts.str.replace(r"(\d\d)-([AP]M)$", "${1}:00 ${2}")  # 09-AM, as CryptoDataDownload writes hours
    for pattern in (*_FORMATS, *_ZONED):
        zone = "UTC" if pattern in _ZONED else None
        try:
            times = texts.str.to_datetime(pattern, time_unit="us", strict=False, time_zone=zone)
        except pl.exceptions.PolarsError:
            continue
        if not times.null_count():
            return times.dt.epoch("us")
    raise FileUnreadable(path, f"times such as {texts[0]!r} are not understood")


def _text(column: pl.Series, *, integer: bool) -> pl.Series:
    """Return numbers as text, exactly: a float by its shortest text."""
    if column.dtype == pl.String:
        return column.str.strip_chars()
    if integer and column.dtype.is_float():
        column = column.cast(pl.Int64, strict=True)
    return column.cast(pl.String)
