"""Klines as they go into the lake: ordered by their opening time, each once, on one scale."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from services.download.domain.errors import BadRow, DoesNotFit, WrongInterval
from services.download.domain.layouts import Layout
from services.download.domain.order import in_order
from services.download.domain.scale import decimal_text, exact_sum, misfit, on_one_scale
from services.download.domain.times import text_of
from services.download.domain.trades import decimal_columns
from services.download.kernels.klines import DOES_NOT_FIT, FINE, OUTSIDE, first_wrong
from services.download.kernels.rows import shortest
from tickloom.kernel import I64

PRICES: Final = ("open", "high", "low", "close")
GROUPS: Final = (PRICES, ("volume", "buy_volume"), ("notional", "buy_notional"))
"""Columns that share a scale: prices, amounts of the base currency, amounts of the quote currency."""


@dataclass(frozen=True)
class Klines:
    """Klines by opening time: integer columns (n_bars,), and the scale of each that is a decimal."""

    columns: dict[str, I64]
    scales: dict[str, int]

    def facts(self) -> dict[str, Any]:
        """Return what a reader may want to know before it opens the partition. Sums are exact, as text."""
        ts = self.columns["ts_open"]
        sums: dict[str, Any] = {
            name: decimal_text(exact_sum(self.columns[name]), self.scales[name])
            for group in GROUPS[1:]
            for name in group
            if name in self.columns
        }
        scales = {"price_scale": self.scales["open"], "quantity_scale": self.scales["volume"]}
        if "notional" in self.scales:
            scales["notional_scale"] = self.scales["notional"]
        return {**scales, **sums, "first_ts": int(ts[0]), "last_ts": int(ts[-1])}


def as_rows(columns: dict[str, I64], scales: dict[str, int], layout: Layout) -> I64:
    """Return columns (n,) of klines as the rows that `settle` takes, (n, layout.width), decimals in shortest form."""
    rows = np.empty((columns["ts_open"].size, layout.width), np.int64)
    for name, slot in layout.slots.items():
        if name in scales:
            shortest(columns[name], scales[name], rows[:, slot], rows[:, slot + 1])
        else:
            rows[:, slot] = columns[name]
    return rows


def check_rows(name: str, line: int, rows: I64, layout: Layout) -> None:
    """Raise BadRow for the first row that cannot be a kline. `line` is the line number of rows[0].

    Raises DoesNotFit where the prices of a row have no scale in common.
    """
    slots = layout.slots
    amounts = {slots[n]: n for n in (*GROUPS[1], *GROUPS[2], "n_trades") if n in slots}
    prices = {slots[n]: n for n in PRICES}
    at, fault = first_wrong(rows, np.array([*prices], np.int64), np.array([*amounts], np.int64))
    if fault == FINE:
        return
    if fault == DOES_NOT_FIT:
        four = [(rows[at : at + 1, slot], rows[at : at + 1, slot + 1]) for slot in prices]
        scale = max(int(places[0]) for _, places in four)
        raise DoesNotFit(name, "price", *misfit(four, scale, lambda _: _kline_of(rows[at, slots["ts_open"]])))
    values = {slot: decimal_text(int(rows[at, slot]), int(rows[at, slot + 1])) for slot in prices}
    if fault == OUTSIDE:
        said = ", ".join(f"{of} {values[slot]}" for slot, of in prices.items())
        raise BadRow(name, line + at, f"open or close lies outside of low and high ({said})")
    reason = f"{prices[fault]} is not positive ({values[fault]})" if fault in prices else ""
    raise BadRow(name, line + at, reason or f"{amounts[fault]} is negative")


def _kline_of(ts: int) -> str:
    return f"the kline of {text_of(int(ts))}"


def settle(name: str, rows: I64, layout: Layout, interval_us: int) -> tuple[Klines, dict[str, int]]:
    """Return klines in order, each once, and counts of what was out of order, came twice or is not aligned.

    rows  (n, layout.width), n > 0, times in microseconds

    Raises ConflictingRows when two rows of one opening time differ, DoesNotFit when a decimal does not, WrongInterval
    when the times say that these are klines of another interval.
    """
    slots = layout.slots
    rows, counts = in_order(name, rows, slots["ts_open"])
    columns: dict[str, I64] = {"ts_open": rows[:, slots["ts_open"]].copy()}
    opened = columns["ts_open"]
    columns["ts_close"] = columns["ts_open"] + interval_us
    _check_interval(name, np.diff(columns["ts_open"]), interval_us)
    scales: dict[str, int] = {}
    for group in GROUPS:
        names = [column for column in group if column in slots]
        units, scale = on_one_scale(
            name,
            "price" if group is PRICES else group[0],
            *(decimal_columns(rows, slots[column]) for column in names),
            where=lambda at: _kline_of(opened[at]),
        )
        columns.update(zip(names, units, strict=True))
        scales.update(dict.fromkeys(names, scale))
    if "n_trades" in slots:
        columns["n_trades"] = rows[:, slots["n_trades"]].copy()
    counts["misaligned"] = int((columns["ts_open"] % interval_us != 0).sum())
    return Klines(columns, scales), counts


def _check_interval(name: str, steps: I64, interval_us: int) -> None:
    """Bars may be missing, and a few may be cut by a halt; but some must follow one another by the interval."""
    if steps.size > 1 and ((steps < interval_us).sum() * 10 > steps.size or not (steps == interval_us).any()):
        raise WrongInterval(name, int(np.median(steps)) // 1_000_000, interval_us // 1_000_000)
