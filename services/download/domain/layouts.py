"""The columns of each kind of archive, in order, and the names that a header may give them.

Source: github.com/binance/binance-public-data, README, and the files themselves. A header that names other columns is
refused: a column that moved would be read as something else.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.download.kernels.rows import BOOLEAN, DECIMAL, INTEGER, SKIP, WIDTH
from tickloom.kernel import I64


@dataclass(frozen=True)
class Column:
    """One column: our name for it, what its text is, and the names that headers have for it."""

    name: str
    kind: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The columns of a file, and where the parser puts them in a row of int64."""

    columns: tuple[Column, ...]

    @cached_property
    def kinds(self) -> I64:
        """Return the kind of each column, (n_columns,)."""
        return np.array([column.kind for column in self.columns], np.int64)

    @cached_property
    def slots(self) -> dict[str, int]:
        """Return where each column that is read begins in a row. A decimal takes two places: digits, then places."""
        slots, at = {}, 0
        for column in self.columns:
            if column.kind != SKIP:
                slots[column.name] = at
            at += WIDTH[column.kind]
        return slots

    @cached_property
    def width(self) -> int:
        """Return how many int64 a row takes."""
        return sum(WIDTH[column.kind] for column in self.columns)

    @property
    def aggregates(self) -> bool:
        """Tell whether rows are aggregate trades."""
        return "first_id" in self.slots

    @property
    def best_match(self) -> bool:
        """Tell whether rows of trades end with a column that is not read."""
        return self.columns[-1].kind == SKIP

    def header_fault(self, names: list[str]) -> str:
        """Return what is wrong with a header, or an empty text."""
        if len(names) != len(self.columns):
            return f"the header names {len(names)} columns, not {len(self.columns)}"
        for column, name in zip(self.columns, names, strict=True):
            if name.strip().lower() not in (column.name, *column.aliases):
                belongs = (*column.aliases, column.name)[0]
                return f"the header has {name[:40]!r} where {belongs} belongs"
        return ""


_ID = Column("trade_id", INTEGER, ("id", "agg_trade_id", "agg_id"))
_PRICE = Column("price", DECIMAL)
_QUANTITY = Column("quantity", DECIMAL, ("qty",))
_NOTIONAL = Column("quote_qty", SKIP, ("quote_quantity",))
_BASE = Column("base_qty", SKIP, ("quote_qty", "base_quantity"))
_FIRST = Column("first_id", INTEGER, ("first_trade_id",))
_LAST = Column("last_id", INTEGER, ("last_trade_id",))
_TIME = Column("ts", INTEGER, ("time", "transact_time", "timestamp"))
_MAKER = Column("is_buyer_maker", BOOLEAN)
_BEST = Column("is_best_match", SKIP, ("was_the_trade_the_best_price_match",))

_TRADES = (_ID, _PRICE, _QUANTITY, _NOTIONAL, _TIME, _MAKER)
_AGGREGATES = (_ID, _PRICE, _QUANTITY, _FIRST, _LAST, _TIME, _MAKER)

KLINES = Layout(
    (
        Column("ts_open", INTEGER, ("open_time",)),
        Column("open", DECIMAL),
        Column("high", DECIMAL),
        Column("low", DECIMAL),
        Column("close", DECIMAL),
        Column("volume", DECIMAL),
        Column("close_time", SKIP),
        Column("notional", DECIMAL, ("quote_volume", "quote_asset_volume")),
        Column("n_trades", INTEGER, ("count", "number_of_trades")),
        Column("buy_volume", DECIMAL, ("taker_buy_volume", "taker_buy_base_asset_volume")),
        Column("buy_notional", DECIMAL, ("taker_buy_quote_volume", "taker_buy_quote_asset_volume")),
        Column("ignore", SKIP),
    )
)

# Amounts of the base currency stand here where other markets have quote currency, whatever the header says (issue 267
# of the source). They are contracts times their value over prices, rounded by the exchange: not exact, so not read.
_BASE_VOLUMES = {
    "notional": Column("base_volume", SKIP, ("quote_volume", "quote_asset_volume")),
    "buy_notional": Column("buy_base_volume", SKIP, ("taker_buy_quote_volume", "taker_buy_quote_asset_volume")),
}
_INVERSE_KLINES = Layout(tuple(_BASE_VOLUMES.get(column.name, column) for column in KLINES.columns))

_LAYOUTS = {
    ("spot", "trades"): Layout((*_TRADES, _BEST)),
    ("spot", "aggTrades"): Layout((*_AGGREGATES, _BEST)),
    ("usdm", "trades"): Layout(_TRADES),
    ("usdm", "aggTrades"): Layout(_AGGREGATES),
    ("spot", "klines"): KLINES,
    ("usdm", "klines"): KLINES,
    ("coinm", "trades"): Layout((_ID, _PRICE, _QUANTITY, _BASE, _TIME, _MAKER)),
    ("coinm", "aggTrades"): Layout(_AGGREGATES),
    ("coinm", "klines"): _INVERSE_KLINES,
}


def layout_of(market: str, data_type: str) -> Layout:
    """Return the columns of an archive."""
    return _LAYOUTS[market, data_type]


def klines_layout(names: tuple[str, ...]) -> Layout:
    """Return the layout of klines that have these columns alone, in this order."""
    by_name = {column.name: column for column in KLINES.columns}
    return Layout(tuple(by_name[name] for name in names))
