"""What an exchange's archives are called, and which of them cover a range of days."""

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Self
from urllib.parse import quote

from tickloom.contracts.download import DownloadRequest, days

_MARKET_FOLDER = {"spot": "spot", "usdm": "futures/um", "coinm": "futures/cm"}


@dataclass(frozen=True)
class Archive:
    """One zip of an exchange: a symbol's trades or klines of a UTC month or day.

    Source: github.com/binance/binance-public-data, README.
    """

    market: str
    data_type: str
    interval: str  # of klines, else empty
    symbol: str
    first: date
    monthly: bool

    @property
    def last(self) -> date:
        """Return the last UTC day, included."""
        if not self.monthly:
            return self.first
        return self.first.replace(day=calendar.monthrange(self.first.year, self.first.month)[1])

    @property
    def label(self) -> str:
        """Return the period as the archive's name spells it: 2022-01 or 2022-01-03."""
        return self.first.isoformat()[: 7 if self.monthly else 10]

    @property
    def stem(self) -> str:
        """Return the name without its ending, as in BTCUSDT-aggTrades-2022-01."""
        return f"{self.symbol}-{self.interval or self.data_type}-{self.label}"

    @property
    def path(self) -> str:
        """Return the path below the exchange's base URL, percent-encoded."""
        period = "monthly" if self.monthly else "daily"
        folder = [_MARKET_FOLDER[self.market], period, self.data_type, quote(self.symbol, safe="")]
        folder += [self.interval] if self.interval else []
        return f"/data/{'/'.join(folder)}/{quote(self.stem, safe='')}.zip"

    @property
    def published(self) -> date:
        """Return the day from which on the exchange can be expected to have it."""
        return self.last + timedelta(days=15 if self.monthly else 2)

    def daily(self, day: date) -> Self:
        """Return the archive of one day of this one."""
        return type(self)(self.market, self.data_type, self.interval, self.symbol, day, False)

    def dailies(self) -> list[Self]:
        """Return the archives of its days, in order."""
        return [self.daily(day) for day in days(self.first, self.last)]


def plan(request: DownloadRequest) -> list[list[Archive]]:
    """Return for each symbol the archives to read, in order: whole months as one, other days one by one."""
    wanted = days(request.first_day(), request.last_day())
    months = [list(group) for _, group in groupby(wanted, lambda day: day.replace(day=1))]
    interval = request.interval or ""
    plans = []
    for symbol in request.symbols:
        archives = []
        for month in months:
            whole = Archive(request.market, request.data_type, interval, symbol, month[0].replace(day=1), True)
            covered = month[0] == whole.first and month[-1] == whole.last
            archives += [whole] if covered else [whole.daily(day) for day in month]
        plans.append(archives)
    return plans
