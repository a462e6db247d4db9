"""What the download stage is asked for: whose trades or klines, of which days, from where."""

import calendar
import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from tickloom.contracts.base import AsTuple, Contract, Symbol

VERSION = 5
CERTIFICATES = "quality/certificates.json"
"""The file of a download that has the quality certificates of its symbols and months."""

Market = Literal["spot", "usdm", "coinm"]

Interval = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]
INTERVAL_US: dict[str, int] = {
    name: int(name[:-1]) * {"m": 60, "h": 3600, "d": 86400}[name[-1]] * 1_000_000
    for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
}

Calendar = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?$"),
    Field(description="a UTC month (2022-01) or day (2022-01-31)"),
]


def _inside(path: str) -> str:
    """Refuse what leads out of a folder. Whoever opens the file must still look where its links lead."""
    parts = path.split("/")
    if any(part in ("", ".", "..", "~") for part in parts) or not path.isprintable() or set(path) & set("\\:"):
        raise ValueError("must be a plain path in the import folder, as in trades/BTCUSDT.csv")
    return path


class SourceFile(Contract):
    """A file under the import folder. The gateway pins its SHA-256 when it accepts the request."""

    path: Annotated[str, AfterValidator(_inside)] = Field(
        min_length=1, max_length=256, description="relative to the operator's import folder"
    )
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="filled in at submission")


def _source_file(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


Files = dict[Symbol, Annotated[SourceFile, BeforeValidator(_source_file)]]


class QualityRule(Contract):
    """What is demanded of the data, by the grades of docs/quality.md, and what happens to what is worse."""

    minimum: Literal["A", "B", "C", "D", "E", "F"] | None = Field(
        None, description="the worst grade of a symbol's month that is good enough; null: every grade is"
    )
    on_failure: Literal["stop", "warn", "drop_day"] = Field(
        "warn", description="stop with an error; go on and warn; or leave out the days that are worse"
    )
    klines: bool = Field(True, description="compare an exchange's trades with its official 1-minute bars")

    @model_validator(mode="after")
    def _has_a_minimum(self) -> Self:
        if self.minimum is None and self.on_failure != "warn":
            raise ValueError(f"on_failure {self.on_failure} needs a minimum, as in B")
        return self


class DownloadRequest(Contract):
    """Fetch trades or klines, verify them, and store them by symbol and UTC day.

    `venue: binance` and `sim` read exchange archives between `start_date` and `end_date`, both included: a month
    stands for all its days. `venue: file` imports `files` from the operator's import folder.
    """

    symbols: Annotated[tuple[Symbol, ...], AsTuple] = Field((), max_length=50, examples=[["BTCUSDT", "ETHUSDT"]])
    start_date: Calendar | None = Field(None, examples=["2022-01"])
    end_date: Calendar | None = Field(None, examples=["2022-03"])
    venue: Literal["binance", "sim", "file"] | None = Field(None, description="default: the operator's choice")
    market: Market = "spot"
    data_type: Literal["aggTrades", "trades", "klines"] = "aggTrades"
    interval: Interval | None = Field(None, description="of klines")
    dataset: str = Field("", max_length=200, pattern=r"^[\w=,.\-]*$", description="which data the simulator serves")
    edition: int | None = Field(
        None,
        ge=0,
        le=9999,
        description="filled in at submission: raised each time the exchange has replaced an archive of this download",
    )
    files: Files = Field(default_factory=dict, max_length=50, description="venue file: symbol -> file")
    compare: Literal["suspicious", "all", "none"] = Field(
        "suspicious",
        description="which days of monthly archives are compared with the daily ones; of rows that differ "
        "the daily archive's count, and of ids (of klines, opening times) that one archive lacks the other's",
    )
    repair_requests: int = Field(
        1000, ge=0, le=2000, description="trades: REST requests that a run may make for ids that its archives lack"
    )
    quality: QualityRule = Field(default_factory=QualityRule)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.data_type == "klines") != (self.interval is not None):
            raise ValueError("interval belongs to data_type klines, and klines need one")
        if self.data_type == "klines" and self.quality.on_failure == "drop_day":
            raise ValueError("quality: drop_day belongs to trades; klines are stored in longer pieces than days")
        if self.venue == "file":
            if not self.files or set(self.symbols) - set(self.files):
                raise ValueError("venue file needs files: a symbol -> file entry for each symbol")
            if self.dataset:
                raise ValueError("dataset belongs to venue sim")
        else:
            if self.files:
                raise ValueError("files belong to venue file")
            if not self.symbols or self.start_date is None or self.end_date is None:
                raise ValueError("symbols, start_date and end_date are needed")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols: each may be named once")
        first, last = self.first_day(), self.last_day()  # also where only one is given: it must be in the calendar
        if self.start_date is not None and self.end_date is not None:
            if last < first:
                raise ValueError(f"end_date {self.end_date} is before start_date {self.start_date}")
            if (last - first).days > 3653:
                raise ValueError("end_date: a request spans ten years at most")
        return self

    def title(self) -> str:
        """Return what lists call it: its symbols and days."""
        ends = " to ".join(dict.fromkeys(filter(None, (self.start_date, self.end_date))))
        return f"{' '.join(self.all_symbols())} {ends}".strip()[:200]

    def first_day(self) -> date:
        """Return the first UTC day. Only when start_date is given."""
        return _first(self.start_date or "1970-01-01")

    def last_day(self) -> date:
        """Return the last UTC day, included. Only when end_date is given."""
        return _last(self.end_date or "9999-12-31")

    def all_symbols(self) -> tuple[str, ...]:
        """Return the symbols asked for: in the order of the request, or the sorted names of its files."""
        return self.symbols or tuple(sorted(self.files))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text} is not a day of the calendar") from None


def _first(text: str) -> date:
    return _day(text if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else f"{text}-01")


def _last(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return _day(text)
    year, month = int(text[:4]), int(text[5:])
    return date(year, month, calendar.monthrange(year, month)[1])


def days(first: date, last: date) -> list[date]:
    """Return the UTC days from first to last, both included."""
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]
