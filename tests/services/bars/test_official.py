"""Time bars against klines that the exchange made itself, wherever real data of both overlap.

Of the month that we have in 1-minute archives the daily klines are there from another source; of 15-minute klines there
are others, so they are held against the daily ones too: what 1 minute and 15 minutes make of a day is the same day.
"""

import gzip
import zipfile
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from tests.services.bars.runs import columns, imported, run

PRICES = ("open", "high", "low", "close")
QUARTER_US = 900_000_000
ADDED = {5: "volume", 7: "notional", 8: "n_trades", 9: "buy_volume", 10: "buy_notional"}


def official_days(shared_data, symbol):
    """Return what the exchange says of each day: date -> open, high, low, close, volume."""
    with zipfile.ZipFile(shared_data / "klines/binance_spot/daily_23_symbols_a.zip") as archive:
        lines = archive.read(f"{symbol}_1d.csv").decode().splitlines()[1:]
    return {line[:10]: [Decimal(text) for text in line.split(",")[1:6]] for line in lines}


def days_of(bars, symbol):
    got = columns(bars, symbol)
    rows = zip(*(got[name] for name in ("ts_open", *PRICES, "volume")), strict=True)
    return {datetime.fromtimestamp(ts // 1_000_000, UTC).date().isoformat(): row for ts, *row in rows}


@pytest.fixture
def minutes(shared_data, imports):
    """The lines of 30 original daily archives of 1-minute klines, joined."""
    lines = []
    for path in sorted((shared_data / "klines/vision_zip/BTCUSDT-1m").glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            lines += archive.read(archive.namelist()[0]).decode().splitlines()
    (imports / "m.csv").write_text("\n".join(lines) + "\n")
    assert len(lines) == 30 * 1440
    return [line.split(",") for line in lines]


def test_a_month_of_one_minute_archives_makes_the_days_that_the_exchange_publishes(shared_data, minutes):
    source = imported(data_type="klines", interval="1m", files={"BTCUSDT": "m.csv"})
    got = days_of(run(source, kind="time", interval="1d"), "BTCUSDT")
    official = official_days(shared_data, "BTCUSDT")
    assert len(got) == 30
    assert got == {day: official[day] for day in got}


def test_fifteen_minute_bars_of_one_minute_archives_hold_their_minutes_in_every_column(minutes):
    source = imported(data_type="klines", interval="1m", files={"BTCUSDT": "m.csv"})
    bars = run(source, kind="time", interval="15m")
    wanted = defaultdict(list)
    for row in minutes:
        wanted[int(row[0]) // QUARTER_US * QUARTER_US].append(row)
    got = columns(bars, "BTCUSDT")
    assert got["ts_open"] == list(wanted)
    assert len(wanted) == bars.facts["symbols"]["BTCUSDT"]["n_bars"] == 30 * 96
    for i, rows in enumerate(wanted.values()):
        assert len(rows) == 15
        price = [[Decimal(row[k]) for row in rows] for k in range(1, 5)]
        prices = [price[0][0], max(price[1]), min(price[2]), price[3][-1]]
        assert [got[name][i] for name in PRICES] == prices
        for k, name in ADDED.items():
            assert got[name][i] == sum(Decimal(row[k]) for row in rows)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_a_year_of_official_fifteen_minutes_makes_the_official_days(shared_data, imports, symbol):
    frame = pl.read_ipc(shared_data / f"klines/binance_spot/{symbol[:3]}_USDT-15m-2023.feather")
    frame.write_parquet(imports / "k.parquet")
    source = imported(data_type="klines", interval="15m", files={symbol: "k.parquet"})
    got = days_of(run(source, kind="time", interval="1d"), symbol)
    official = official_days(shared_data, symbol)
    assert len(got) == 364
    # Five quarters of an hour are missing on 24 March: the exchange stood still, so the day lacks nothing.
    assert got == {day: official[day] for day in got}


def test_whole_days_of_the_fifteen_minutes_of_2020_make_the_official_days(shared_data, imports):
    name = "BTCUSDT_15m_2020-10_2021-01_12col.csv.gz"
    text = gzip.decompress((shared_data / "klines/binance_spot" / name).read_bytes())
    (imports / "k.csv").write_bytes(text)
    bars = run(imported(data_type="klines", interval="15m", files={"BTCUSDT": "k.csv"}), kind="time", interval="1d")
    official = official_days(shared_data, "BTCUSDT")
    got = days_of(bars, "BTCUSDT")
    other = {
        "2020-10-02",  # the file begins in the afternoon
        "2020-10-27",  # the exchange's own volumes differ by 14 of 80,811, its prices do not
        "2020-12-21",  # 15 klines are missing
    }
    assert {day for day, row in got.items() if row != official[day]} == other
    assert got["2020-10-27"][:4] == official["2020-10-27"][:4]
    assert len(got) == 92


def test_the_trades_of_midnight_open_and_close_the_official_days(shared_data, imports):
    """The capture is five minutes before and after a midnight: the day's last price, the next one's first."""
    text = b""
    for day in ("08", "09"):
        with zipfile.ZipFile(shared_data / f"trades/vision_layout/spot/BTCUSDT-trades-2024-08-{day}.zip") as archive:
            text += archive.read(archive.namelist()[0])
    (imports / "t.csv").write_bytes(text)
    source = imported(data_type="trades", files={"BTCUSDT": "t.csv"})
    official = official_days(shared_data, "BTCUSDT")
    for interval in ("1m", "1d"):
        bars = run(source, kind="time", interval=interval)
        got, facts = columns(bars, "BTCUSDT"), bars.facts["symbols"]["BTCUSDT"]
        before = [i for i, ts in enumerate(got["ts_close"]) if ts <= 1_723_161_600_000_000]
        assert got["close"][before[-1]] == official["2024-08-08"][3]
        after = got["open"][len(before)] if len(got["open"]) > len(before) else Decimal(facts["partial"]["open"])
        assert after == official["2024-08-09"][0]
        low, high = official["2024-08-09"][2], official["2024-08-09"][1]
        assert all(low <= price <= high for price in got["low"][len(before) :] + got["high"][len(before) :])
