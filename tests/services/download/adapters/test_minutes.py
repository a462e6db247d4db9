"""Stored trades and stored klines side by side: on one scale, day by day, and with real archives of the exchange."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from services.download.adapters.minutes import read_pair
from services.download.domain.minutes import compare_minutes
from tests.services.download.runs import Stage
from tests.services.download.sources import T0, own_lake, read, trade
from tickloom.errors import ExactnessLost
from tickloom.settings import settings

MINUTE = 60_000


def kline(minute, *prices, volume="0.25", count=1, bought="0", notional="25.125"):
    opened = T0 + minute * MINUTE
    fields = (opened, *prices, volume, opened + MINUTE - 1, notional, count, bought, "0", "0")
    return ",".join(map(str, fields)) + "\n"


def pair_of(lake, trades, klines, **kind):
    made = read(lake, trades, **kind), read(lake, klines, "klines", "1m")
    return read_pair(lake, *([entry for entry in part.files if entry.rows] for part in made))


def test_prices_of_different_scales_are_held_against_each_other(tmp_path):
    pair, days = pair_of(own_lake(tmp_path), trade(1), kline(0, *["100.50000000"] * 4))
    assert days == [0]
    assert compare_minutes(pair, days, leaves_out=False)["equal"] == 1


def test_aggregates_count_the_trades_that_they_stand_for(tmp_path):
    row = f"1,100.5,0.25,40,46,{T0},True,True\n"
    pair, days = pair_of(own_lake(tmp_path), row, kline(0, *["100.5"] * 4, count=7), data_type="aggTrades")
    assert compare_minutes(pair, days, leaves_out=False)["equal"] == 1


def test_a_minute_that_does_not_fit_is_named(tmp_path):
    big = trade(1, price="999999999", quantity="999999999.9")
    with pytest.raises(ExactnessLost, match=r"2024-01-05\.parquet"):
        pair_of(own_lake(tmp_path), big + trade(2, price="1.5", quantity="0.123456789"), kline(0, *["1"] * 4))


def test_row_groups_make_the_same_minutes_as_a_whole(tmp_path, monkeypatch):
    trades = "".join(trade(i, T0 + 700 * i) for i in range(300))
    whole, _ = pair_of(own_lake(tmp_path / "a"), trades, kline(0, *["100.5"] * 4))
    for module in ("day", "days"):
        monkeypatch.setattr(f"services.download.adapters.{module}.ROW_GROUP", 64)
    pieces, _ = pair_of(own_lake(tmp_path / "b"), trades, kline(0, *["100.5"] * 4))
    assert np.array_equal(whole.ours, pieces.ours)


def test_real_klines_in_microseconds_equal_trades_that_were_made_to_fit_them(shared_data, home, tmp_path, monkeypatch):
    """The exchange's own archive of 2025-06-05; of each minute four trades: open, high, low and close, its volume."""
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(shared_data))
    settings.cache_clear()
    stage = Stage()
    files = {"BTCUSDT": "klines/vision_zip/BTCUSDT-1m/BTCUSDT-1m-2025-06-05.zip"}
    run = stage.run(venue="file", data_type="klines", interval="1m", files=files)
    (klines,) = run.under("BTCUSDT/")
    frame = pl.DataFrame(stage.lake.read_table(klines)).rows(named=True)
    lines, lot = [], Decimal("0.00001")
    for number, bar in enumerate(frame):
        opened = bar["ts_open"] // 1000 if isinstance(bar["ts_open"], int) else int(bar["ts_open"].timestamp() * 1000)
        parts = [lot, lot, lot, bar["volume"] - 3 * lot]
        for at, (price, quantity) in enumerate(
            zip((bar[name] for name in ("open", "high", "low", "close")), parts, strict=True)
        ):
            lines.append(f"{4 * number + at},{price},{quantity},0,{opened + at},True,True\n")
    day = datetime(2025, 6, 5, tzinfo=UTC).date()
    made = read(stage.lake, "".join(lines), first=day, last=day)
    pair, days = read_pair(stage.lake, [entry for entry in made.files if entry.rows], [klines])
    found = compare_minutes(pair, days, leaves_out=False)
    assert (found["compared"], found["not_in_official"], found["not_in_trades"]) == (1440, 0, 0)
    assert set(found["largest"]) == {"notional", "n_trades", "buy_volume", "buy_notional"}
