"""Klines to longer klines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bars.domain.merge import merge_klines
from tickloom.errors import ExactnessLost

KLINE = st.tuples(st.integers(10, 20), st.integers(0, 5), st.integers(0, 5), st.sampled_from([0, 0, 1, 7, 99]))


def klines(rows):
    """Return columns of klines; rows are (slot, low, body, wick, volume), 10 us each. Some have a volume of 0."""
    slot, low, body, wick, volume = (np.array([r[i] for r in rows], np.int64) for i in range(5))
    return {
        "ts_open": slot * 10, "open": low, "close": low + body, "high": low + body + wick, "low": low, "volume": volume,
        "notional": volume * 3, "n_trades": volume + 1, "buy_volume": volume // 2,
    }  # fmt: skip


def tidy(bars):
    return {name: values.tolist() for name, values in bars.columns.items()}


@given(st.dictionaries(st.integers(0, 40), KLINE, min_size=1), st.sampled_from([1, 2, 4]))
def test_a_longer_bar_holds_what_its_klines_hold(made, factor):
    rows = [(slot, *made[slot]) for slot in sorted(made)]
    bars, partial, incomplete = merge_klines(klines(rows), 10, 10 * factor, False)
    groups = {}
    for row in rows:
        groups.setdefault(row[0] // factor, []).append(row)
    got = tidy(bars)
    assert got["ts_open"] == [10 * factor * g for g in groups]
    assert got["ts_close"] == [10 * factor * (g + 1) for g in groups]
    priced = [[row for row in g if row[4]] or g for g in groups.values()]
    assert got["open"] == [g[0][1] for g in priced]
    assert got["close"] == [g[-1][1] + g[-1][2] for g in priced]
    assert got["high"] == [max(sum(r[1:4]) for r in g) for g in priced]
    assert got["low"] == [min(r[1] for r in g) for g in priced]
    assert got["volume"] == [sum(r[4] for r in g) for g in groups.values()]
    assert got["n_trades"] == [sum(r[4] + 1 for r in g) for g in groups.values()]
    assert partial.n_bars == 0
    assert incomplete == sum(len(g) < factor for g in groups.values())


def test_the_last_bar_is_open_while_its_last_kline_may_still_come():
    rows = [(n, 10, 1, 1, 5) for n in range(7)]
    bars, partial, incomplete = merge_klines(klines(rows), 10, 40, True)
    assert (bars.n_bars, incomplete) == (1, 0)
    assert (tidy(partial)["ts_open"], tidy(partial)["volume"]) == ([40], [15])
    assert merge_klines(klines(rows), 10, 40, False)[0].n_bars == 2
    assert merge_klines(klines([*rows, (7, 10, 1, 1, 5)]), 10, 40, True)[1].n_bars == 0


def test_a_kline_without_volume_lends_its_price_to_no_bar_that_has_any():
    rows = [(0, 100, 0, 0, 0), (1, 110, 1, 2, 5), (2, 111, 0, 0, 0), (3, 109, 0, 0, 0), (4, 90, 0, 0, 0)]
    bars, _, incomplete = merge_klines(klines(rows), 10, 40, False)
    assert [tidy(bars)[name] for name in ("open", "high", "low", "close")] == [
        [110, 90],
        [113, 90],
        [110, 90],
        [111, 90],
    ]
    assert (tidy(bars)["volume"], incomplete) == ([5, 0], 1)


def test_a_sum_that_does_not_fit_is_refused():
    rows = [(n, 10, 1, 1, 6 * 10**17) for n in range(2)]
    made = klines(rows) | {"notional": np.array([1, 1])}
    with pytest.raises(ExactnessLost, match="volume"):
        merge_klines(made, 10, 20, False)
    assert merge_klines(made, 10, 10, False)[0].n_bars == 2


def test_no_klines_make_no_bars():
    empty = {name: values[:0] for name, values in klines([(0, 10, 1, 1, 1)]).items()}
    bars, partial, incomplete = merge_klines(empty, 10, 20, True)
    assert (bars.n_bars, partial.n_bars, incomplete) == (0, 0, 0)
