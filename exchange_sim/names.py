"""The grammar of archive names and paths on data.binance.vision, and which days each archive covers.

`/data/{spot|futures/um|futures/cm}/{daily|monthly}/{trades|aggTrades|klines}/{SYMBOL}/[{interval}/]{NAME}.zip`, where
NAME is `SYMBOL-trades-DATE`, `SYMBOL-aggTrades-DATE` or `SYMBOL-{interval}-DATE`. Nothing else is served.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias, get_args

from exchange_sim.symbols import Market

Kind: TypeAlias = Literal["trades", "aggTrades", "klines"]
Period: TypeAlias = Literal["daily", "monthly"]
FOLDERS: dict[Market, str] = {"spot": "spot", "um": "futures/um", "cm": "futures/cm"}
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1mo")
LONGER_THAN_A_DAY = frozenset({"3d", "1w", "1mo"})
_NAME = re.compile(
    r"(?P<symbol>\w{1,32})-(?P<middle>trades|aggTrades|[0-9]{1,2}[a-z]{1,2})-(?P<date>[0-9-]{7,10})\.zip"
)


@dataclass(frozen=True)
class ArchiveName:
    """One archive: where it lies in the tree, and the UTC days `[first_day, end_day)` that it covers."""

    market: Market
    period: Period
    kind: Kind
    symbol: str
    interval: str  # empty unless kind is klines
    first_day: date
    end_day: date

    @property
    def stem(self) -> str:
        """Return the name without `.zip`; the CSV inside has the same."""
        middle = self.interval if self.kind == "klines" else self.kind
        day = self.first_day.isoformat()
        return f"{self.symbol}-{middle}-{day if self.period == 'daily' else day[:7]}"

    @property
    def path(self) -> str:
        """Return the path below `/data/`."""
        market = FOLDERS[self.market]
        folder = f"{market}/{self.period}/{self.kind}/{self.symbol}"
        return f"{folder}/{self.interval}/{self.stem}.zip" if self.interval else f"{folder}/{self.stem}.zip"

    def complete_on(self) -> date:
        """Return the first day on which everything in the archive is history.

        That is the end of its period, but for bars that run on into the next month: they are complete when they close.
        """
        last = self.end_day - timedelta(days=1)
        if self.interval == "1w":
            return last - timedelta(days=last.weekday()) + timedelta(days=7)
        if self.interval == "3d":
            return last - timedelta(days=(last - date(1970, 1, 1)).days % 3) + timedelta(days=3)
        return self.end_day


def parse_archive_path(path: str) -> ArchiveName | None:
    """Read a path below `/data/` that ends in `.zip`; None where it is no archive of this exchange."""
    parts = path.split("/")
    market = next((market for market, folder in FOLDERS.items() if path.startswith(f"{folder}/")), None)
    if market is None:
        return None
    rest = parts[FOLDERS[market].count("/") + 1 :]
    if len(rest) not in (4, 5) or rest[0] not in get_args(Period) or rest[1] not in get_args(Kind):
        return None
    archive = parse_archive_name(market, rest[-1])
    # The file name says everything; the folders must only say the same.
    return archive if archive is not None and archive.path == path else None


def parse_archive_name(market: Market, name: str) -> ArchiveName | None:
    """Read a file name such as `BTCUSDT-trades-2024-01-31.zip`; None where it does not follow the grammar."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    middle = match["middle"]
    kind: Kind = "trades" if middle == "trades" else "aggTrades" if middle == "aggTrades" else "klines"
    interval = middle if kind == "klines" else ""
    days = _days(match["date"])
    if days is None or (kind == "klines" and interval not in INTERVALS) or (market != "spot" and interval == "1s"):
        return None
    period: Period = "daily" if len(match["date"]) == 10 else "monthly"
    if period == "daily" and interval in LONGER_THAN_A_DAY:
        return None
    return ArchiveName(market, period, kind, match["symbol"], interval, *days)


def _days(text: str) -> tuple[date, date] | None:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = date.fromisoformat(text)
            return day, day + timedelta(days=1)
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}", text):
            day = date.fromisoformat(f"{text}-01")
            return day, (day + timedelta(days=31)).replace(day=1)
    except (ValueError, OverflowError):
        pass
    return None
