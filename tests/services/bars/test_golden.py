"""Bars of real trades against tables that another program (mlfinpy 0.1.2) made of the same trades.

Same semantics: `>=`, the crossing trade whole in its bar, the excess dropped. Its side comes from the tick rule, ours
from the exchange, so bought volume is not compared.
"""

import gzip
import json
import zipfile
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from services.bars.domain.build import close_bars
from services.bars.domain.rule import Rule
from services.bars.domain.state import State, Trades
from tests.services.bars.runs import columns, imported, run
from tickloom.settings import settings

NEXO = ("NEXOUSDT-trades-2024-07-24",)
BTC = ("BTCUSDT-trades-2024-08-08", "BTCUSDT-trades-2024-08-09")
EMINI = "expected/mlfinpy/imbalance_sample_data_small.csv.gz"


def table(shared_data, name):
    folder = shared_data / "expected" / "peer_mlfinpy_0.1.2"
    listed = {entry["file"].rpartition("/")[2] for entry in json.loads((folder / "index.json").read_text())}
    assert f"{name}.csv.gz" in listed
    return pl.read_csv(gzip.decompress((folder / f"{name}.csv.gz").read_bytes()), infer_schema_length=None)


def micros(texts):
    stamps = [datetime.strptime(f"{text}000", "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC) for text in texts]
    return [int(stamp.timestamp()) * 1_000_000 + stamp.microsecond for stamp in stamps]


def assert_same(got, peer):
    assert got["ts_close"] == micros(peer["date_time"])
    assert np.cumsum(got["n_trades"]).tolist() == peer["tick_num"].to_list()
    assert got["n_trades"] == peer["cum_ticks"].to_list()
    for ours, theirs in zip(
        ("open", "high", "low", "close", "volume", "notional"),
        ("open", "high", "low", "close", "volume", "cum_dollar_value"),
        strict=True,
    ):
        # The peer adds floats: its sums are right to a few units in the last of 12 digits, its prices to the last.
        assert np.allclose([float(v) for v in got[ours]], peer[theirs].to_numpy(), rtol=1e-11, atol=0)
    assert [float(p) for p in got["close"]] == peer["close"].to_list()


@pytest.mark.parametrize(
    ("name", "days", "spec"),
    [
        ("nexousdt_20240724_tick_100", NEXO, {"kind": "tick", "threshold": 100}),
        ("nexousdt_20240724_volume_5000", NEXO, {"kind": "volume", "threshold": 5000}),
        ("nexousdt_20240724_dollar_10000", NEXO, {"kind": "dollar", "threshold": 10000}),
        ("btcusdt_20240808_09_tick_100", BTC, {"kind": "tick", "threshold": 100}),
        ("btcusdt_20240808_09_volume_5", BTC, {"kind": "volume", "threshold": 5}),
        ("btcusdt_20240808_09_dollar_250000", BTC, {"kind": "dollar", "threshold": 250000}),
    ],
)
def test_bars_of_real_trades_equal_the_peers(shared_data, imports, name, days, spec):
    symbol = days[0].partition("-")[0]
    text = b""
    for day in days:
        with zipfile.ZipFile(shared_data / "trades" / "vision_layout" / "spot" / f"{day}.zip") as archive:
            text += archive.read(f"{day}.csv")
    (imports / "t.csv").write_bytes(text)
    bars = run(imported(data_type="trades", files={symbol: "t.csv"}), **spec)
    peer = table(shared_data, name)
    assert bars.facts["symbols"][symbol]["n_bars"] == len(peer)
    assert_same(columns(bars, symbol), peer)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("emini_small_tick_100", Rule("tick", 100)),
        ("emini_small_volume_500", Rule("volume", 500)),
        ("emini_small_dollar_1000000", Rule("dollar", 100_000_000)),
    ],
)
def test_bars_of_futures_ticks_equal_the_peers(shared_data, name, rule):
    ticks = pl.read_csv(gzip.decompress((shared_data / EMINI).read_bytes()), schema_overrides={"Price": pl.String})
    ts = np.array(micros(text.replace("/", "-") for text in ticks["Date and Time"]), np.int64)
    price = np.array([int(Decimal(p) * 100) for p in ticks["Price"]], np.int64)
    side = np.ones(ts.size, np.int8)
    trades = Trades(np.arange(ts.size), ts, price, ticks["Volume"].cast(pl.Int64).to_numpy(), side)
    bars, _ = close_bars(trades, rule, State(), 0)
    got = {name: values.tolist() for name, values in bars.columns.items()}
    for name_of_price in ("open", "high", "low", "close", "notional"):
        got[name_of_price] = [value / 100 for value in got[name_of_price]]
    assert_same(got, table(shared_data, name))


def test_hours_of_the_real_fifteen_minute_klines_add_up(shared_data, home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(shared_data))
    settings.cache_clear()
    files = {"BTCUSDT": "klines/binance_spot/BTC_USDT-15m-2023.feather"}
    bars = run(imported(data_type="klines", interval="15m", files=files), kind="time", interval="1h")
    facts = bars.facts["symbols"]["BTCUSDT"]
    assert (facts["n_bars"], facts["incomplete"]) == (8748, 1)
    assert Decimal(facts["volume"]) + Decimal(facts["residual"]["volume"]) == Decimal("36595192.08953")
    frame = (
        pl.read_ipc(shared_data / files["BTCUSDT"])
        .group_by_dynamic("date", every="1h")
        .agg(pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last())
    )
    got = columns(bars, "BTCUSDT")
    for name in ("open", "high", "low", "close"):
        assert [float(v) for v in got[name]] == frame[name].to_list()[:-1]
