"""What a task of the backtest reads: bars with what the rules need of them, signals, the trades inside bars."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from services.backtest.adapters.trades import BarTrades
from services.backtest.domain.account import account_rules, reads_volatility, reads_volume
from services.backtest.domain.inside import Opener
from services.backtest.domain.latency import acting_bars, late, masks_of
from services.backtest.domain.portfolio import Account, plan_of
from services.backtest.domain.portfolio import reads_volatility as reads_volatilities
from services.backtest.domain.prices import checked_flow, checked_prices, with_stop_unit
from services.backtest.domain.timeline import merged
from services.backtest.kernels.types import Prices, Signal
from tickloom.contracts.artifact import FileEntry
from tickloom.contracts.backtest import BacktestRequest
from tickloom.kernel import F64, I8, I64
from tickloom.lake import Lake, floats


def read_prices(lake: Lake, symbol: str, features: FileEntry, request: BacktestRequest) -> tuple[Prices, I64]:
    """Return one symbol's bars, with what the request's rules read of them, and the time of each open.

    Raises BadPrices and CorruptFile.
    """
    rules = account_rules(request)
    unit = request.stop_loss.column if request.stop_loss else None
    needed = ["ts_open", "ts_close", "open", "high", "low", "close", *(["volume"] if reads_volume(rules) else [])]
    table = lake.read_table(features, list(dict.fromkeys([*needed, *([unit] if unit else [])])))
    open_, high, low, close = (floats(table[name]) for name in ("open", "high", "low", "close"))
    prices = checked_prices(symbol, open_, high, low, close, table["ts_close"].to_numpy())
    volume = floats(table["volume"]) if reads_volume(rules) else None
    window = request.volatility_bars if reads_volatility(rules) else 0
    prices = with_stop_unit(checked_flow(symbol, prices, volume, window), floats(table[unit]) if unit else None)
    return prices, table["ts_open"].to_numpy()


def read_volume(lake: Lake, features: FileEntry) -> F64:
    """Return what was traded in each bar, (n_bars,), base."""
    return floats(lake.read_table(features, ["volume"])["volume"])


def bars_opener(
    lake: Lake,
    symbol: str,
    features: FileEntry,
    prices: Prices,
    request: BacktestRequest,
    partitions: Sequence[FileEntry],
) -> tuple[Opener, BarTrades | None]:
    """Return what runs trials over one symbol's bars, opening those that it has to, and what reads their trades."""
    fills = request.inside_bar == "fills"
    if request.inside_bar == "guess" or not partitions:
        return Opener(prices, fills=fills), None
    table = lake.read_table(features, ["first_trade_id", "last_trade_id"])
    first, last = (np.array(table[name], np.int64) for name in table.column_names)
    reader = BarTrades(lake, symbol, partitions, first, last)
    return Opener(prices, reader.prices, last - first + 1, fills=fills), reader


def acting(prices: Prices, ts_open: I64, request: BacktestRequest) -> I64 | None:
    """Return at which bar each signal is acted on, None where that is the next one."""
    latency_us = request.latency_ms * 1000
    return acting_bars(ts_open, prices.ts_close, latency_us) if latency_us else None


def read_signals(
    lake: Lake, signals: FileEntry, acting: I64 | None = None, only: int | None = None
) -> Iterator[tuple[int, Signal]]:
    """Yield (combo, its signal) of each parameter set in the file, those that never change included; or of one alone.

    acting  where signals take time to arrive: at which bar each is acted on
    """
    table = lake.read_table(signals, ["combo", "bar", "mask"])
    combo, bar, mask = (np.array(table[name]) for name in ("combo", "bar", "mask"))
    first = int(signals.facts["first_combo"])
    edges = np.searchsorted(combo, np.arange(first, first + int(signals.facts["n_combos"]) + 1))
    for number, (start, stop) in enumerate(pairwise(edges.tolist()), first):
        if only is None or number == only:
            signal = Signal(bar[start:stop], mask[start:stop])
            yield number, signal if acting is None else late(signal, acting)


def read_account(
    lake: Lake, symbols: Sequence[str], features: Sequence[FileEntry], request: BacktestRequest
) -> Account:
    """Return the bars of all symbols, each and merged, and the rules of their account.

    Raises BadPrices and CorruptFile.
    """
    if request.portfolio is None:
        raise ValueError("an account of many symbols is asked for by portfolio")
    prices, ts_open = zip(
        *(read_prices(lake, symbol, file, request) for symbol, file in zip(symbols, features, strict=True)), strict=True
    )
    is_read, window = reads_volatilities(request), request.volatility_bars
    if is_read:
        prices = tuple(checked_flow(symbol, one, None, window) for symbol, one in zip(symbols, prices, strict=True))
    markets = merged(prices, ts_open, read_volatility=is_read, warm_up=window)
    plan = plan_of(request.portfolio, request.leverage)
    return Account(tuple(symbols), prices, ts_open, markets, account_rules(request), plan)


def read_masks(
    lake: Lake, signals: Sequence[FileEntry], account: Account, only: int | None = None
) -> Iterator[tuple[int, I8]]:
    """Yield (combo, what each bar of all symbols says), of one combo alone if it is given."""
    n_bars = [prices.close.size for prices in account.prices]
    for of_symbols in zip(*(read_signals(lake, file, only=only) for file in signals), strict=True):
        masks = [masks_of(signal, n) for (_, signal), n in zip(of_symbols, n_bars, strict=True)]
        yield of_symbols[0][0], np.concatenate(masks)


def joined(lake: Lake, returns: Sequence[FileEntry]) -> pa.Table:
    """Return the daily returns of every trial side by side: `ts`, the close that ends the day, and a column a trial."""
    first, *others = (lake.read_table(file) for file in returns)
    for table in others:
        for name in table.column_names[1:]:
            first = first.append_column(name, table[name])
    return first.combine_chunks()
