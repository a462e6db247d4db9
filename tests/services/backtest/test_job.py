"""The backtest stage over real HTTP and a real lake, behind the real signals stage."""

import json
import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from services.backtest import job as backtest_job
from services.backtest import remote
from services.backtest.adapters import search
from services.backtest.api import app
from services.backtest.domain.metrics import Metrics
from services.backtest.job import BacktestJob
from services.signals import job as signals_job
from services.signals.job import SignalsJob
from tests.naive import backtest as naive
from tests.services.backtest.grids import BARS, RULES, frame, request, signals_in
from tests.services.signals.stages import SMAS, bars_table, events, features_artifact, files_of, served, stage_call
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.signals import SignalsRequest
from tickloom.errors import InvalidRequest
from tickloom.http import Report
from tickloom.lake import Lake


def test_a_call_over_http_tells_its_progress_and_ends_with_the_manifest(lake: Lake, signals: Manifest) -> None:
    call = stage_call("backtest", request(), signals)
    with served(app) as url:
        told = events(url, "backtest", call)
        again = events(url, "backtest", call)
    progress, last = told[:-1], told[-1]
    steps = list(dict.fromkeys((e["done"], e["total"]) for e in progress))
    assert steps == [(done, 6) for done in range(7)]
    assert list(dict.fromkeys(e["trials"]["done"] for e in progress if e["done"] in (0, 1, 2)))[-1] == 18
    assert {e["trials"]["total"] for e in progress} == {18}
    assert {"backtest BTCUSDT 0-8", "backtest ETHUSDT 0-8"} <= {e["message"] for e in progress}
    assert last["event"] == "finished"
    assert again == [last]
    assert [entry["name"] for entry in last["manifest"]["files"]] == [
        "grid.parquet", "trades/BTCUSDT.parquet", "equity/BTCUSDT.parquet", "returns/BTCUSDT.parquet",
        "luck/BTCUSDT.json", "trades/ETHUSDT.parquet", "equity/ETHUSDT.parquet", "returns/ETHUSDT.parquet",
        "luck/ETHUSDT.json", "results.json",
    ]  # fmt: skip


def test_the_running_best_is_the_best_of_the_trials_that_are_finished(lake: Lake, signals: Manifest) -> None:
    told: list[Any] = []
    manifest = BacktestJob().run(stage_call("backtest", request(), signals), Report(told.append))
    assert told[0].best is None
    grid = frame(lake, manifest, "grid.parquet")
    for event in told:
        if event.trials.done in (9, 18):  # a symbol's batch, or both
            rows = grid.iloc[: event.trials.done]
            best = rows.loc[rows["sharpe_ratio"].idxmax()]
            assert event.best.model_dump() == {
                "symbol": best["symbol"], "parameters": {"fast": best["fast"], "slow": best["slow"]},
                "objective": "sharpe_ratio", "value": best["sharpe_ratio"],
            }  # fmt: skip
    assert {event.trials.done for event in told} >= {0, 9, 18}


def test_trials_are_told_of_while_their_batch_is_at_work(
    lake: Lake, signals: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PERIOD_S", 0.005)
    told: list[Any] = []
    seen = threading.Event()
    real = remote.run_trial

    def patient(*args: Any) -> Any:  # the fifth trial waits until the first four were told of
        if args[1] == 4:
            assert seen.wait(20)
        return real(*args)

    def tell(event: Any) -> None:
        told.append(event)
        if event.done == 0 and event.trials.done == 4:
            seen.set()

    monkeypatch.setattr(remote, "run_trial", patient)
    BacktestJob().run(stage_call("backtest", request(), signals), Report(tell))
    within = next(event for event in told if event.trials.done == 4)
    assert within.best is not None
    assert within.seconds_left is not None
    assert [event.trials.done for event in told] == sorted(event.trials.done for event in told)


def test_the_manifest_says_how_far_apart_the_ratios_of_each_symbol_came_out(lake: Lake, signals: Manifest) -> None:
    manifest = BacktestJob().run(stage_call("backtest", request(), signals), Report())
    assert list(manifest.facts["tries"]) == ["BTCUSDT", "ETHUSDT"]
    for symbol, tries in manifest.facts["tries"].items():
        panel = frame(lake, manifest, f"returns/{symbol}.parquet").drop(columns="ts")
        ratios = (panel.mean() / panel.std()).dropna()
        assert (tries["n"], tries["n_measured"]) == (9, len(ratios))
        assert tries["total"] == pytest.approx(ratios.sum() * (len(panel) - 1) ** 0.5)
        assert tries["squares"] == pytest.approx((ratios**2).sum() * (len(panel) - 1))


def test_the_grid_has_a_row_per_symbol_and_trial_with_parameters_and_metrics(lake: Lake, signals: Manifest) -> None:
    manifest = BacktestJob().run(stage_call("backtest", request(), signals), Report())
    grid = frame(lake, manifest, "grid.parquet")
    assert list(grid.columns) == ["symbol", "combo", "fast", "slow", *Metrics.__annotations__]
    assert grid["symbol"].tolist() == ["BTCUSDT"] * 9 + ["ETHUSDT"] * 9
    assert grid["combo"].tolist() == [*range(9), *range(9)]
    assert grid["fast"].tolist()[:4] == [2, 2, 2, 3]
    assert (grid["n_trades"] > 5).all()


def test_the_best_trial_by_the_objective_gets_its_trades_and_its_curve(lake: Lake, signals: Manifest) -> None:
    manifest = BacktestJob().run(stage_call("backtest", request(objective="total_return"), signals), Report())
    grid = frame(lake, manifest, "grid.parquet")
    results = json.loads(lake.read_bytes(lake.entry(manifest, "results.json")))
    assert results == manifest.facts
    for symbol in BARS:
        rows = grid[grid["symbol"] == symbol].reset_index(drop=True)
        best = rows.loc[rows["total_return"].idxmax()]
        chosen = results["best"][symbol]
        assert (chosen["combo"], chosen["parameters"]) == (best["combo"], {"fast": best["fast"], "slow": best["slow"]})
        assert chosen["metrics"]["sharpe_ratio"] == best["sharpe_ratio"]
        equity, trades = (
            frame(lake, manifest, f"equity/{symbol}.parquet"),
            frame(lake, manifest, f"trades/{symbol}.parquet"),
        )
        assert equity["equity"].iloc[-1] == best["final_equity"]
        assert equity["buy_and_hold"].iloc[-1] / 10_000 - 1 == best["buy_and_hold_return"]
        assert equity["drawdown"].min() == best["max_drawdown"]
        assert len(trades) == best["n_trades"]
        assert trades["fees"].sum() == pytest.approx(best["fees_paid"])
        assert trades["pnl"].sum() == pytest.approx(best["final_equity"] - 10_000)


def test_the_whole_stage_equals_the_twin_in_fractions(lake: Lake, signals: Manifest) -> None:
    manifest = BacktestJob().run(stage_call("backtest", request(), signals), Report())
    features = frame(lake, lake.ancestor(signals, "features"), "BTCUSDT.parquet")
    combo = manifest.facts["best"]["BTCUSDT"]["combo"]
    mask = np.zeros(400, int)
    changes = frame(lake, signals, "BTCUSDT/0-8.parquet")
    for row in changes[changes["combo"] == combo].itertuples():
        mask[row.bar :] = row.mask
    bars = list(features[["open", "high", "low", "close"]].itertuples(index=False, name=None))
    rules = {
        "initial_cash": 1e4,
        "fraction": 1.0,
        "commission_rate": 0.001,
        "slippage_rate": 0.0005,
        "stop_loss_rate": 0.02,
    }
    account = naive.run(bars, mask.tolist(), rules)
    trades, equity = frame(lake, manifest, "trades/BTCUSDT.parquet"), frame(lake, manifest, "equity/BTCUSDT.parquet")
    assert trades["reason"].tolist() == [t["reason"] for t in account.trades]
    assert {"signal", "stop"} <= set(trades["reason"])
    np.testing.assert_allclose(trades["pnl"], [float(t["pnl"]) for t in account.trades], rtol=1e-9)
    np.testing.assert_allclose(equity["equity"], [float(row[2]) for row in account.curve], rtol=1e-9)
    twin = naive.metrics(account, features["ts_close"].tolist(), 1e4)
    for name, expected in twin.items():
        assert manifest.facts["best"]["BTCUSDT"]["metrics"][name] == pytest.approx(expected, rel=1e-9), name
    stops = trades["reason"] == "stop"
    entered = features["ts_open"].to_numpy()[trades["entry_bar"]]
    assert (trades["entry_ts"] == entered).all()
    assert (trades["exit_ts"][stops] == features["ts_close"].to_numpy()[trades["exit_bar"][stops].astype(int)]).all()


def test_an_open_trade_has_no_exit(lake: Lake) -> None:
    signals = signals_in(
        lake, long_entry="1 > 0", long_exit=None, short_entry=None, short_exit=None, parameters={}, trigger="level"
    )
    manifest = BacktestJob().run(stage_call("backtest", request(stop_loss_rate=None), signals), Report())
    trades = lake.read_table(lake.entry(manifest, "trades/BTCUSDT.parquet")).to_pylist()
    assert len(trades) == 1
    assert trades[0]["is_open"] is True
    assert (trades[0]["exit_ts"], trades[0]["exit_bar"], trades[0]["exit_price"], trades[0]["reason"]) == (
        None,
        None,
        None,
        "open",
    )
    best = manifest.facts["best"]["BTCUSDT"]
    assert best["parameters"] == {}
    assert best["metrics"]["total_return"] == best["metrics"]["buy_and_hold_return"]
    assert best["metrics"]["win_rate"] is None


PINNED: dict[str, str] = {}


@pytest.mark.parametrize(
    ("small", "cancel_first"), [(10**12, False), (0, False), (10**12, True)], ids=["inline", "processes", "resumed"]
)  # fmt: skip
def test_the_bytes_do_not_depend_on_where_or_in_how_many_attempts_the_work_is_done(
    small: int, cancel_first: bool, lake: Lake, signals: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest_job, "SMALL", small)
    call = stage_call("backtest", request(), signals)
    if cancel_first:
        report = Report(lambda event: report.cancelled.set() if event.done == 1 else None)
        with pytest.raises(Exception, match="cancelled"):
            BacktestJob().run(call, report)
        assert lake.find(call.artifact_id) is None
        told: list[Any] = []
        manifest = BacktestJob().run(call, Report(told.append))
        assert told[0].done == 1
    else:
        manifest = BacktestJob().run(call, Report())
    PINNED.update(PINNED or files_of(manifest))
    assert files_of(manifest) == PINNED


def test_m13_a_symbol_more_changes_no_byte_of_another_symbols_results(lake: Lake) -> None:
    def backtested(symbols: list[str]) -> dict[str, str]:
        bars = {symbol: bars_table(BARS[symbol], seed=BARS[symbol]) for symbol in symbols}
        features = features_artifact(lake, bars, SMAS)
        masks = SignalsJob(lake).run(stage_call("signals", SignalsRequest.model_validate(RULES), features), Report())
        return files_of(BacktestJob(lake).run(stage_call("backtest", request(), masks), Report()))

    alone, together = backtested(["BTCUSDT"]), backtested(["BTCUSDT", "ETHUSDT"])
    own = {name: sha for name, sha in alone.items() if "BTCUSDT" in name}
    assert len(own) == 4
    assert own.items() <= together.items()


def test_the_results_do_not_depend_on_the_size_of_a_batch(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = BacktestJob().run(stage_call("backtest", request(), signals_in(lake)), Report())
    other = Lake(str(lake.url) + "-other")
    monkeypatch.setattr(signals_job, "BATCH", 2)
    split = BacktestJob(other).run(stage_call("backtest", request(), signals_in(other)), Report())
    assert files_of(split) == files_of(whole)


def test_a_changed_fee_changes_the_money_and_not_the_signals(lake: Lake, signals: Manifest) -> None:
    cheap = BacktestJob().run(stage_call("backtest", request(stop_loss_rate=None), signals), Report())
    dear = BacktestJob().run(
        stage_call("backtest", request(stop_loss_rate=None, commission_rate=0.002), signals), Report()
    )
    assert cheap.id != dear.id
    assert (
        frame(lake, dear, "grid.parquet")["final_equity"] < frame(lake, cheap, "grid.parquet")["final_equity"]
    ).all()


def test_an_undefined_objective_everywhere_is_a_warning_and_the_first_trial(lake: Lake) -> None:
    signals = signals_in(
        lake, long_entry="close < 0", short_entry=None, short_exit=None, long_exit="sma_{fast} < sma_{slow}"
    )
    told: list[Any] = []
    manifest = BacktestJob().run(stage_call("backtest", request(), signals), Report(told.append))
    assert manifest.facts["best"]["BTCUSDT"]["combo"] == 0
    assert any("sharpe_ratio is undefined" in warning for warning in told[-1].warnings)
    assert frame(lake, manifest, "grid.parquet")["sharpe_ratio"].isna().all()
    assert lake.read_table(lake.entry(manifest, "trades/BTCUSDT.parquet")).num_rows == 0


def test_options_of_the_venue_reach_the_engine_and_refused_entries_are_a_warning(lake: Lake, signals: Manifest) -> None:
    options = {
        "entry": {"kind": "limit", "offset_rate": 0.001, "bars": 3}, "take_profit_rate": 0.01, "maker_rate": 0.0002,
        "trailing_stop_rate": 0.02, "impact": {"kind": "square_root"}, "spread_rate": 0.0002, "lot_step": 0.001,
        "sizing": {"kind": "risk_per_trade", "risk": 0.01}, "leverage": 5.0, "maintenance_rate": 0.01,
        "min_notional": 100.0,
    }  # fmt: skip
    told: list[Any] = []
    manifest = BacktestJob().run(stage_call("backtest", request(**options), signals), Report(told.append))
    trades = frame(lake, manifest, "trades/BTCUSDT.parquet")
    assert "target" in set(trades["reason"])
    assert (trades["quantity"] * trades["entry_price"] >= 100).all()
    np.testing.assert_allclose(trades["quantity"] / 0.001, np.round(trades["quantity"] / 0.001), atol=1e-6)
    closes = frame(lake, lake.ancestor(signals, "features"), "BTCUSDT.parquet")["ts_close"].to_numpy()
    assert np.isin(trades["entry_ts"], closes).any()
    assert not told[-1].warnings
    BacktestJob().run(stage_call("backtest", request(**options | {"min_notional": 1e9}), signals), Report(told.append))
    assert any("entries of the best trial were refused" in warning for warning in told[-1].warnings)


def test_fills_in_bars_in_which_nothing_traded_are_counted_and_warned_of(lake: Lake) -> None:
    table = bars_table(400, seed=400)
    volume = table["volume"].to_numpy().copy()
    volume[100:300] = 0.0
    table = table.set_column(table.schema.get_field_index("volume"), "volume", pa.array(volume))
    features = features_artifact(lake, {"BTCUSDT": table, "ETHUSDT": bars_table(300, seed=300)}, SMAS)
    signals = SignalsJob(lake).run(stage_call("signals", SignalsRequest.model_validate(RULES), features), Report())
    told: list[Any] = []
    manifest = BacktestJob(lake).run(stage_call("backtest", request(), signals), Report(told.append))
    trades = frame(lake, manifest, "trades/BTCUSDT.parquet")
    bars = trades[["entry_bar", "exit_bar"]].to_numpy()
    expected = ((bars >= 100) & (bars < 300)).sum(axis=1)
    assert trades["n_untraded"].tolist() == expected.tolist()
    found = manifest.facts["untraded"]
    hit = trades[expected > 0]
    assert found["BTCUSDT"] == {
        "n_fills": expected.sum(), "n_trades": len(hit), "pnl": pytest.approx(hit["pnl"].sum(), rel=1e-12),
    }  # fmt: skip
    assert found["ETHUSDT"] == {"n_fills": 0, "n_trades": 0, "pnl": 0.0}
    (warning,) = told[-1].warnings
    assert warning.startswith(f"BTCUSDT: {expected.sum()} fills of the best trial are in bars in which nothing traded")


def test_a_stop_is_read_from_the_features_at_the_bar_of_the_signal(lake: Lake, signals: Manifest) -> None:
    stop = {"kind": "feature", "column": "sma_8", "multiple": 0.001}
    body = request(stop_loss_rate=None, stop_loss=stop, slippage_rate=0.0)
    manifest = BacktestJob().run(stage_call("backtest", body, signals), Report())
    trades = frame(lake, manifest, "trades/BTCUSDT.parquet")
    features = frame(lake, lake.ancestor(signals, "features"), "BTCUSDT.parquet")
    stopped = trades[trades["reason"] == "stop"]
    at, left = stopped["entry_bar"].to_numpy() - 1, features.iloc[stopped["exit_bar"].astype(int)]
    level = stopped["entry_price"].to_numpy() - stopped["side"].to_numpy() * (0.001 * features["sma_8"].to_numpy()[at])
    long = stopped["side"].to_numpy() > 0
    opened = left["open"].to_numpy()
    expected = np.where(long, np.minimum(level, opened), np.maximum(level, opened))
    np.testing.assert_array_equal(stopped["exit_price"].to_numpy(), expected)
    assert len(stopped) > 10


@pytest.mark.parametrize(
    ("seed", "rule", "stop"), [(7, "1 > 0", 0.5), (0, "close > prev_close", 0.5), (0, "1 > 0", 0.01)]
)
def test_parts_kept_for_other_prices_signals_or_rules_are_not_taken(
    seed: int, rule: str, stop: float, lake: Lake
) -> None:
    def made(where: Lake, seed: int, rule: str, stop: float) -> Manifest:
        features = features_artifact(where, {"BTCUSDT": bars_table(100, seed=seed)}, SMAS)
        rules = SignalsRequest.model_validate({"long_entry": rule, "trigger": "level"})
        signals = SignalsJob(where).run(stage_call("signals", rules, features), Report())
        return BacktestJob(where).run(stage_call("backtest", request(stop_loss_rate=stop), signals), Report())

    first = made(lake, 0, "1 > 0", 0.5)
    second = made(lake, seed, rule, stop)
    assert files_of(second)["equity/BTCUSDT.parquet"] != files_of(first)["equity/BTCUSDT.parquet"]
    assert second == made(Lake(lake.url + "-empty"), seed, rule, stop)


def test_impact_needs_volumes_of_the_base_and_those_of_coinm_are_contracts(lake: Lake) -> None:
    call = stage_call("backtest", request(impact={"kind": "square_root"}), signals_in(lake, market="coinm"))
    with pytest.raises(InvalidRequest, match=r"impact: volumes of COIN-M are numbers of contracts"):
        BacktestJob().run(call, Report())


def test_m21_latency_moves_every_fill_to_a_later_open(lake: Lake) -> None:
    """Bars of an hour: what is late by a millisecond waits for one more hour, by two hours and one for three."""
    signals = signals_in(lake, short_entry=None, short_exit=None, parameters={"fast": [2], "slow": [8]})
    entries = {}
    for latency_ms in (0, 1, 7_200_001):
        asked = request(latency_ms=latency_ms, stop_loss_rate=None)
        made = BacktestJob().run(stage_call("backtest", asked, signals), Report())
        entries[latency_ms] = frame(lake, made, "trades/BTCUSDT.parquet")["entry_bar"].to_numpy()[:10]
    np.testing.assert_array_equal(entries[1], entries[0] + 1)
    np.testing.assert_array_equal(entries[7_200_001], entries[0] + 3)
