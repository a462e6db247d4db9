"""Data that end at a moment, and data that are false from that moment on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from cli.lookahead import klines
from services.download.domain.scale import decimal_text, exact_dot, exact_sum
from tickloom.contracts.artifact import FileEntry, Manifest
from tickloom.contracts.download import INTERVAL_US
from tickloom.identity import digest
from tickloom.kernel import I64
from tickloom.lake import Lake, decimals, floats, units

DAY_US: Final = 86_400_000_000
LATE: Final = "late"
"""Not a poison: the data begin at the moment, instead of ending there."""
TURNED: Final = "turned"
"""Not a poison either: the daily returns after the moment are others, the prices are not."""
POISONS: Final = ("halved", "doubled", "reversed", "mirrored")
"""What becomes of the prices after a cut; times and quantities stay, so that bars go on closing.

Mirrored is each price p as f * f / p, f the symbol's very first one: what rose since the beginning has fallen by as
much, and later moves go the other way, whatever the market did in between.
"""


@dataclass(frozen=True)
class Cut:
    """A moment (microseconds UTC) and a form: without a poison, no data from `ts` on; with one, false prices."""

    ts: int
    poison: str = ""

    def day(self, after: int = 0) -> str:
        """Return the UTC day of the moment, or a day `after` it."""
        return (datetime.fromtimestamp(self.ts // 1_000_000, UTC) + timedelta(days=after)).date().isoformat()

    def end(self) -> int:
        """Return the time at which the day after the moment's is over: as long as a poison reaches."""
        return (self.ts // DAY_US + 2) * DAY_US


@dataclass(frozen=True)
class Times:
    """When one symbol's bars begin and close, (n_bars,) microseconds, and at which of them the fills at opens are.

    first   the time of a bar's first trade or kline, which for bars of the clock can be later than its ts_open
    klines  when the klines close that the bars are made of, (n_klines,); none where they are made of trades
    warmup  the different numbers of bars that features wait for before they have a value or are settled, rising
    """

    first: I64
    close: I64
    fills: I64
    klines: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    warmup: tuple[int, ...] = ()

    def tells(self, ts: int) -> bool:
        """Return whether data that end at `ts` still tell of every bar that has closed by then."""
        return not self.klines.size or klines.is_told(ts, self.close, self.klines)


def cut_times(n: int, seed: int, symbols: Sequence[Times]) -> list[int]:
    """Return at most `n` moments: by turns just after the open at which a fill is, within any bar, and early.

    Early ones are spread over the logarithm of the bars closed, for what is wrong in a warm-up shows there alone. The
    moment of a fill is a microsecond later than its trade: the trade is known, and all that its bar does later is not.
    """
    rng = np.random.default_rng(seed)
    symbols = [times for times in symbols if times.close.size]
    found: set[int] = set()
    for k in range(4 * n if symbols else 0):  # moments of fills recur
        if len(found) == n:
            break
        times = symbols[int(rng.integers(len(symbols)))]
        bar = int(rng.integers(times.close.size))
        if k % 3 == 0 and times.fills.size:
            at = int(times.first[times.fills[int(rng.integers(times.fills.size))]]) + 1
        elif k % 3 == 2:
            bar = int(np.exp(rng.uniform(0.0, np.log(times.close.size)))) - 1
            at = int(times.close[bar]) + 1
        else:
            first, last = int(times.first[bar]), int(times.close[bar])
            at = int(rng.integers(first, last + 1)) + 1
        if all(of.tells(at) for of in symbols):
            found.add(at)
    return sorted(found)


def cut_download(source: Lake, download: Manifest, cut: Cut, lake: Lake) -> Manifest:
    """Write the download as it would be with this cut into another lake, and return its manifest.

    Days before the cut are the same bytes. A poison reaches over the rest of its day and the day after; then the data
    end, as they do at once without a poison.
    """
    files, symbols = [], {}
    step = step_of(download)
    last = cut.day(1) if cut.poison else cut.day()
    for symbol, facts in download.facts["symbols"].items():
        entries = [entry for entry in download.under(f"{symbol}/") if entry.facts["day"] <= last]
        first = _first_price(source, entries[0], step) if entries and cut.poison == "mirrored" else 0.0
        kept = [kept for entry in entries if (kept := _kept(source, entry, cut, lake, step, first)) is not None]
        files += kept
        if kept:
            symbols[symbol] = facts
    return lake.put_manifest(
        download.model_copy(
            update={
                "id": digest(["probe", download.id, cut.ts, cut.poison]),
                "files": tuple(files),
                "facts": {**download.facts, "symbols": symbols, "known_until": cut.end() if cut.poison else cut.ts},
            }
        )
    )


def step_of(download: Manifest) -> int:
    """Return how long after its time a row of the download is known, microseconds: klines at their close."""
    return INTERVAL_US[download.facts["interval"]] if download.facts["data_type"] == "klines" else 0


def _first_price(source: Lake, entry: FileEntry, step: int) -> float:
    name = "open" if step else "price"
    return float(floats(source.read_table(entry, [name])[name].slice(0, 1))[0])


def _kept(source: Lake, entry: FileEntry, cut: Cut, lake: Lake, step: int, first: float) -> FileEntry | None:
    """Return the entry of a partition after the cut, None when nothing is left of it."""
    if entry.facts["last_ts"] + step < cut.ts:
        path = source.path(entry)
        if path is None:
            return lake.add_bytes(entry.name, source.read_bytes(entry), rows=entry.rows, facts=entry.facts)
        return lake.add_file(entry.name, path, rows=entry.rows, facts=entry.facts)
    table = source.read_table(entry)
    if step:
        false = klines.poisoned(table, cut.ts, cut.poison, cut.end(), first) if cut.poison else None
        table = klines.ended(table, cut.ts) if false is None else false
    else:
        is_known = table["ts"].to_numpy() < cut.ts
        table = _poisoned(table, is_known, cut.poison, first) if cut.poison else table.filter(pa.array(is_known))
    if not table.num_rows:
        return None
    decided = klines.facts(table, entry.facts) if step else _facts(table, entry.facts)
    return lake.add_table(entry.name, table, facts={**entry.facts, **decided})


def _poisoned(table: pa.Table, is_known: Any, poison: str, first: float) -> pa.Table:
    price, scale = units(table["price"])
    later = price[~is_known]
    if poison == "mirrored":
        false = klines.mirrored(later, first * 10**scale)
    else:
        false = {"reversed": later[::-1], "doubled": later * 2, "halved": np.maximum(later // 2, 1)}[poison]
    price = price.copy()
    price[~is_known] = false
    return table.set_column(table.column_names.index("price"), "price", decimals(price, scale))


def _facts(table: pa.Table, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a partition that its trades decide, those among them that it has."""
    ids, ts = table["trade_id"].to_numpy(), table["ts"].to_numpy()
    (price, price_scale), (quantity, quantity_scale) = units(table["price"]), units(table["quantity"])
    facts = {
        "first_id": int(ids[0]),
        "last_id": int(ids[-1]),
        "first_ts": int(ts.min()),
        "last_ts": int(ts.max()),
        "quantity": decimal_text(exact_sum(quantity), quantity_scale),
        "notional": decimal_text(exact_dot(price, quantity), price_scale + quantity_scale),
    }
    return {name: value for name, value in facts.items() if name in known}
