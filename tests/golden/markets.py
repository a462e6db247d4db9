"""The bars that the golden strategies trade: real ones from the shared data, and made ones that every machine has.

Made bars come from the exchange simulator's trades by the kernels of the bars stage: whole numbers up to the last step.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from exchange_sim.dataset import Dataset
from exchange_sim.market import MadeMarket
from services.bars.domain.build import DAY_US, close_bars
from services.bars.domain.rule import rule_of
from services.bars.domain.state import Bars as Closed
from services.bars.domain.state import State, Trades, joined
from tickloom.contracts.bars import BarsRequest
from tickloom.kernel import F64, I64

Columns = dict[str, F64]
"""open, high, low, close, volume: (n_bars,) each."""

QUARTER_HOUR_US = 900_000_000
FIRST_DAY, N_DAYS = date(2024, 3, 1), 20


def btc_15m(shared_data: Path) -> tuple[Columns, I64]:
    """BTCUSDT, 15 minutes, 2023: 34,994 bars."""
    bars = pd.read_feather(shared_data / "klines" / "binance_spot" / "BTC_USDT-15m-2023.feather")
    return _columns(bars), _us(bars["date"]) + QUARTER_HOUR_US


def daily(symbol: str) -> Callable[[Path], tuple[Columns, I64]]:
    """A symbol by days, 2020 to 2025, without the last bar, which is part of a day."""

    def read(shared_data: Path) -> tuple[Columns, I64]:
        with zipfile.ZipFile(shared_data / "klines" / "binance_spot" / "daily_23_symbols_a.zip") as archive:
            bars = pd.read_csv(io.BytesIO(archive.read(f"{symbol}_1d.csv")), float_precision="round_trip")[:-1]
        return _columns(bars), _us(pd.to_datetime(bars["timestamp"], utc=True)) + DAY_US

    return read


def _columns(bars: pd.DataFrame) -> Columns:
    return {name: bars[name].to_numpy(np.float64) for name in ("open", "high", "low", "close", "volume")}


def _us(times: "pd.Series[pd.Timestamp]") -> I64:
    return times.astype("datetime64[us, UTC]").astype(np.int64).to_numpy()


Made = tuple[Columns, I64, list[F64], I64]
"""Bars, the time of each close, the prices of each bar's trades in the order of their ids, the time of each open."""


def made(symbol: str, trades_per_day: int, **spec: object) -> Callable[[], Made]:
    """Twenty days of the simulator's trades as bars of `spec`."""

    @cache
    def build() -> Made:
        market = MadeMarket(Dataset(seed=11, trades_per_day=trades_per_day), "spot", symbol)
        places, lots = market.rules.price_places, market.rules.quantity_places
        rule = rule_of(BarsRequest.model_validate({"spec": spec}).spec, places, lots)
        pieces: list[Closed] = []
        prices: list[I64] = []
        state, first = State(), market.calendar.index(FIRST_DAY)
        for index in range(first, first + N_DAYS):
            day = market.day(index)
            ids = np.arange(day.quantity.size, dtype=np.int64) + day.first_trade
            trades = Trades(ids, day.ts[day.event], day.price[day.event], day.quantity, day.side[day.event])
            midnight = int(day.ts[0]) // DAY_US * DAY_US
            bars, state = close_bars(trades, rule, state, midnight + DAY_US)
            pieces.append(bars)
            prices.append(trades.price)
        whole = joined(pieces).columns
        columns = {name: whole[name] / 10.0**places for name in ("open", "high", "low", "close")}
        paths = np.split(np.concatenate(prices) / 10.0**places, np.cumsum(whole["n_trades"]))[:-1]
        return columns | {"volume": whole["volume"] / 10.0**lots}, whole["ts_close"], paths, whole["ts_open"]

    return build


REAL = {
    "btc_15m": btc_15m, "btc_daily": daily("BTCUSDT"), "eth_daily": daily("ETHUSDT"), "xlm_daily": daily("XLMUSDT"),
}  # fmt: skip
MADE = {
    "sim_btc_15m": made("BTCUSDT", 4_000, kind="time", interval="15m"),
    "sim_eth_dollar": made("ETHUSDT", 4_000, kind="dollar", threshold="20000"),
    "sim_doge_tick": made("DOGEUSDT", 2_000, kind="tick", threshold=25),
}


@cache
def bars_of(market: str, shared_data: Path | None) -> tuple[Columns, I64]:
    """Return the bars of a market and the time of each close, (n_bars,)."""
    if market in MADE:
        return MADE[market]()[:2]
    assert shared_data is not None
    return REAL[market](shared_data)


def opens_of(market: str, ts_close: I64) -> I64:
    """Return the time of each open of a market's bars, or of its first ones, whose closes are given."""
    if market in MADE:
        return MADE[market]()[3][: ts_close.size]
    return ts_close - (QUARTER_HOUR_US if market == "btc_15m" else DAY_US)


def digest_of(columns: Columns, ts_close: I64) -> str:
    """Return the sha256 of bars, column by column, little-endian."""
    digest = hashlib.sha256(ts_close.astype("<i8").tobytes())
    for name in sorted(columns):
        digest.update(columns[name].astype("<f8").tobytes())
    return digest.hexdigest()
