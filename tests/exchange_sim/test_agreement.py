"""Trades, aggregate trades, bars and REST tell one story, to the last digit: each is held against the slow twin."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from exchange_sim.intervals import Grid
from tests.exchange_sim.conftest import SMALL
from tests.exchange_sim.reading import get_rows, get_trades
from tests.naive import exchange_sim as naive

DAY_MS = 86_400_000


def midnight(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def numbers(row: list[str]) -> tuple[Decimal, ...]:
    return tuple(Decimal(row[column]) for column in (1, 2, 3, 4, 5, 7, 8, 9, 10))


@pytest.mark.parametrize("market", ["spot", "um"])
@pytest.mark.parametrize("day", ["2024-06-08", "2025-06-08"])
@pytest.mark.parametrize("dataset", [SMALL, "seed=3,trades_per_day=60000"])
def test_aggregate_trades_join_neighbours_of_one_price_side_and_millisecond(sim, market, day, dataset):
    rows = get_rows(sim, market, "daily", "aggTrades", "ETHUSDT", day, dataset=dataset)
    unit = 1000 if len(rows[0][5]) == 16 else 1
    aggs = [
        (Decimal(r[1]), Decimal(r[2]), int(r[3]), int(r[4]), int(r[5]) // unit, r[6].lower() == "true") for r in rows
    ]
    assert aggs == naive.agg_trades(get_trades(sim, market, "ETHUSDT", day, dataset))


def test_the_quote_quantity_is_price_times_quantity(sim):
    for market in ("spot", "um"):
        rows = get_rows(sim, market, "daily", "trades", "SOLUSDT", "2024-06-08")
        assert all(Decimal(row[1]) * Decimal(row[2]) == Decimal(row[3]) for row in rows)


@pytest.mark.parametrize("market", ["spot", "um"])
@pytest.mark.parametrize(("interval", "width_s"), [("1s", 1), ("1m", 60), ("15m", 900), ("4h", 14400), ("1d", 86400)])
def test_bars_are_made_of_the_days_trades_with_exact_sums(sim, market, interval, width_s):
    if market == "um" and interval == "1s":
        return
    rows = get_rows(sim, market, "daily", "klines", "BTCUSDT", "2024-06-08", interval=interval)
    opens = list(range(midnight("2024-06-08"), midnight("2024-06-09"), width_s * 1000))
    assert [int(row[0]) for row in rows] == opens
    assert [int(row[6]) for row in rows] == [opened + width_s * 1000 - 1 for opened in opens]
    before = get_trades(sim, market, "BTCUSDT", "2024-06-07")[-1][1]
    trades = get_trades(sim, market, "BTCUSDT", "2024-06-08")
    if interval in ("1s", "1m"):  # the twin is slow: the first and last quarter hour hold empty bars enough
        keep = 900 // width_s
        rows, opens = rows[:keep], opens[:keep]
    assert [numbers(row) for row in rows] == naive.bars(trades, opens, [o + width_s * 1000 for o in opens], before)


@pytest.mark.parametrize("interval", ["3d", "1w", "1mo"])
def test_bars_longer_than_a_day_are_made_of_all_their_days(sim, interval):
    trades = [t for month in ("2024-02", "2024-03", "2024-04") for t in get_trades(sim, "spot", "BNBUSDT", month)]
    every = naive.bar_opens(interval, midnight("2024-03-01"), midnight("2024-05-10"))
    opens = [opened for opened in every if opened < midnight("2024-04-01")]
    ends = every[1 : len(opens) + 1]
    rows = get_rows(sim, "spot", "monthly", "klines", "BNBUSDT", "2024-03", interval=interval)
    assert [int(row[0]) for row in rows] == opens
    assert [int(row[6]) + 1 for row in rows] == ends
    assert [numbers(row) for row in rows] == naive.bars(trades, opens, ends, None)


def test_the_first_bar_ever_is_the_first_with_a_trade(sim):
    rows = get_rows(sim, "spot", "daily", "klines", "BTCUSDT", "2017-08-17", interval="1m")
    trades = get_trades(sim, "spot", "BTCUSDT", "2017-08-17")
    assert int(rows[0][0]) == trades[0][3] // 60_000 * 60_000
    assert len(rows) == (midnight("2017-08-18") - int(rows[0][0])) // 60_000
    assert numbers(rows[0])[0] == trades[0][1]


@pytest.mark.parametrize(("zone", "offset_min"), [("0", 0), ("8", 480), ("-3:30", -210), ("5:45", 345)])
@pytest.mark.parametrize(("interval", "name"), [("1h", "1h"), ("1d", "1d"), ("1w", "1w"), ("1M", "1mo"), ("3d", "3d")])
def test_rest_bars_follow_the_time_zone_and_the_trades(sim, zone, offset_min, interval, name):
    trades = [t for month in ("2024-02", "2024-03", "2024-04") for t in get_trades(sim, "spot", "BNBUSDT", month)]
    every = naive.bar_opens(name, midnight("2024-02-09"), midnight("2024-04-03"), offset_min * 60_000)
    opens = [opened for opened in every if opened < midnight("2024-03-03")][:60]
    ends = every[1 : len(opens) + 1]
    query = {"symbol": "BNBUSDT", "interval": interval, "timeZone": zone, "startTime": opens[0], "endTime": opens[-1]}
    answer = sim.get(f"/datasets/{SMALL}/api/v3/klines", params=query)
    rows = answer.json()
    assert [row[0] for row in rows] == opens
    assert [row[6] + 1 for row in rows] == ends
    before = max((t for t in trades if t[3] < opens[0]), key=lambda trade: trade[0])[1]
    assert [numbers(row) for row in rows] == naive.bars(trades, opens, ends, before)


def test_rest_and_archives_are_the_same_rows(sim):
    klines = get_rows(sim, "spot", "daily", "klines", "XRPUSDT", "2025-03-01", interval="5m")
    query = {"symbol": "XRPUSDT", "startTime": midnight("2025-03-01"), "endTime": midnight("2025-03-02") - 1}
    headers = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    rest = sim.get(f"/datasets/{SMALL}/api/v3/klines", params=query | {"interval": "5m"}, headers=headers).json()
    assert [[str(value) for value in row] for row in rest] == klines
    aggs = get_rows(sim, "spot", "daily", "aggTrades", "XRPUSDT", "2025-03-01")
    rest = sim.get(f"/datasets/{SMALL}/api/v3/aggTrades", params=query | {"limit": 1000}, headers=headers).json()
    assert [[str(row[key]) for key in "apqflTmM"] for row in rest] == aggs


@pytest.mark.parametrize("interval", ["5m", "1h", "3d", "1w", "1mo"])
@pytest.mark.parametrize("offset_min", [0, 345, -210])
def test_a_grid_opens_its_own_opens(interval, offset_min):
    grid = Grid(interval, offset_min * 60_000_000)
    start = int(datetime(2023, 11, 5, 3, 7, tzinfo=UTC).timestamp()) * 1_000_000
    opens = grid.between(start, start + int(timedelta(days=100).total_seconds()) * 1_000_000)
    assert np.array_equal(grid.open_of(opens), opens)
    assert np.array_equal(grid.open_of(opens[1:] - 1), opens[:-1])
    assert np.array_equal(grid.shift(opens[:-1], 1), opens[1:])
    assert np.array_equal(grid.shift(opens[3:], -3), opens[:-3])
    assert start <= opens[0] < int(grid.shift(grid.open_of(np.array([start])), 1)[0]) + 1


def test_an_empty_bar_in_the_middle_of_a_day_repeats_the_last_trade_before_it(sim):
    trades = get_trades(sim, "spot", "BTCUSDT", "2024-06-08")
    quiet = next(
        before[3] // 60_000 * 60_000 + 60_000
        for before, after in pairwise(trades)
        if after[3] // 60_000 - before[3] // 60_000 > 2 and before[1] != trades[0][1]
    )
    query = {"symbol": "BTCUSDT", "interval": "1m", "startTime": quiet, "limit": 2}
    rows = sim.get(f"/datasets/{SMALL}/api/v3/klines", params=query).json()
    before = [trade for trade in trades if trade[3] < quiet][-1][1]
    assert [numbers(row) for row in rows] == [(before,) * 4 + (Decimal(0),) * 5] * 2
