"""C1 and C1b where the data are klines: cut, false from a moment on, and the planted mistakes found in them too."""

import csv
import random
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.lookahead import klines
from cli.lookahead.cuts import POISONS, Cut, Times, cut_download, cut_times
from services.bars import remote as bars
from tests.cli.lookahead.bugs import BUGS
from tests.cli.lookahead.markets import CROSS, SMAS, pipeline, probed
from tests.services.bars.runs import DAY_US, T0, imported
from tickloom.contracts.artifact import Manifest
from tickloom.lake import Lake, decimals, floats, open_lake, units

STEP_US = 900_000_000
HOURS = {"kind": "time", "interval": "1h"}
QUARTERS = {"kind": "time", "interval": "15m"}
COSTLESS = {"commission_rate": 0.0, "slippage_rate": 0.0}
BREAKOUT = {
    "long_entry": "close > prev_donchian_upper_4", "long_exit": "close < prev_donchian_lower_2",
    "short_entry": "close < prev_donchian_lower_4", "short_exit": "close > prev_donchian_upper_2",
}  # fmt: skip
CHANNELS = [{"name": "donchian", "timeperiod": [2, 4]}, {"name": "atr", "timeperiod": 3}]


def write(folder: Path, days: int = 4, seed: int = 3) -> str:
    """Write klines of 15 minutes, some of them missing, the last of an hour too; return the file's name."""
    rng, price = random.Random(seed), 100.0
    with (folder / "klines.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "open", "high", "low", "close", "volume"])
        for k in range(days * 96):
            # Most open where the one before closed, but for a gap now and then: a stop that the market jumped over.
            opened = price * (1 + rng.choice([0, 0, 0, rng.gauss(0, 0.01)]))
            price = max(opened * (1 + rng.gauss(0, 0.004)), 20)
            high, low = max(opened, price) * (1 + rng.random() / 500), min(opened, price) * (1 - rng.random() / 500)
            if rng.random() < 0.94:
                values = (f"{value:.2f}" for value in (opened, high, low, price))
                writer.writerow([(T0 + k * STEP_US) // 1000, *values, rng.randint(1, 99)])
    return "klines.csv"


@pytest.fixture
def market(source: Manifest, probe_home: Path) -> Manifest:
    """One symbol of some hundred klines, in the lake of the probe's tests."""
    assert source
    file = write(probe_home / "imports")
    return imported(data_type="klines", interval="15m", files={"AAA": file})


def left_labelled(patch: pytest.MonkeyPatch) -> None:
    true = bars.merge_klines

    def merge_klines(*args: Any) -> Any:
        made, partial, incomplete = true(*args)
        return replace(made, columns={**made.columns, "ts_close": made.columns["ts_open"]}), partial, incomplete

    patch.setattr(bars, "merge_klines", merge_klines)


@pytest.mark.parametrize("name", BUGS)
def test_c1b_a_planted_bug_is_caught_over_klines_too(
    market: Manifest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plant, stage, column = BUGS[name]
    (left_labelled if stage == "bars" else plant)(monkeypatch)
    found = probed(market, pipeline(HOURS, SMAS, stop_loss_rate=0.003, **COSTLESS), cuts=4)
    assert found.leaks, f"{name} was not caught"
    first = found.leaks[0]
    assert (first.stage, bool(re.fullmatch(column, first.column))) == (stage, True), first


@pytest.mark.parametrize(
    ("spec", "features", "signals", "backtest"),
    [
        (QUARTERS, SMAS, CROSS, {"stop_loss_rate": 0.004, "take_profit_rate": 0.004}),
        (
            HOURS,
            SMAS,
            CROSS,
            {"trailing_stop_rate": 0.005, "entry": {"kind": "limit", "offset_rate": 0.001, "bars": 3}},
        ),
        (HOURS, CHANNELS, BREAKOUT, {"stop_loss": {"column": "atr_3", "multiple": 2}}),
        (HOURS, SMAS, CROSS, {"impact": {"kind": "square_root"}, "volatility_bars": 8}),
    ],
    ids=["a kline a bar", "limits", "a stop by a feature", "impact"],
)
def test_c1b_a_clean_strategy_over_klines_raises_no_alarm(
    market: Manifest, spec: Any, features: Any, signals: Any, backtest: Any
) -> None:
    found = probed(market, pipeline(spec, features, signals, **backtest), cuts=4, seed=2)
    assert found.leaks == ()
    assert not found.refused
    assert found.cuts > 4
    assert found.runs > 2 * found.cuts
    assert set(found.stages) == {"bars", "features", "signals", "fills", "equity"}


@pytest.mark.parametrize("ts", [T0 + DAY_US // 3 + 5, T0 + DAY_US, T0 + 2 * DAY_US + 1])
def test_a_cut_leaves_the_klines_that_have_closed_with_their_facts(market: Manifest, probe_home: Path, ts: int) -> None:
    lake = Lake(str(probe_home / f"klines-{ts}"))
    (entry,) = cut_download(open_lake(), market, Cut(ts), lake).files
    whole = open_lake().read_table(market.under("AAA/")[0])
    kept = whole.filter(pa.array(whole["ts_close"].to_numpy() < ts))
    assert lake.read_table(entry) == kept
    assert entry.rows == kept.num_rows
    assert entry.facts["last_ts"] == kept["ts_open"][-1].as_py()
    assert float(entry.facts["volume"]) == floats(kept["volume"]).sum()


def table_of(opens: list[int], moves: list[int]) -> pa.Table:
    """Klines of 15 minutes without a gap, prices in hundredths."""
    opened, close = np.array(opens, np.int64), np.maximum(np.array(opens) + np.array(moves), 1).astype(np.int64)
    ts_open = T0 + STEP_US * np.arange(opened.size)
    columns = {"ts_open": ts_open, "ts_close": ts_open + STEP_US}
    prices = {"open": opened, "high": np.maximum(opened, close) + 3, "low": np.minimum(opened, close), "close": close}
    return pa.table(columns | {name: decimals(column, 2) for name, column in prices.items()})


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(50, 500), st.integers(-40, 40)), min_size=1, max_size=30),
    at=st.integers(0, 31 * STEP_US),
    poison=st.sampled_from(POISONS),
)
def test_a_poison_leaves_what_was_known_and_every_row_a_kline(
    rows: list[tuple[int, int]], at: int, poison: str
) -> None:
    true, ts = table_of(*map(list, zip(*rows, strict=True))), T0 + at
    false = klines.poisoned(true, ts, poison, T0 + 2 * DAY_US, 2.0)
    known = true["ts_close"].to_numpy() < ts
    begun = true["ts_open"].to_numpy() < ts
    assert false.filter(pa.array(known)) == true.filter(pa.array(known))
    assert false["ts_open"] == true["ts_open"]
    assert false["ts_close"] == true["ts_close"]
    assert (floats(false["open"]) == floats(true["open"]))[begun].all()
    o, h, low, c = (floats(false[name]) for name in ("open", "high", "low", "close"))
    assert (low <= np.minimum(o, c)).all()
    assert (h >= np.maximum(o, c)).all()
    assert (low > 0).all()
    if poison == "mirrored":
        whole = ~begun  # of the one that is under way the open is true
        image = [max(round(Fraction(200) ** 2 / int(p)), 1) for p in units(true["low"])[0][whole]]
        assert units(false["high"])[0][whole].tolist() == image
    elif poison != "reversed" and not known.all():
        assert (c != floats(true["close"]))[~known].any() or floats(true["close"])[~known].max() <= 0.01


def test_a_poison_ends_with_the_day_after_its_moment() -> None:
    true = table_of([100] * 400, [1] * 400)
    false = klines.poisoned(true, T0 + STEP_US, "doubled", Cut(T0 + STEP_US).end(), 0.0)
    assert false.num_rows == 2 * 96


def test_no_cut_falls_where_the_clock_alone_says_that_a_bar_is_over() -> None:
    hour = 4 * STEP_US
    closes = T0 + STEP_US * np.array(
        [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    )  # the last quarter of the second hour is missing
    bar_closes = T0 + hour * np.array([1, 2, 3])
    assert klines.is_told(T0 + hour + 1, bar_closes, closes)
    assert not klines.is_told(T0 + 2 * hour + 1, bar_closes, closes)
    assert klines.is_told(T0 + 2 * hour + STEP_US + 1, bar_closes, closes)
    symbol = Times(bar_closes - hour, bar_closes, np.array([2]), closes)
    times: Callable[[int], list[int]] = lambda seed: cut_times(12, seed, [symbol])  # noqa: E731
    assert not any(T0 + 2 * hour < ts <= T0 + 2 * hour + STEP_US for seed in range(20) for ts in times(seed))
