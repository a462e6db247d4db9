"""Rows as Binance writes them: column order, decimals, booleans, units of time, headers.

Spot: eight decimals, `True`/`False`, no header, milliseconds before 2025 and microseconds from then on. USD-M: decimals
without trailing zeros, `true`/`false`, milliseconds, a header in files published since 2022 (klines from May, trades
from 11 August). COIN-M: as USD-M, but quantities are contracts, and where the others have amounts of the quote currency
it has the base currency, whatever the header of klines calls it.
"""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from exchange_sim.bars import BASE_PLACES, Bars, amounts
from exchange_sim.calendar import I64
from exchange_sim.names import ArchiveName, Kind
from exchange_sim.symbols import Market, Rules
from exchange_sim.trades import Day

MICROSECONDS_SINCE = date(2025, 1, 1)  # spot archives
_HEADER_SINCE: dict[Kind, date] = {
    "trades": date(2022, 8, 11),
    "aggTrades": date(2022, 8, 11),
    "klines": date(2022, 5, 1),
}
_HEADERS: dict[Kind, str] = {
    "trades": "id,price,qty,quote_qty,time,is_buyer_maker",
    "aggTrades": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
    "klines": "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore",
}
_SPOT_PLACES = 8


@dataclass(frozen=True)
class Form:
    """How one archive writes its numbers."""

    market: Market
    rules: Rules
    microseconds: bool
    header: str  # without the line end; empty: none

    @property
    def quote_places(self) -> int:
        return BASE_PLACES if self.rules.contract else self.rules.price_places + self.rules.quantity_places

    def decimals(self, units: I64, places: int) -> pl.Series:
        """Return units of 10**-places as text or exact decimals that print as this market writes them."""
        halves = np.empty((units.size, 2), np.int64)  # a decimal128 is 16 bytes, low half first
        halves[:, 0], halves[:, 1] = units, units >> 63
        array = pa.Array.from_buffers(pa.decimal128(38, places), units.size, [None, pa.py_buffer(halves)])
        series = pl.Series(values=array)
        if self.market == "spot":
            return series.cast(pl.Decimal(38, _SPOT_PLACES))
        text = series.cast(pl.String)
        return text.str.strip_chars_end("0").str.strip_chars_end(".") if places else text

    def times(self, ts: I64) -> I64:
        """Return times in the unit of the archive."""
        return ts if self.microseconds else ts // 1000

    def flags(self, values: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> pl.Series:
        """Return booleans as this market spells them."""
        words = {True: "True", False: "False"} if self.market == "spot" else {True: "true", False: "false"}
        return pl.Series(values).replace_strict(words, return_dtype=pl.String)


def form_of(archive: ArchiveName, rules: Rules, fault: str) -> Form:
    """Return the form in which an archive is written, with the faults that concern it."""
    microseconds = archive.market == "spot" and archive.first_day >= MICROSECONDS_SINCE
    if fault in ("microseconds", "milliseconds"):
        microseconds = fault == "microseconds"
    # Old files were never made again, so what counts is the last day in the file.
    headed = archive.market != "spot" and archive.end_day > _HEADER_SINCE[archive.kind]
    if fault in ("header_present", "header_absent"):
        headed = fault == "header_present"
    header = _HEADERS[archive.kind] if headed else ""
    if archive.market == "cm" and archive.kind == "trades":
        header = header.replace("quote_qty", "base_qty")
    if header and archive.market == "spot" and archive.kind != "klines":
        header += ",is_best_match"
    return Form(archive.market, rules, microseconds, header)


class Table(Protocol):
    """The rows of one day, any of which can be written out."""

    @property
    def n_rows(self) -> int: ...

    def frame(self, rows: I64) -> pl.DataFrame:
        """Return some rows, in the column order of the archive."""
        ...


@dataclass(frozen=True)
class TradesTable:
    """id, price, qty, quote_qty, time, is_buyer_maker (, is_best_match)."""

    day: Day
    form: Form

    @property
    def n_rows(self) -> int:
        return int(self.day.quantity.size)

    def frame(self, rows: I64) -> pl.DataFrame:
        day, form = self.day, self.form
        event = day.event[rows]
        price, quantity = day.price[event], day.quantity[rows]
        columns = {
            "id": pl.Series(rows + day.first_trade),
            "price": form.decimals(price, form.rules.price_places),
            "quantity": form.decimals(quantity, form.rules.quantity_places),
            "quote": form.decimals(amounts(price, quantity, form.rules), form.quote_places),
            "time": pl.Series(form.times(day.ts[event])),
            "maker": form.flags(day.side[event] < 0),
        }
        return _with_best_match(columns, form, rows.size)


@dataclass(frozen=True)
class AggTradesTable:
    """agg_id, price, qty, first_id, last_id, time, is_buyer_maker (, is_best_match)."""

    day: Day
    form: Form

    @property
    def n_rows(self) -> int:
        return int(self.day.ts.size)

    def frame(self, rows: I64) -> pl.DataFrame:
        day, form = self.day, self.form
        first = day.starts[rows] + day.first_trade
        columns = {
            "id": pl.Series(rows + day.first_agg),
            "price": form.decimals(day.price[rows], form.rules.price_places),
            "quantity": form.decimals(day.event_quantity[rows], form.rules.quantity_places),
            "first_id": pl.Series(first),
            "last_id": pl.Series(first + day.fills[rows] - 1),
            "time": pl.Series(form.times(day.ts[rows])),
            "maker": form.flags(day.side[rows] < 0),
        }
        return _with_best_match(columns, form, rows.size)


@dataclass(frozen=True)
class KlinesTable:
    """The twelve columns of a kline archive."""

    bars: Bars
    form: Form

    @property
    def n_rows(self) -> int:
        return self.bars.n_bars

    def frame(self, rows: I64) -> pl.DataFrame:
        bars, form = self.bars.take(rows), self.form
        price, quantity, quote = form.rules.price_places, form.rules.quantity_places, form.quote_places
        return pl.DataFrame(
            {
                "time": form.times(bars.ts_open),
                "open": form.decimals(bars.open_, price),
                "high": form.decimals(bars.high, price),
                "low": form.decimals(bars.low, price),
                "close": form.decimals(bars.close, price),
                "volume": form.decimals(bars.volume, quantity),
                "close_time": form.times(bars.ts_next) - 1,
                "quote_volume": form.decimals(bars.quote_volume, quote),
                "count": bars.count,
                "taker_volume": form.decimals(bars.taker_volume, quantity),
                "taker_quote": form.decimals(bars.taker_quote, quote),
                "ignore": np.zeros(rows.size, np.int64),
            }
        )


def _with_best_match(columns: dict[str, pl.Series], form: Form, n_rows: int) -> pl.DataFrame:
    if form.market == "spot":
        columns["best_match"] = pl.Series(["True"]).new_from_index(0, n_rows)
    return pl.DataFrame(columns)
