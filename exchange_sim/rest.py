"""`/api/v3`: parameters, limits and errors of the exchange's REST interface, over the same trades as the archives.

`/fapi/v1` has the aggregate trades of USD-M futures. History ends with yesterday (UTC), and a bar is there once it is
complete, so an answer changes at midnight only.
Departures: the current day's trades and the open bar are never there; unknown timeZone values are refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from exchange_sim.calendar import FIRST_ID, I64
from exchange_sim.dataset import Dataset
from exchange_sim.faults import block_of
from exchange_sim.intervals import DAY_US, WIDTHS, Grid
from exchange_sim.market import MadeMarket
from exchange_sim.mounts import ListedSymbol
from exchange_sim.symbols import SYMBOLS, Market
from exchange_sim.trades import EPOCH

MAX_LIMIT, DEFAULT_LIMIT = 1000, 500
WEIGHTS = {
    "spot": {"klines": 2, "aggTrades": 4, "historicalTrades": 25, "exchangeInfo": 20, "ping": 1, "time": 1},
    "um": {"aggTrades": 20, "historicalTrades": 20},
    "cm": {"aggTrades": 20, "historicalTrades": 20},
}
_FIRST_MICROSECOND = 10**14
_SYMBOL_RANGE = r"^[\w\-._&&[^a-z]]{1,50}$"
_NUMBER_RANGE = "^[0-9]{1,20}$"
_ZONE = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-5][0-9]))?")
_SYMBOLS = re.compile(r'\[("[\w\-.]{1,50}"(,"[\w\-.]{1,50}")*)?\]')


class ExchangeError(Exception):
    """The exchange's own answer to a request that it does not like: HTTP 400 with a code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Query:
    """The parameters of one request, checked as the exchange checks them."""

    values: Mapping[str, str]
    market: Market = "spot"

    @classmethod
    def read(cls, items: Sequence[tuple[str, str]], known: set[str], market: Market = "spot") -> "Query":
        """Refuse parameters that come twice or that the endpoint does not read."""
        values = dict(items)
        if len(values) < len(items):
            raise ExchangeError(-1101, "Duplicate values for a parameter detected.")
        n_read = len(values.keys() & known)
        if n_read < len(values):
            raise ExchangeError(
                -1104, f"Not all sent parameters were read; read '{n_read}' parameter(s) but was sent '{len(values)}'."
            )
        return cls(values, market)

    def symbol(self) -> str:
        """Return the mandatory symbol, known to this market."""
        text = self.mandatory("symbol")
        if not re.fullmatch(r"[\w\-.]{1,50}", text) or re.search("[a-z]", text):
            raise _illegal("symbol", _SYMBOL_RANGE)
        if text not in SYMBOLS or SYMBOLS[text].rules(self.market) is None:
            raise ExchangeError(-1121, "Invalid symbol.")
        return text

    def mandatory(self, name: str) -> str:
        """Return a parameter that has to be there."""
        if not self.values.get(name):
            raise ExchangeError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return self.values[name]

    def number(self, name: str) -> int | None:
        """Return a whole number of at most 20 digits, or None where it was not sent."""
        text = self.values.get(name)
        if text is None:
            return None
        if not re.fullmatch("[0-9]{1,20}", text):
            raise _illegal(name, _NUMBER_RANGE)
        if int(text) >= 2**63:
            raise ExchangeError(-1130, f"Data sent for parameter '{name}' is not valid.")
        return int(text)

    def limit(self) -> int:
        """Return the limit: 500 if none is sent, and never more than 1000, whatever is asked for."""
        limit = self.number("limit")
        if limit == 0:
            raise ExchangeError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(limit or DEFAULT_LIMIT, MAX_LIMIT)

    def range_us(self) -> tuple[int | None, int | None]:
        """Return startTime and endTime, both inclusive and in either unit, as `[start, end)` in microseconds."""
        start, end = self.number("startTime"), self.number("endTime")
        if start is not None and start < _FIRST_MICROSECOND:
            start *= 1000
        if end is not None:
            end = (end + 1) * 1000 if end < _FIRST_MICROSECOND else end + 1
        return start, end

    def zone_us(self) -> int:
        """Return the offset of timeZone in microseconds; -12:00 to +14:00."""
        match = _ZONE.fullmatch(self.values.get("timeZone", "0"))
        minutes = (int(match[2]) * 60 + int(match[3] or 0)) * (-1 if match[1] == "-" else 1) if match else 10**6
        if not -720 <= minutes <= 840 or minutes % 15:
            raise ExchangeError(-1130, "Data sent for parameter 'timeZone' is not valid.")
        return minutes * 60_000_000


def klines(dataset: Dataset, query: Query, today: date, microseconds: bool) -> list[list[Any]]:
    """Return bars, oldest first: from startTime on, or else the newest ones up to endTime."""
    market = MadeMarket(dataset, "spot", query.symbol())
    grid = Grid(_interval(query.mandatory("interval")), query.zone_us())
    limit = query.limit()
    start, end = query.range_us()

    def open_of(ts: int) -> int:
        return int(grid.open_of(np.array([ts], np.int64))[0])

    def shift(ts: int, n: int) -> int:
        return int(grid.shift(np.array([ts], np.int64), n)[0])

    first = open_of(_midnight(market.calendar.listed))
    end = min(open_of(_midnight(today)), end if end is not None else 2**62)
    begin = max(first, start if start is not None else first)
    if begin >= end:
        return []
    if start is not None:
        opened = open_of(begin)
        begin = opened if opened == begin else shift(opened, 1)
        opens = grid.between(begin, min(end, shift(begin, limit)))
    else:
        opens = grid.between(max(begin, shift(open_of(end - 1), 1 - limit)), end)
    if opens.size == 0:
        return []
    bars = market.klines(grid, opens)
    unit = 1 if microseconds else 1000
    price, quantity = market.rules.price_places, market.rules.quantity_places
    columns = [
        (bars.ts_open // unit).tolist(),
        *(_texts(values.tolist(), price) for values in (bars.open_, bars.high, bars.low, bars.close)),
        _texts(bars.volume.tolist(), quantity),
        (bars.ts_next // unit - 1).tolist(),
        _texts(bars.quote_volume.tolist(), price + quantity),
        bars.count.tolist(),
        _texts(bars.taker_volume.tolist(), quantity),
        _texts(bars.taker_quote.tolist(), price + quantity),
        ["0"] * bars.n_bars,
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def agg_trades(dataset: Dataset, query: Query, today: date, microseconds: bool) -> list[dict[str, Any]]:
    """Return aggregate trades, oldest first: from an id or a time on, or else the newest ones."""
    market = MadeMarket(dataset, query.market, query.symbol())
    from_id, limit = query.number("fromId"), query.limit()
    start, end = query.range_us()
    if from_id is not None and (start is not None or end is not None):
        raise ExchangeError(-1128, "Combination of optional parameters invalid.")
    calendar = market.calendar
    if calendar.index(today) <= 0:
        return []
    lowest, highest = FIRST_ID[query.market], int(calendar.first_agg[calendar.index(today)])
    if end is not None:
        highest = market.agg_id_at(end, today)
    if from_id is not None:
        lowest = max(from_id, lowest)
    elif start is not None:
        lowest = market.agg_id_at(start, today)
    else:
        lowest = max(lowest, highest - limit)
    ids = _known_ids(calendar.first_agg, lowest, highest, limit, dataset.fault)
    return _agg_rows(market, ids, 1 if microseconds else 1000)


def historical_trades(dataset: Dataset, query: Query, today: date, microseconds: bool) -> list[dict[str, Any]]:
    """Return trades, oldest first: from an id on, or else the newest ones."""
    market = MadeMarket(dataset, query.market, query.symbol())
    from_id, limit, calendar = query.number("fromId"), query.limit(), market.calendar
    if calendar.index(today) <= 0:
        return []
    highest = int(calendar.first_trade[calendar.index(today)])
    lowest = max(FIRST_ID[query.market], highest - limit if from_id is None else from_id)
    ids = _known_ids(calendar.first_trade, lowest, highest, limit, dataset.fault)
    return _trade_rows(market, ids, 1 if microseconds else 1000)


def _known_ids(firsts: I64, lowest: int, highest: int, limit: int, fault: str) -> list[I64]:
    """Return the first `limit` ids of `[lowest, highest)`, day by day; the fault id_hole leaves out its blocks.

    firsts  (n_days + 1,)  the first id of each day
    """
    days, found = [], 0
    while lowest < highest and found < limit:
        index = int(np.searchsorted(firsts, lowest, side="right")) - 1
        first, after = int(firsts[index]), int(firsts[index + 1])
        ids = np.arange(lowest, min(after, highest), dtype=np.int64)
        if fault == "id_hole" and after - first > 1:
            begin, end = block_of(after - first)
            ids = ids[(ids < first + begin) | (ids >= first + end)]
        days.append(ids[: limit - found])
        found += days[-1].size
        lowest = after
    return [ids for ids in days if ids.size]


def _agg_rows(market: MadeMarket, days: list[I64], unit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for ids in days:
        day = market.day(int(np.searchsorted(market.calendar.first_agg, ids[0], side="right")) - 1)
        at = ids - day.first_agg
        first = day.starts[at] + day.first_trade
        columns = (
            ids.tolist(),
            _texts(day.price[at].tolist(), market.rules.price_places),
            _texts(day.event_quantity[at].tolist(), market.rules.quantity_places),
            first.tolist(),
            (first + day.fills[at] - 1).tolist(),
            (day.ts[at] // unit).tolist(),
            (day.side[at] < 0).tolist(),
            [True] * first.size,
        )
        names = "apqflTmM" if market.market == "spot" else "apqflTm"
        rows += [dict(zip(names, row, strict=False)) for row in zip(*columns, strict=True)]
    return rows


def _trade_rows(market: MadeMarket, days: list[I64], unit: int) -> list[dict[str, Any]]:
    names = ("id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isBestMatch")
    price_places, places = market.rules.price_places, market.rules.quantity_places
    rows: list[dict[str, Any]] = []
    for ids in days:
        day = market.day(int(np.searchsorted(market.calendar.first_trade, ids[0], side="right")) - 1)
        at = ids - day.first_trade
        event, quantity = day.event[at], day.quantity[at]
        columns = (
            ids.tolist(),
            _texts(day.price[event].tolist(), price_places),
            _texts(quantity.tolist(), places),
            _texts((day.price[event] * quantity).tolist(), price_places + places),
            (day.ts[event] // unit).tolist(),
            (day.side[event] < 0).tolist(),
            [True] * ids.size,
        )
        rows += [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return rows


def made_symbols() -> list[ListedSymbol]:
    """Return what the made exchange lists on spot."""
    return [ListedSymbol(one.name, one.base, one.quote, one.spot) for one in SYMBOLS.values() if one.spot is not None]


def exchange_info(query: Query, listed: Callable[[], list[ListedSymbol]], today: date) -> dict[str, Any]:
    """Return the symbols asked for, or all of them."""
    symbols = {symbol.name: symbol for symbol in listed()}
    names = list(symbols)
    if "symbol" in query.values and "symbols" in query.values:
        raise ExchangeError(-1128, "Combination of optional parameters invalid.")
    if "symbol" in query.values:
        names = [query.mandatory("symbol")]
    elif "symbols" in query.values:
        text = query.values["symbols"].replace(" ", "")
        if not _SYMBOLS.fullmatch(text):
            raise _illegal("symbols", r'^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$')
        names = re.findall('"([^"]+)"', text)
    if any(name not in symbols for name in names):
        raise ExchangeError(-1121, "Invalid symbol.")
    return {
        "timezone": "UTC",
        "serverTime": _midnight(today) // 1000,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
        ],
        "exchangeFilters": [],
        "symbols": [_symbol_info(symbols[name]) for name in names],
    }


def _symbol_info(symbol: ListedSymbol) -> dict[str, Any]:
    tick, lot = _fixed(1, symbol.rules.price_places), _fixed(1, symbol.rules.quantity_places)
    return {
        "symbol": symbol.name,
        "status": "TRADING",
        "baseAsset": symbol.base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000.00000000", "stepSize": lot},
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def _interval(text: str) -> str:
    """Return the archive's name of a REST interval: `1M`, a month, is `1mo` there, and `1mo` is none here."""
    if text == "1M":
        return "1mo"
    if text not in WIDTHS:
        raise ExchangeError(-1120, "Invalid interval.")
    return text


def _illegal(name: str, legal: str) -> ExchangeError:
    return ExchangeError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def _texts(units: list[int], places: int) -> list[str]:
    return [_fixed(value, places) for value in units]


def _fixed(units: int, places: int) -> str:
    """Return units of 10**-places, not negative, with eight decimals."""
    whole, part = divmod(units * 10 ** (8 - places), 10**8)
    return f"{whole}.{part:08d}"


def _midnight(day: date) -> int:
    return (day - EPOCH).days * DAY_US
