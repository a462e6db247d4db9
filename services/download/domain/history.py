"""What an exchange's REST API still knows of old trades: where to ask, what an answer looks like, what it costs.

Sources: binance-spot-api-docs, rest-api.md ("Old trade lookup", "Compressed/Aggregate trades list") and
faqs/market_data_only.md; Binance derivatives documentation, "Compressed/Aggregate Trades List" and "Old Trades Lookup".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from services.download.domain.errors import BadAnswer

MAX_ANSWER: Final = 1 << 22
MICROSECONDS_SINCE: Final = date(2025, 1, 1)
"""From this day on, spot archives are in microseconds; REST is asked for the same unit, so that times agree."""

NEEDS_KEY: Final = "the exchange gives old trades of this market to holders of an API key alone"
_VALUE = re.compile(r"[\w.+-]{1,40}", re.ASCII)
_AGGREGATES = ("a", "p", "q", "f", "l", "T", "m")
_TRADES = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker")

Host = Literal["public", "spot", "usdm", "coinm"]


@dataclass(frozen=True)
class Endpoint:
    """Where trades are asked for by id.

    host    which of the operator's addresses
    weight  of one request, counted against the address that asks
    limit   trades in an answer, at most
    fields  of a trade in the answer, in the order of an archive's columns
    """

    host: Host
    path: str
    weight: int
    limit: int
    fields: tuple[str, ...]
    needs_key: bool = False


_ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("spot", "aggTrades"): Endpoint("public", "/api/v3/aggTrades", 4, 1000, (*_AGGREGATES, "M")),
    # The public-data address does not have this one.
    ("spot", "trades"): Endpoint("spot", "/api/v3/historicalTrades", 25, 1000, (*_TRADES, "isBestMatch")),
    ("usdm", "aggTrades"): Endpoint("usdm", "/fapi/v1/aggTrades", 20, 1000, _AGGREGATES),
    ("usdm", "trades"): Endpoint("usdm", "/fapi/v1/historicalTrades", 20, 500, _TRADES, needs_key=True),
    ("coinm", "aggTrades"): Endpoint("coinm", "/dapi/v1/aggTrades", 20, 1000, _AGGREGATES),
    ("coinm", "trades"): Endpoint("coinm", "/dapi/v1/historicalTrades", 20, 500, _TRADES, needs_key=True),
}


def endpoint_of(market: str, data_type: str) -> Endpoint:
    """Return where to ask for the trades of a market."""
    return _ENDPOINTS[market, data_type]


@dataclass(frozen=True)
class Page:
    """One answer: ids in order, and its trades as lines of an archive. Void rows have an id and no line."""

    ids: list[int]
    lines: list[bytes]


def read_page(url: str, body: bytes, endpoint: Endpoint, from_id: int) -> Page:
    """Read an answer to a request for trades from `from_id` on. Raises BadAnswer.

    A void row (first and last id -1) stands where a duplicate was: the exchange knows no trade of that id.
    """
    try:
        rows = json.loads(body, parse_float=str)
    except (ValueError, RecursionError):
        raise BadAnswer(url, "it is not JSON") from None
    if not isinstance(rows, list) or len(rows) > endpoint.limit:
        raise BadAnswer(url, f"it is not a list of at most {endpoint.limit} trades")
    page, least = Page([], []), from_id
    for row in rows:
        values = _values(url, row, endpoint)
        trade_id = row[endpoint.fields[0]]
        if type(trade_id) is not int or trade_id < least:
            raise BadAnswer(url, f"its ids do not count up from {from_id}")
        is_void = row.get("f") == row.get("l") == -1
        page.ids.append(trade_id)
        page.lines.append(b"" if is_void else (",".join(values) + "\n").encode())
        least = trade_id + 1
    return page


def _values(url: str, row: Any, endpoint: Endpoint) -> list[str]:
    """Return the fields of a trade as an archive would spell them; whatever could be more than a value is refused."""
    if not isinstance(row, dict):
        raise BadAnswer(url, "a trade is not an object")
    values = []
    for name in endpoint.fields:
        value = row.get(name)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not isinstance(value, str | int) or not _VALUE.fullmatch(text):
            raise BadAnswer(url, f"a trade has no usable {name!r}")
        values.append(text)
    return values
