"""C1 and C1b: what any stage published by a moment does not know what came after it, and what does is named."""

import json
import math
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from api_gateway import intake
from cli.lookahead import command
from cli.lookahead.command import lines
from cli.lookahead.cuts import POISONS, Cut, Times, cut_download, cut_times
from cli.lookahead.fixed import fixed_cuts
from cli.lookahead.run import probe
from cli.main import app
from services.download.job import DownloadJob
from tests.cli.lookahead.bugs import BUGS, overlapping_labels
from tests.cli.lookahead.markets import CROSS, TICK, long_download, pipeline, probed, trades, two_downloads
from tests.services.bars.runs import DAY_US, T0, imported, write_trades
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import StageCall
from tickloom.contracts.stages import VERSIONS
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.lake import Lake, open_lake, units
from tickloom.ledger import ledger_url, migrate
from tickloom.settings import settings

COSTLESS = {"commission_rate": 0.0, "slippage_rate": 0.0}


@pytest.mark.parametrize("name", BUGS)
def test_c1b_a_planted_bug_is_caught_and_its_stage_and_column_are_named(
    source: Manifest, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plant, stage, column = BUGS[name]
    plant(monkeypatch)
    found = probed(source, pipeline(stop_loss_rate=0.003, **COSTLESS), cuts=4)
    assert found.leaks, f"{name} was not caught"
    first = found.leaks[0]
    assert (first.stage, bool(re.fullmatch(column, first.column))) == (stage, True), first
    assert f"LOOK-AHEAD in {stage}, column {first.column}" in lines(found)[0]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["bfill", "a universe of the future"])
def test_c1b_what_drawn_cuts_may_miss_is_caught_whatever_the_seed(
    source: Manifest, monkeypatch: pytest.MonkeyPatch, name: str, seed: int
) -> None:
    plant, stage, column = BUGS[name]
    plant(monkeypatch)
    first = probed(source, pipeline(stop_loss_rate=0.003, **COSTLESS), cuts=1, seed=seed).leaks[0]
    assert (first.stage, bool(re.fullmatch(column, first.column))) == (stage, True), first


def test_c1b_labels_that_overlap_from_the_training_into_the_test_set_are_caught(
    source: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twelfth bug. It is in no table of the chain: it is in which trial was chosen to be lived with."""
    days = long_download(settings().import_dir)
    clean = probed(days, pipeline(**COSTLESS), cuts=1)
    assert (clean.leaks, clean.choices) == ((), 12)
    assert "Walking forward chooses by the past alone: 12 choices." in lines(clean)
    overlapping_labels(monkeypatch)
    first = probed(days, pipeline(**COSTLESS), cuts=1).leaks[0]
    assert (first.stage, first.table, first.column) == ("choices", "LONG walk-forward, anchored", "chosen")
    assert "overlap from the training into the test" in "\n".join(lines(probed(days, pipeline(**COSTLESS), cuts=1)))


ALL = [
    {"name": "ema", "timeperiod": 3}, {"name": "rsi", "timeperiod": 4}, {"name": "atr", "timeperiod": 3},
    {"name": "bbands", "timeperiod": 5}, {"name": "log_return", "timeperiod": 1},
    {"name": "volatility", "timeperiod": 5}, {"name": "mom", "timeperiod": 2},
    {"name": "volume_zscore", "timeperiod": 6}, {"name": "sma", "timeperiod": [2, 4]},
]  # fmt: skip
RSI = {"long_entry": "rsi_4 < 40", "long_exit": "rsi_4 > 60"}
BANDS = {"long_entry": "close < bbands_lower_5", "short_entry": "close > bbands_upper_5", "long_exit": "mom_2 > 0",
         "short_exit": "mom_2 < 0"}  # fmt: skip
EDGE = {"long_entry": "close > sma_4 AND prev_close <= prev_sma_4", "long_exit": "close < ema_3",
        "trigger": "rising_edge"}  # fmt: skip

CLEAN: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "tick": (TICK, CROSS, {}),
    "tick, daily": ({**TICK, "reset": "daily"}, CROSS, {"stop_loss_rate": 0.003}),
    "volume": ({"kind": "volume", "threshold": "6"}, CROSS, {"take_profit_rate": 0.004}),
    "volume, carry": ({"kind": "volume", "threshold": "6", "excess": "carry"}, RSI, {"trailing_stop_rate": 0.005}),
    "volume, split": ({"kind": "volume", "threshold": "0.9", "excess": "split"}, BANDS, {}),
    "dollar": ({"kind": "dollar", "threshold": 500}, BANDS, {"sizing": {"kind": "fixed_notional", "notional": 900}}),
    "dollar, target": ({"kind": "dollar", "target_bars_per_day": 30, "target_days": 2}, CROSS, {}),
    "dollar, microstructure": ({"kind": "dollar", "threshold": 600, "microstructure": True}, EDGE, {}),
    "time": ({"kind": "time", "interval": "30m"}, CROSS, {"stop_loss_rate": 0.004, "take_profit_rate": 0.004}),
    "stops at trades": (TICK, CROSS, {"stop_loss_rate": 0.004, "take_profit_rate": 0.004, "inside_bar": "fills"}),
    "time, hours": ({"kind": "time", "interval": "1h"}, EDGE, {"lot_step": 0.01, "min_notional": 10}),
    "tick imbalance": ({"kind": "tick_imbalance", "expected_trades": 6, "trades_window": 50}, CROSS, {}),
    "dollar imbalance": ({"kind": "dollar_imbalance", "expected_trades": 6, "trades_window": 50}, RSI, {}),
    "volume run": ({"kind": "volume_run", "expected_trades": 6}, CROSS, {"spread_rate": 0.001}),
    "tick run, daily": ({"kind": "tick_run", "expected_trades": 6, "reset": "daily"}, BANDS, {}),
    "range": ({"kind": "range", "size": "0.9"}, CROSS, {"sizing": {"kind": "fixed_fraction", "fraction": 0.5}}),
    "renko": ({"kind": "renko", "size": "0.5"}, RSI, {}),
    "limit orders": (TICK, CROSS, {"entry": {"kind": "limit", "offset_rate": 0.001, "bars": 3}, "maker_rate": 0}),
    "volatility target": (TICK, CROSS, {"sizing": {"kind": "volatility_target", "volatility": 0.3},
                                        "volatility_bars": 8}),
    "impact": (TICK, BANDS, {"impact": {"kind": "square_root"}, "volatility_bars": 8}),
    "leverage": (TICK, CROSS, {"leverage": 3, "maintenance_rate": 0.05,
                               "sizing": {"kind": "fixed_fraction", "fraction": 1.0}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_c1b_a_clean_strategy_raises_no_alarm(source: Manifest, name: str) -> None:
    bars, signals, backtest = CLEAN[name]
    found = probed(source, pipeline(bars, ALL, signals, **backtest), cuts=2, seed=len(name))
    assert found.leaks == ()
    assert not found.refused
    assert found.rows > 100
    assert set(found.stages) == {"bars", "features", "signals", "fills", "equity"}
    assert lines(found)[0].startswith("No look-ahead found: ")


def test_several_symbols_and_bars_are_probed_and_nothing_is_left_in_the_lake(source: Manifest) -> None:
    both = two_downloads(settings().import_dir)
    before = sorted(open_lake().store.names(""))
    bars = {"specs": {"chosen": TICK, "other": {"kind": "time", "interval": "1h"}}}
    found = probed(both, pipeline(bars, ALL), cuts=2, seed=5)
    assert (found.leaks, found.symbols) == ((), ("AAA", "BBB"))
    assert sorted(open_lake().store.names("")) == before


@pytest.mark.parametrize("ts", [T0 + DAY_US // 3, T0 + DAY_US, T0 + 2 * DAY_US + 7])
def test_a_cut_is_what_the_download_stage_makes_of_the_trades_before_it(
    source: Manifest, probe_home: Path, ts: int
) -> None:
    lake = Lake(str(probe_home / f"cut-{ts}"))
    made = cut_download(open_lake(), source, Cut(ts), lake)
    early = write_trades(settings().import_dir, f"EARLY{ts}", [row for row in trades(1) if row[1] < ts])
    honest = imported(data_type="trades", files={"AAA": early[f"EARLY{ts}"]}).under("AAA/")
    assert [(e.name, e.rows, e.facts) for e in made.files] == [(e.name, e.rows, e.facts) for e in honest]
    assert [lake.read_table(e) for e in made.files] == [open_lake().read_table(e) for e in honest]


def true_units(table: pa.Table) -> list[int]:
    return units(table["price"])[0].tolist()


@pytest.mark.parametrize("poison", POISONS)
def test_a_poison_changes_later_prices_alone(source: Manifest, probe_home: Path, poison: str) -> None:
    lake, ts = Lake(str(probe_home / poison)), T0 + DAY_US // 3
    made = cut_download(open_lake(), source, Cut(ts, poison), lake)
    assert [entry.facts["day"] for entry in made.files] == ["2024-01-05", "2024-01-06"]
    for entry in made.files:
        false, true = lake.read_table(entry), open_lake().read_table(source.file(entry.name))
        is_later = true["ts"].to_numpy() >= ts
        if poison == "mirrored":
            first = true_units(open_lake().read_table(source.under("AAA/")[0]))[0]
            image = [max(round(Fraction(first) ** 2 / p), 1) for p in true_units(true)]
            assert np.array(true_units(false))[is_later].tolist() == np.array(image)[is_later].tolist()
        differs = np.array(false["price"].to_pylist()) != np.array(true["price"].to_pylist())
        assert not differs[~is_later].any()
        assert differs[is_later].mean() > 0.9
        assert false.drop_columns(["price"]) == true.drop_columns(["price"])
        notional = sum(p * q for p, q in zip(false["price"].to_pylist(), false["quantity"].to_pylist(), strict=True))
        assert notional == Decimal(entry.facts["notional"])


def test_the_same_seed_makes_the_same_cuts_and_some_are_right_after_the_open_of_a_fill() -> None:
    symbol = Times(np.arange(0, 1000, 10), np.arange(9, 1009, 10), np.array([50]))
    cuts = cut_times(30, 7, [symbol])
    assert cuts == cut_times(30, 7, [symbol]) != cut_times(30, 8, [symbol])
    assert len(cuts) == 30
    assert 501 in cuts
    assert sum(cut < 200 for cut in cuts) >= 5  # early ones
    assert 0 < min(cuts) <= max(cuts) <= 1000


def test_a_probe_always_cuts_after_the_first_bar_at_the_ends_of_warm_ups_beside_fills_and_late() -> None:
    first = np.arange(0, 1000, 10)
    symbol = Times(first, first + 9, np.array([20, 30, 35, 40, 50, 60, 70]), warmup=(0, 1, 4, 9, 19, 39, 49, 400))
    short = Times(first[:5], first[:5] + 9, np.array([2]), warmup=(1,))
    cuts = fixed_cuts([short, symbol])
    early = [10, 90, 190, 490]  # after bars 0, 8, 18 and 48: the last without a value of some column
    fills = [201, 351, 501, 701]  # a microsecond into bars 20, 35, 50 and 70
    assert {cut.ts for cut in cuts} == {*early, *fills, 510, 991}
    for ts in (510, 991):  # halfway and in the last bar
        assert {cut.poison for cut in cuts if cut.ts == ts} == {"", *POISONS}
    assert all(sum(cut.ts == ts for cut in cuts) == 2 for ts in (*early, *fills))


def test_a_cut_right_after_each_open_with_a_fill_can_be_asked_for() -> None:
    first = np.arange(0, 1000, 10)
    symbol = Times(first, first + 9, np.arange(3, 90))
    assert {10 * bar + 1 for bar in range(3, 90)} <= {cut.ts for cut in fixed_cuts([symbol], 1000)}


def test_a_probe_ends_in_time_the_fixed_cuts_first_and_says_what_it_left_out(source: Manifest) -> None:
    found = probe(open_lake(), source, pipeline(), cuts=50, seed=0, minutes=0.0)
    assert (found.cuts, found.runs) == (1, 1)
    assert found.left_out > 100
    assert lines(found)[-1] == f"{found.left_out} more runs were left out: the time was over"
    whole = probe(open_lake(), source, pipeline(), cuts=5, seed=0, minutes=60)
    assert (whole.left_out, whole) == (0, probed(source, pipeline(), cuts=5))


def test_the_time_that_a_probe_will_take_is_told_by_its_first_run() -> None:
    assert command._expected(2.0, 130, math.inf) == "probe: one run took 2.0 s; 130 more, at most about 4.3 min"
    assert command._expected(2.0, 130, 3.0).endswith("at most about 3.0 min")


def test_without_a_bar_there_is_no_cut() -> None:
    none = np.empty(0, np.int64)
    assert fixed_cuts([]) == fixed_cuts([Times(none, none, none)]) == []


@pytest.mark.parametrize(("bug", "code"), [("", 0), ("shift(-1)", 1)])
def test_the_command_ends_with_0_when_clean_and_with_1_when_something_looks_ahead(
    source: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bug: str, code: int
) -> None:
    if bug:
        BUGS[bug][0](monkeypatch)
    asked = pipeline()
    migrate(ledger_url())
    body = intake.resolve(asked.download, check=False).canonical()
    made = artifact_id("download", VERSIONS["download"], body, [])
    DownloadJob().run(StageCall(artifact_id=made, request=body), Report())
    file = tmp_path / "asked.yaml"
    file.write_text(yaml.safe_dump(asked.model_dump(mode="json", exclude_unset=True)))
    told = CliRunner().invoke(app, ["probe", str(file), "--cuts", "2", *(["--json"] if not bug else [])])
    assert told.exit_code == code, told.output
    if bug:
        assert "LOOK-AHEAD in features, column sma_" in told.stdout
    else:
        assert json.loads(told.stdout)["looks_ahead"] is False
