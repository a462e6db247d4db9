"""1-minute bars made of trades, held against the exchange's official ones, minute by minute and field by field.

What is known to differ without anything being wrong:
- Official klines have bars for minutes without trades, with a volume of 0: they stand for nothing.
- Aggregates of futures leave out trades of the insurance fund and of auto-deleveraging, which klines have (Binance,
  Aggregate Trade Streams). A minute in which the official bar has all that ours has, and more, is counted apart.
- Aggregate trades have no number of trades; last_id - first_id + 1 is it.
- Notionals are written with 8 places: where price and quantity have more together, each trade may lose one of the 8th.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from services.download.domain.scale import decimal_text
from services.download.domain.times import day_of, text_of
from services.download.kernels.minutes import (
    BUY_NOTIONAL,
    BUY_VOLUME,
    HIGH,
    LOW,
    MINUTE_US,
    MINUTES,
    N_TRADES,
    NOTIONAL,
    VOLUME,
)
from tickloom.kernel import I64, Bool

FIELDS: Final = ("open", "high", "low", "close", "volume", "notional", "n_trades", "buy_volume", "buy_notional")
"""The rows of bars (9, n_minutes)."""

SCALES: Final = {
    **dict.fromkeys(("open", "high", "low", "close"), "price"),
    **dict.fromkeys(("volume", "buy_volume"), "quantity"),
    **dict.fromkeys(("notional", "buy_notional"), "notional"),
    "n_trades": "count",
}
WRITTEN_PLACES: Final = 8
LISTED: Final = 10
KINDS: Final = ("equal", "different", "not_in_official", "not_in_trades", "left_out")
"""What a minute with trades can be, in the order in which they are counted by day."""


@dataclass(frozen=True)
class Pair:
    """Bars of the same minutes on the same scales.

    first     number of the first day; the columns are the minutes from its midnight on
    ours      (9, n_minutes)  made of trades; n_trades 0 where there are none
    official  (9, n_minutes)  the exchange's; n_trades 0 where it has none, or an empty one
    scales    places of `price`, `quantity` and `notional`
    exact     places of the notional of one trade
    """

    first: int
    ours: I64
    official: I64
    scales: Mapping[str, int]
    exact: int


def compare_minutes(pair: Pair, days: Collection[int], *, leaves_out: bool) -> dict[str, Any]:
    """Return how many minutes are equal, and how the others differ, as JSON values.

    days        indices of the days that both sides have: the others are not compared
    leaves_out  the trades are aggregates of futures
    """
    differs = _differs(pair)
    here, there = pair.ours[N_TRADES] > 0, (pair.official[N_TRADES] > 0) | (pair.official[VOLUME] > 0)
    there &= np.repeat(np.isin(np.arange(here.size // MINUTES), sorted(days)), MINUTES)
    here = here & np.repeat(np.isin(np.arange(here.size // MINUTES), sorted(days)), MINUTES)
    unlike = here & there & differs.any(axis=0)
    more = (unlike | (there & ~here)) & _holds_more(pair) if leaves_out else np.zeros_like(here)
    missing = there & ~here & ~more
    kinds = (here & there & ~unlike, unlike & ~more, here & ~there, missing, more)
    until = _known_until(pair, here, missing, unlike)
    counts = np.stack([kind.reshape(-1, MINUTES).sum(axis=1) for kind in kinds], axis=1)
    return {
        **dict(zip(KINDS, counts.sum(axis=0).tolist(), strict=True)),
        "compared": int(counts.sum()),
        **_told(pair, differs, kinds[1] | kinds[2] | missing),
        **({} if until is None else {"known_until": until}),
        "days": {day_of(pair.first + day).isoformat(): counts[day].tolist() for day in sorted(days)},
    }


def _known_until(pair: Pair, here: Bool, missing: Bool, unlike: Bool) -> int | None:
    """Return up to when the trades of the last day are known, microseconds; None: nothing says that they end early.

    The official bars of that day go on after the last minute that has trades, and that minute may be cut short itself.
    """
    traded = np.flatnonzero(pair.ours[N_TRADES])
    last = int(traded[-1]) if traded.size else -1
    if last < here.size - MINUTES or not here[last] or not missing[last:].any():
        return None
    return (pair.first * MINUTES + last + (0 if unlike[last] else 1)) * MINUTE_US


def _differs(pair: Pair) -> Bool:
    """Return which fields of which minutes differ, (9, n_minutes)."""
    differs: Bool = np.not_equal(pair.ours, pair.official)
    if pair.exact > WRITTEN_PLACES:
        slack = pair.ours[N_TRADES] * 10 ** (pair.scales["notional"] - WRITTEN_PLACES)
        for row in (NOTIONAL, BUY_NOTIONAL):
            differs[row] = np.abs(pair.ours[row] - pair.official[row]) > slack
    return differs


def _holds_more(pair: Pair) -> Bool:
    """Return the minutes in which the official bar has all that ours has, and more."""
    ours, official = pair.ours, pair.official
    sums = [VOLUME, NOTIONAL, N_TRADES, BUY_VOLUME, BUY_NOTIONAL]
    spans = (official[HIGH] >= ours[HIGH]) & (official[LOW] <= ours[LOW])
    sums_hold = (official[sums] >= ours[sums]).all(axis=0) & (official[N_TRADES] > ours[N_TRADES])
    more: Bool = np.logical_and(sums_hold, spans | (ours[N_TRADES] == 0))
    return more


def _told(pair: Pair, differs: Bool, wrong: Bool) -> dict[str, Any]:
    """Return the largest difference of each field, ours less the official, and the first minutes one by one."""
    largest = {}
    for row, field in enumerate(FIELDS):
        where = np.flatnonzero(differs[row] & wrong)
        if where.size:
            off = pair.ours[row, where] - pair.official[row, where]
            at = int(np.argmax(np.abs(off)))
            largest[field] = {"difference": _text(pair, row, int(off[at])), "minute": _time(pair, int(where[at]))}
    first = [
        {
            "minute": _time(pair, minute),
            "field": FIELDS[row],
            "ours": _text(pair, row, int(pair.ours[row, minute])),
            "official": _text(pair, row, int(pair.official[row, minute])),
        }
        for minute in np.flatnonzero(wrong)[:LISTED].tolist()
        for row in [int(np.argmax(differs[:, minute]))]
    ]
    return {"largest": largest, "first": first}


def _text(pair: Pair, row: int, units: int) -> str:
    return decimal_text(units, pair.scales.get(SCALES[FIELDS[row]], 0))


def _time(pair: Pair, minute: int) -> str:
    return text_of((pair.first * MINUTES + minute) * MINUTE_US)
