"""What one account of many symbols published, and up to when a run with a cut can know as much as the whole one.

An account has a row for each moment at which any symbol's bar closes, and it fills at opens. A bar that is under way at
the cut is in the whole run alone: what its open filled is in every later row. So rows are compared up to that open.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from cli.lookahead.chain import Fills, Made
from tickloom.contracts.portfolio import PORTFOLIO
from tickloom.kernel import I64
from tickloom.lake import floats


def is_shared(made: Made) -> bool:
    """Return whether the fills are those of one account of many symbols."""
    return any(fills.symbol == PORTFOLIO for fills in made.fills)


def fills_of(made: Made, fills: Fills) -> pa.Table:
    """Return the account's fills in order: bar of the symbol, event, side, ts, price, quantity, fee, published."""
    table = made.lake.read_table(fills.trades)
    names, ts = table["symbol"].to_pylist(), table["ts"].to_numpy()
    opens = {symbol: bars_of(made, symbol, "ts_open")[0] for symbol in set(names)}
    columns = {
        "bar": np.array([np.searchsorted(opens[name], at) for name, at in zip(names, ts, strict=True)], np.int64),
        "event": [f"{why} of {name}" for why, name in zip(table["reason"].to_pylist(), names, strict=True)],
    }
    columns |= {name: table[name] for name in ("side", "ts", "price", "quantity", "fee")}
    return pa.table(columns | {"published": ts})


def curves_of(made: Made, fills: Fills) -> Iterator[tuple[str, pa.Table]]:
    """Yield (what it is, table) of the account's equity and of its positions, a row for each moment of closes."""
    for entry in (fills.equity, *fills.more):
        table = made.lake.read_table(entry)
        yield entry.name.split("/")[0], table.append_column("published", table["ts"])


def opens_of(made: Made, symbol: str) -> list[int]:
    """Return the bars of a symbol at whose opens the account of any parameter set traded it, rising."""
    found: set[int] = set()
    for fills in made.fills:
        table = made.lake.read_table(fills.trades, ["symbol", "ts"])
        ts = table["ts"].to_numpy()[np.array(table["symbol"].to_pylist(), object) == symbol]
        found.update(np.searchsorted(bars_of(made, symbol, "ts_open")[0], ts).tolist())
    return sorted(found)


def bars_of(made: Made, symbol: str, *names: str) -> list[I64]:
    """Return columns of times of a symbol's bars, each (n_bars,)."""
    features = made.stages["features"].file(f"{symbol}.parquet")
    assert features is not None
    table = made.lake.read_table(features, list(names))
    return [table[name].to_numpy() for name in names]


def symbols_of(made: Made) -> tuple[str, ...]:
    """Return the symbols that have bars."""
    return tuple(made.stages["features"].facts["symbols"]) if "features" in made.stages else ()


def known_until(whole: Made, other: Made, firsts: Mapping[str, I64], ts: int) -> int:
    """Return the open, no later than the cut at `ts`, up to which both runs have the same bars of all symbols.

    firsts  when the first trade or kline of each bar of the whole run was, by symbol
    """
    there, until = symbols_of(other), ts
    for symbol in symbols_of(whole):
        (opened,) = bars_of(whole, symbol, "ts_open")
        n_known = int(np.searchsorted(firsts[symbol], ts))  # bars that have begun
        n_there = bars_of(other, symbol, "ts_open")[0].size if symbol in there else 0
        n_known = min(n_known, n_there)
        if n_known < opened.size:
            until = min(until, int(opened[n_known]))
    return until


def not_listed(whole: Made, other: Made) -> set[str]:
    """Return the columns that cannot be compared where symbols of the whole run have no bar in the other one.

    Their positions, and buy and hold: each symbol has its part of the cash in it, also before it is listed.
    """
    missing = set(symbols_of(whole)) - set(symbols_of(other))
    return missing | {"buy_and_hold"} if missing else set()


def too_good(made: Made, fills: Fills) -> Iterator[tuple[int, float, str]]:
    """Yield (ts, price, what the bar was) of fills that are better than the open that they are at."""
    for row in fills_of(made, fills).to_pylist():
        symbol = row["event"].rpartition(" ")[2]
        features = made.stages["features"].file(f"{symbol}.parquet")
        assert features is not None
        opened = floats(made.lake.read_table(features, ["open"])["open"])
        same = np.flatnonzero(bars_of(made, symbol, "ts_open")[0] == row["ts"])
        beyond = row["price"] < opened[same] if row["side"] > 0 else row["price"] > opened[same]
        if beyond.all():
            yield row["ts"], row["price"], f"a bar whose open is {opened[same[0]]}"
