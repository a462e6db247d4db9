"""Many symbols on one account as the stage runs it: real lake, real signals, every file that it writes."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from services.backtest import job as backtest_job
from services.backtest.domain.metrics import Metrics
from services.backtest.job import BacktestJob
from services.signals import job as signals_job
from services.signals.job import SignalsJob
from tests.services.signals.stages import SMAS, bars_table, features_artifact, files_of, stage_call
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.errors import InvalidRequest
from tickloom.http import Report
from tickloom.lake import Lake

BARS = {"ADAUSDT": 300, "BTCUSDT": 400, "ETHUSDT": 350}
RULES = {
    "long_entry": "sma_{fast} > sma_{slow}", "long_exit": "sma_{fast} < sma_{slow}",
    "short_entry": "sma_{fast} < sma_{slow}", "short_exit": "sma_{fast} > sma_{slow}",
    "parameters": {"fast": [2, 3, 5], "slow": [8, 13]}, "trigger": "level",
}  # fmt: skip
PORTFOLIO: dict[str, Any] = {
    "weights": {"kind": "inverse_volatility"},
    "rebalance": {"on_signal": "changed", "every": "6h", "threshold": 0.1},
    "limits": {"max_weight": 0.3, "max_net": 0.8, "min_holdings": 2, "max_daily_loss": 0.05, "cooldown": "6h"},
}


def request(**changes: Any) -> BacktestRequest:
    return BacktestRequest.model_validate({"portfolio": PORTFOLIO, "volatility_bars": 20} | changes)


def signals_in(lake: Lake, bars: dict[str, int] = BARS) -> Manifest:
    features = features_artifact(lake, {s: bars_table(n, seed=n) for s, n in bars.items()}, SMAS)
    return SignalsJob(lake).run(stage_call("signals", SignalsRequest.model_validate(RULES), features), Report())


def made(lake: Lake, signals: Manifest, **changes: Any) -> Manifest:
    return BacktestJob(lake).run(stage_call("backtest", request(**changes), signals), Report())


def frame(lake: Lake, manifest: Manifest, name: str) -> pd.DataFrame:
    return lake.read_table(lake.entry(manifest, name)).to_pandas()


def test_the_account_stands_where_a_symbol_would_and_its_books_balance(lake: Lake) -> None:
    signals = signals_in(lake)
    manifest = made(lake, signals)
    assert [entry.name for entry in manifest.files] == [
        "grid.parquet", "trades/PORTFOLIO.parquet", "fills/PORTFOLIO.parquet", "equity/PORTFOLIO.parquet",
        "positions/PORTFOLIO.parquet", "limits/PORTFOLIO.parquet", "portfolio.json", "returns/PORTFOLIO.parquet",
        "luck/PORTFOLIO.json", "results.json",
    ]  # fmt: skip
    grid = frame(lake, manifest, "grid.parquet")
    assert list(grid.columns) == ["symbol", "combo", "fast", "slow", *Metrics.__annotations__]
    assert grid["symbol"].tolist() == ["PORTFOLIO"] * 6
    best = manifest.facts["best"]["PORTFOLIO"]
    trades, fills, equity, positions = (
        frame(lake, manifest, f"{name}/PORTFOLIO.parquet") for name in ("trades", "fills", "equity", "positions")
    )
    assert set(trades["symbol"]) == set(fills["symbol"]) == set(BARS)
    assert len(trades) == best["metrics"]["n_trades"]
    assert trades["pnl"].sum() == pytest.approx(equity["equity"].iloc[-1] - 10_000, rel=1e-9)
    assert fills["fee"].sum() == pytest.approx(best["metrics"]["fees_paid"], rel=1e-9)
    assert equity["equity"].iloc[-1] == best["metrics"]["final_equity"]
    assert equity["drawdown"].min() == best["metrics"]["max_drawdown"]
    np.testing.assert_allclose(equity["cash"] + equity["net"], equity["equity"], rtol=1e-9)
    assert (positions.drop(columns="ts") != 0).sum(axis=1).tolist() == equity["n_held"].tolist()
    assert (np.diff(trades["entry_ts"]) >= 0).all()
    told = json.loads(lake.read_bytes(lake.entry(manifest, "portfolio.json")))
    assert sum(one["pnl"] for one in told["symbols"]) == pytest.approx(trades["pnl"].sum(), rel=1e-9)
    limits = frame(lake, manifest, "limits/PORTFOLIO.parquet")
    assert {one["limit"]: one["n"] for one in told["limits"]} == limits["limit"].value_counts().to_dict()
    assert {"max_weight", "max_net"} <= set(limits["limit"])
    luck = json.loads(lake.read_bytes(lake.entry(manifest, "luck/PORTFOLIO.json")))
    assert luck["n_trials"] == 6
    assert luck["random_entries"]["p_value"] is luck["shuffled_trades"] is None
    assert "many symbols" in luck["random_entries"]["reason"]
    own = luck["costs"]["total_return"][luck["costs"]["commission_rates"].index(0.001)]
    assert own[luck["costs"]["slippage_rates"].index(0.0005)] == pytest.approx(best["metrics"]["total_return"])


def test_fills_in_bars_in_which_nothing_traded_are_counted(lake: Lake) -> None:
    table = bars_table(400, seed=400)
    empty = np.r_[np.zeros(200), np.ones(200)]
    table = table.set_column(table.schema.get_field_index("volume"), "volume", pa.array(empty))
    features = features_artifact(lake, {"ADAUSDT": bars_table(300, seed=300), "BTCUSDT": table}, SMAS)
    signals = SignalsJob(lake).run(stage_call("signals", SignalsRequest.model_validate(RULES), features), Report())
    manifest = made(lake, signals)
    fills, trades = (frame(lake, manifest, f"{name}/PORTFOLIO.parquet") for name in ("fills", "trades"))
    until = table["ts_open"].to_numpy()[200]
    assert (fills["is_untraded"] == ((fills["symbol"] == "BTCUSDT") & (fills["ts"] < until))).all()
    assert fills["is_untraded"].any()
    is_early = trades[["entry_bar", "exit_bar"]].lt(200).sum(axis=1)
    assert (trades["n_untraded"] == np.where(trades["symbol"] == "BTCUSDT", is_early, 0)).all()
    assert manifest.facts["untraded"]["PORTFOLIO"]["n_fills"] == trades["n_untraded"].sum() > 0


def test_the_figures_are_those_that_viz_makes_of_the_curve(lake: Lake) -> None:
    from services.viz.domain.curve import curve_metrics, disagreements

    manifest = made(lake, signals_in(lake))
    equity = frame(lake, manifest, "equity/PORTFOLIO.parquet")
    computed = curve_metrics(equity["ts"].to_numpy(), equity["equity"].to_numpy(), 10_000.0)
    assert not disagreements(manifest.facts["best"]["PORTFOLIO"]["metrics"], computed)


def test_one_symbol_of_full_weight_has_the_figures_of_its_own_account_when_nothing_gaps(lake: Lake) -> None:
    signals = signals_in(lake, {"BTCUSDT": 400})
    one = made(lake, signals, portfolio={})
    alone = BacktestJob(lake).run(stage_call("backtest", BacktestRequest(), signals), Report())
    together, own = (frame(lake, manifest, "grid.parquet") for manifest in (one, alone))
    assert together["n_trades"].tolist() == own["n_trades"].tolist()
    np.testing.assert_allclose(together["final_equity"], own["final_equity"], rtol=0.02)
    np.testing.assert_allclose(together["exposure"], own["exposure"], rtol=1e-12)
    np.testing.assert_allclose(together["buy_and_hold_return"], own["buy_and_hold_return"], rtol=1e-12)


def test_the_bytes_do_not_depend_on_batches_or_processes(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made(lake, signals_in(lake))
    other = Lake(str(lake.url) + "-other")
    monkeypatch.setattr(signals_job, "BATCH", 4)
    monkeypatch.setattr(backtest_job, "SMALL", 0)
    assert files_of(made(other, signals_in(other))) == files_of(whole)


def test_a_request_without_a_portfolio_is_the_request_that_it_was() -> None:
    assert "portfolio" not in BacktestRequest().canonical()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"stop_loss_rate": 0.02}, "stop_loss_rate: an account of many symbols"),
        ({"impact": {"kind": "square_root"}}, "impact: an account of many symbols"),
        ({"latency_ms": 5}, "latency_ms: signals reach"),
        ({"inside_bar": "fills"}, "inside_bar: an account of many symbols"),
        ({"entry": {"kind": "limit", "offset_rate": 0.1, "bars": 2}}, "entry: an account of many symbols"),
        ({"sizing": {"kind": "fixed_fraction", "fraction": 0.5}}, "portfolio.weights decides"),
        ({"portfolio": {"limits": {"max_gross": 2.0}}}, "needs leverage 2 or more"),
        ({"portfolio": {"limits": {"max_net": 1.5}}}, "above the gross exposure allowed, 1"),
        ({"portfolio": {"limits": {"max_gross": 0.5, "max_net": 0.75}}}, "max_net: is above max_gross"),
        ({"portfolio": {"limits": {"max_weight": 2.0}}}, "above the gross exposure allowed, 1"),
        ({"portfolio": {"weights": {"kind": "equal", "exposure": 2.0}}}, "above the gross exposure allowed, 1"),
        ({"portfolio": {"limits": {"cooldown": "1d"}}}, "follows a halt"),
        ({"portfolio": {"limits": {"max_drawdown": 0.1, "max_daily_loss": 0.2}}}, "would always come first"),
        ({"portfolio": {"rebalance": {"on_signal": "none"}}}, "nothing is ever traded"),
        ({"portfolio": {"rebalance": {"every": "1 day"}}}, "every"),
    ],
)
def test_what_contradicts_itself_is_refused_in_words(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        request(**body)


def test_more_holdings_than_symbols_are_refused(lake: Lake) -> None:
    with pytest.raises(InvalidRequest, match="cannot be held: there are 3 symbols"):
        made(lake, signals_in(lake), portfolio={"limits": {"min_holdings": 4}})


def test_a_symbol_that_is_called_like_the_account_is_refused(lake: Lake) -> None:
    with pytest.raises(InvalidRequest, match="PORTFOLIO"):
        made(lake, signals_in(lake, {"PORTFOLIO": 50}))
