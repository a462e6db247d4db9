"""Bars made of trades, traded with stop and target: what happened inside a bar is what its trades say."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from services.backtest import job as backtest_job
from services.backtest.job import BacktestJob
from services.bars.job import BarsJob
from services.features.job import FeaturesJob
from services.signals import job as signals_job
from services.signals.job import SignalsJob
from tests.cli.lookahead.markets import trades
from tests.naive import inside as naive
from tests.services.bars.runs import imported, write_trades
from tests.services.signals.stages import files_of, stage_call
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.bars import BarsRequest
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.http import Report
from tickloom.lake import Lake

ROWS = trades(7, days=4, per_day=1500)
SIGNALS = {
    "long_entry": "close > sma_{n}", "long_exit": "close < sma_{n}", "parameters": {"n": [2, 4, 8, 16]},
}  # fmt: skip
RISK = {"stop_loss_rate": 0.01, "take_profit_rate": 0.02, "trailing_stop_rate": 0.015, "objective": "total_return"}


@pytest.fixture
def signals(lake: Lake, imports: Path) -> Manifest:
    return signals_of(lake, imported(data_type="trades", files=write_trades(imports, "AAA", ROWS)))


def signals_of(lake: Lake, download: Manifest) -> Manifest:
    """Bars of 60 trades, some of them over midnight, and rules over them."""
    bars = BarsRequest.model_validate({"spec": {"kind": "tick", "threshold": 60}})
    made = BarsJob(lake).run(stage_call("bars", bars, download), Report())
    features = FeaturesRequest.model_validate({"features": [{"name": "sma", "timeperiod": [2, 4, 8, 16]}]})
    made = FeaturesJob(lake).run(stage_call("features", features, made), Report())
    return SignalsJob(lake).run(stage_call("signals", SignalsRequest.model_validate(SIGNALS), made), Report())


def backtest(lake: Lake, signals: Manifest, **changes: Any) -> Manifest:
    request = BacktestRequest.model_validate(RISK | changes)
    return BacktestJob(lake).run(stage_call("backtest", request, signals), Report())


def frame(lake: Lake, manifest: Manifest, name: str) -> pd.DataFrame:
    return lake.read_table(lake.entry(manifest, name)).to_pandas()


def walked(lake: Lake, signals: Manifest, combo: int, *, fills: bool, rows: Any = ROWS, risk: Any = RISK) -> Any:
    """The same trial over the file's own rows: every bar's trades, one after the other, in fractions."""
    features = frame(lake, lake.ancestor(signals, "features"), "AAA.parquet")
    changes = frame(lake, signals, "AAA/0-3.parquet")
    mask = np.zeros(len(features), int)
    for row in changes[changes["combo"] == combo].itertuples():
        mask[row.bar :] = row.mask
    price = {row[0]: float(row[2]) for row in rows}
    ids = zip(features["first_trade_id"], features["last_trade_id"], strict=True)
    paths = [[price[k] for k in range(first, last + 1)] for first, last in ids]
    rules = {
        "initial_cash": 1e4, "fraction": 1.0, "commission_rate": 0.001, "maker_rate": 0.001, "slippage_rate": 0.0005,
        "stop_loss_rate": risk["stop_loss_rate"], "take_profit_rate": risk["take_profit_rate"],
        "trailing_rate": risk["trailing_stop_rate"],
    }  # fmt: skip
    bars = list(features[["open", "high", "low", "close"]].itertuples(index=False, name=None))
    return naive.run(bars, mask.tolist(), rules, paths, fills=fills)


@pytest.mark.parametrize("mode", ["order", "fills"])
def test_real_trades_decide_inside_real_bars(lake: Lake, imports: Path, shared_data: Path, mode: str) -> None:
    """A day of NEXOUSDT, read from the archive with nothing of ours, each bar walked through by hand code."""
    name = "NEXOUSDT-trades-2024-07-24"
    with zipfile.ZipFile(shared_data / "trades" / "vision_layout" / "spot" / f"{name}.zip") as archive:
        lines = list(csv.reader(io.TextIOWrapper(archive.open(f"{name}.csv"))))
    rows = [(int(row[0]), int(row[4]) * 1000, row[1], row[2], row[5] == "True") for row in lines]
    signals = signals_of(lake, imported(data_type="trades", files=write_trades(imports, "AAA", rows)))
    risk = {"stop_loss_rate": 0.002, "take_profit_rate": 0.003, "trailing_stop_rate": 0.003}
    manifest = backtest(lake, signals, inside_bar=mode, **risk)
    table, equity = frame(lake, manifest, "trades/AAA.parquet"), frame(lake, manifest, "equity/AAA.parquet")
    combo = manifest.facts["best"]["AAA"]["combo"]
    account = walked(lake, signals, combo, fills=mode == "fills", rows=rows, risk=risk)
    assert table["reason"].tolist() == [t["reason"] for t in account.trades]
    np.testing.assert_allclose(table["pnl"], [float(t["pnl"]) for t in account.trades], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(equity["equity"], [float(row[2]) for row in account.curve], rtol=1e-9)
    assert (table["inside_bar"] == "trades").any()


@pytest.mark.parametrize("mode", ["order", "fills"])
def test_the_stage_fills_as_a_walk_through_the_files_own_trades_does(lake: Lake, signals: Manifest, mode: str) -> None:
    manifest = backtest(lake, signals, inside_bar=mode)
    table, equity = frame(lake, manifest, "trades/AAA.parquet"), frame(lake, manifest, "equity/AAA.parquet")
    account = walked(lake, signals, manifest.facts["best"]["AAA"]["combo"], fills=mode == "fills")
    assert table["reason"].tolist() == [t["reason"] for t in account.trades]
    np.testing.assert_allclose(table["pnl"], [float(t["pnl"]) for t in account.trades], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(equity["equity"], [float(row[2]) for row in account.curve], rtol=1e-9)
    assert "trades" in set(table["inside_bar"]) <= {"bars", "trades"}
    found = manifest.facts["inside_bar"]["symbols"]["AAA"]
    assert (found["n_by_trades"], found["n_by_guess"]) == ((table["inside_bar"] == "trades").sum(), 0)


def test_a_trade_that_trades_ended_names_the_one_that_did_and_its_time(lake: Lake, signals: Manifest) -> None:
    table = frame(lake, backtest(lake, signals, inside_bar="fills", slippage_rate=0.0), "trades/AAA.parquet")
    ended = table[table["exit_trade_id"].notna()]
    assert {"stop", "target", "trailing_stop"} <= set(ended["reason"])
    for row in ended.itertuples():
        _, ts, price, _, _ = ROWS[int(row.exit_trade_id)]
        assert row.exit_ts == ts
        if row.reason == "target":
            assert float(price) > row.exit_price == pytest.approx(row.entry_price * 1.02)
        else:
            assert float(price) == row.exit_price


def test_what_is_told_of_the_guess_is_what_the_guess_gives(lake: Lake, signals: Manifest) -> None:
    true, guessed = backtest(lake, signals), backtest(lake, signals, inside_bar="guess")
    told = true.facts["inside_bar"]["symbols"]["AAA"]
    grid, by_guess = frame(lake, true, "grid.parquet"), frame(lake, guessed, "grid.parquet")
    combo = true.facts["best"]["AAA"]["combo"]
    for name, value in told["guess"].items():
        assert value == pytest.approx(by_guess[name][combo], nan_ok=True)
    assert told["best_by_guess"] == guessed.facts["best"]["AAA"]["combo"]
    assert told["n_moved"] == (grid["final_equity"] != by_guess["final_equity"]).sum() > 0
    assert told["n_moved"] <= told["n_contested"] <= told["n_trials"] == 4
    own = guessed.facts["inside_bar"]
    assert (own["mode"], own["symbols"]["AAA"]["has_trades"], own["symbols"]["AAA"]["n_by_trades"]) == (
        "guess",
        False,
        0,
    )
    assert own["symbols"]["AAA"]["n_by_guess"] > 0
    assert own["symbols"]["AAA"]["guess"]["total_return"] == guessed.facts["best"]["AAA"]["metrics"]["total_return"]
    assert "guess" in set(frame(lake, guessed, "trades/AAA.parquet")["inside_bar"])


def test_where_no_order_matters_the_guess_is_the_result(lake: Lake, signals: Manifest) -> None:
    plain = {"take_profit_rate": None, "trailing_stop_rate": None}
    true, guessed = backtest(lake, signals, **plain), backtest(lake, signals, inside_bar="guess", **plain)
    assert files_of(true)["trades/AAA.parquet"] == files_of(guessed)["trades/AAA.parquet"]
    assert true.facts["inside_bar"]["symbols"]["AAA"]["n_contested"] == 0


@pytest.mark.parametrize("small", [10**12, 0], ids=["inline", "processes"])
def test_the_bytes_do_not_depend_on_batches_or_workers(
    lake: Lake, signals: Manifest, imports: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = backtest(lake, signals)
    other = Lake(str(lake.url) + "-other")
    monkeypatch.setattr(backtest_job, "SMALL", small)
    monkeypatch.setattr(signals_job, "BATCH", 1)
    download = lake.ancestor(signals, "download")
    for entry in download.files:
        assert other.add_bytes(entry.name, lake.read_bytes(entry)).sha256 == entry.sha256
    split = backtest(other, signals_of(other, other.put_manifest(download)))
    assert files_of(split) == files_of(whole)


def test_other_trades_in_the_same_bars_are_another_result(lake: Lake, signals: Manifest, imports: Path) -> None:
    """The bars are the same to the last digit: only the order of the prices within them is not."""
    features = frame(lake, lake.ancestor(signals, "features"), "AAA.parquet")
    rows = list(ROWS)
    for first, last in zip(features["first_trade_id"], features["last_trade_id"], strict=True):
        inner = [rows[k][2:] for k in range(first + 1, last)][::-1]
        for k, what in zip(range(first + 1, last), inner, strict=True):
            rows[k] = (*rows[k][:2], *what)
    write_trades(imports, "turned", rows)
    turned = signals_of(lake, imported(data_type="trades", files={"AAA": "turned.csv"}))
    assert frame(lake, lake.ancestor(turned, "features"), "AAA.parquet")["high"].equals(features["high"])
    assert files_of(turned)["AAA/0-3.parquet"] == files_of(signals)["AAA/0-3.parquet"]
    assert not frame(lake, backtest(lake, turned), "grid.parquet")["final_equity"].equals(
        frame(lake, backtest(lake, signals), "grid.parquet")["final_equity"]
    )
