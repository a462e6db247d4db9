from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.viz.adapters import inputs
from services.viz.domain.charts import chart_data, sparkline, trial_data
from services.viz.domain.quality import quality
from services.viz.domain.run import METRICS, Trials
from services.viz.domain.sheet import assumptions, bars_text, sheet, title
from tests.services.viz.lakes import record
from tickloom.contracts.backtest import BacktestRequest


@pytest.fixture(scope="module")
def run(builder, backtest):
    links = inputs.chain(builder.lake, backtest)
    return inputs.read_run(builder.lake, links, list(inputs.read_symbols(builder.lake, links)), {})


@pytest.mark.parametrize("max_candles", [100, 977, 5_000])
def test_every_list_of_candles_has_one_length_and_keeps_the_extremes(run, max_candles):
    for one in run.symbols:
        data = chart_data(one, max_candles)
        names = ("from", "open", "high", "low", "close", "volume", "equity", "buy_and_hold", "drawdown")
        assert {len(data[name]) for name in names} == {len(data["time"])}
        assert len(data["time"]) <= max_candles
        assert max(data["high"]) == one.bars.high.max()
        assert min(data["low"]) == one.bars.low.min()
        assert min(data["drawdown"]) == pytest.approx(one.curve.drawdown.min(), rel=1e-7)
        if data["equity_low"]:
            assert min(data["equity_low"]) == pytest.approx(one.curve.equity.min(), rel=1e-7)
            assert max(data["equity_high"]) == pytest.approx(one.curve.equity.max(), rel=1e-7)


@pytest.mark.parametrize("max_candles", [100, 5_000])
def test_each_trade_is_marked_on_the_candle_that_its_fill_lies_in(run, max_candles):
    for one in run.symbols:
        data = chart_data(one, max_candles)
        trades = data["trades"]
        assert trades["n"] == len(one.trades.side) > 20
        for i in range(trades["n"]):
            for candle, fill in (
                (trades["entry"][i], trades["entry_price"][i]),
                (trades["exit"][i], trades["exit_price"][i]),
            ):
                if candle is not None:
                    assert data["low"][candle] * 0.999 <= fill <= data["high"][candle] * 1.001  # slippage is 0.05 %
            if trades["exit"][i] is not None:
                assert trades["entry"][i] <= trades["exit"][i]


def test_an_open_trade_has_nothing_about_its_exit(run):
    last = [(one, chart_data(one, 500)["trades"]) for one in run.symbols if one.trades.is_open.any()]
    assert last, "the fixture should hold an open trade"
    for _, trades in last:
        assert (trades["exit"][-1], trades["exit_s"][-1], trades["exit_price"][-1]) == (None, None, None)
        assert trades["reason"][-1] == "open"


def test_a_parameter_is_an_index_into_its_sorted_values():
    metrics = {name: [1.0, None, 2.0] for name in METRICS}
    data = trial_data(Trials([0, 1, 2], {"fast": [20, 5, 10.5]}, metrics), 2)
    assert data["axes"]["fast"] == [5, 10.5, 20]
    assert data["index"]["fast"] == [2, 0, 1]
    assert data["metrics"]["cagr"] == [1.0, None, 2.0]


@given(st.lists(st.floats(1, 1e9), min_size=1, max_size=200))
def test_a_sparkline_stays_in_its_square(values):
    points = sparkline(np.array(values))
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in points)
    assert len(points) <= 60


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"kind": "time", "interval": "15m"}, "15m bars"),
        ({"kind": "tick", "threshold": 1}, "tick bars of 1 trade"),
        ({"kind": "volume", "threshold": "2500.5"}, "volume bars of 2,500.5"),
        ({"kind": "dollar", "threshold": "1000000"}, "dollar bars of 1,000,000"),
        ({"kind": "imbalance", "expected": 3}, "imbalance bars"),
    ],
)
def test_bars_are_named_in_words(spec, text):
    assert bars_text({"spec": spec}) == text
    assert bars_text({"specs": {"one": spec}}) == text
    assert bars_text({"specs": {"one": {"kind": "tick", "threshold": 2}, "two": spec}}, "two") == text


def test_the_title_is_the_wanted_one_or_symbols_bars_and_days(run):
    assert title(run, "Mine") == "Mine"
    assert title(run, "").startswith("BTCUSDT, ETHUSDT on dollar bars of 1,000,000, 2022-01-02 to 2022-")


def test_the_rules_shown_are_those_of_the_best_trial(run):
    for one, page in zip(run.symbols, sheet(run, "", "0" * 64)["symbols"], strict=True):
        fast, slow = one.parameters()["fast"], one.parameters()["slow"]
        assert page["rules"][0] == ("Buy when", f"sma_{fast} > sma_{slow}")


def test_of_a_strategy_in_place_of_rules_its_name_package_and_code_are_shown(run):
    strategy = {"name": "ema-cross", "package": "tickloom 0.1.0", "source": "ab" * 32}
    steps = [replace(s, request={"strategy": strategy}) if s.stage == "signals" else s for s in run.steps]
    for page in sheet(replace(run, steps=steps), "", "0" * 64)["symbols"]:
        assert page["rules"] == [("Strategy", "ema-cross of tickloom 0.1.0, source abababababab")]


def test_assumptions_say_what_the_account_was_told():
    fraction = {"kind": "fixed_fraction", "fraction": 0.25}
    request = BacktestRequest.model_validate({"stop_loss_rate": 0.02, "sizing": fraction}).canonical()
    words = {label: text.replace("\N{THIN SPACE}", " ") for label, text in assumptions(request)}
    assert words["Stop-loss"] == "2.00 % from the entry fill"
    assert words["Size"] == "25.00 % of equity"
    assert words["Slippage"] == "0.050 % against each fill that takes"
    assert not {"Leverage", "Spread", "Take-profit"} & words.keys()


def test_every_rule_that_the_account_can_be_told_is_among_the_assumptions():
    told = {
        "maker_rate": 0.0002, "spread_rate": 0.0004, "take_profit_rate": 0.05, "trailing_stop_rate": 0.03,
        "impact": {"kind": "square_root"}, "entry": {"kind": "limit", "offset_rate": 0.001, "bars": 3},
        "lot_step": 0.001, "min_notional": 10, "leverage": 3, "maintenance_rate": 0.01,
        "sizing": {"kind": "risk_per_trade", "risk": 0.01}, "stop_loss_rate": 0.02,
    }  # fmt: skip
    request = BacktestRequest.model_validate(told).canonical()
    words = {label: text.replace("\N{THIN SPACE}", " ") for label, text in assumptions(request)}
    assert words["Entries"] == "by a limit 0.10 % better than the close, for 3 bars"
    assert words["Spread"] == "0.040 %, half of it a fill"
    assert words["Leverage"] == "3×"
    assert words["Size"] == "1.00 % of equity lost at the stop"
    assert {"Maker commission", "Impact", "Take-profit", "Trailing stop", "Lot step", "Least notional"} <= words.keys()
    assert words["Liquidation"] == "1.00 % of the notional is left as equity"


def test_a_stop_by_a_feature_is_told_in_words():
    request = BacktestRequest.model_validate({"stop_loss": {"column": "atr_20", "multiple": 2.5}}).canonical()
    assert dict(assumptions(request))["Stop-loss"] == "2.5 × atr_20 of the signal's bar, from the entry fill"


@pytest.mark.parametrize(
    ("sizing", "text"),
    [
        ({"kind": "full_capital"}, "all cash"),
        ({"kind": "fixed_notional", "notional": 500}, "500.00 each"),
        ({"kind": "volatility_target", "volatility": 0.4}, "for a volatility of 40.00 % a year"),
    ],
)
def test_each_way_of_sizing_has_words(sizing, text):
    request = BacktestRequest.model_validate({"sizing": sizing}).canonical()
    assert dict(assumptions(request))["Size"].replace("\N{THIN SPACE}", " ") == text


def texts(found):
    return " ".join(line["text"] for line in found["sentences"])


def test_clean_sources_are_said_to_be_clean():
    found = quality([record("a.zip", 10), record("b.zip", 5)], {})
    assert [line["tone"] for line in found["sentences"]] == ["good"] * 3
    assert "All 2 source files match" in texts(found)
    assert "15 rows read, 15 kept, none dropped" in texts(found)


def test_every_flaw_of_the_sources_is_told():
    gap = {"count": 2, "missing": 31, "longest": 30, "first": []}
    dropped = {"sentinel": 1, "other_day": 0, "duplicate": 120}
    flawed = record(
        "a.zip",
        1_000,
        served_sha256="0" * 64,
        dropped=dropped,
        rows=879,
        id_gaps=gap,
        counts={"out_of_order": 7},
    )
    found = quality(
        [flawed],
        {
            "missing_days": {"BTCUSDT": ["2022-01-03"]},
            "repaired_days": {"BTCUSDT": ["2022-01-04"]},
            "unusable_archives": {"BTCUSDT-trades-2022-02.zip": "bad-row"},
        },
    )
    for text in (
        "1 of 1 source file could not be checked",
        "1 placeholder row of the exchange, 120 rows that came twice",
        "2 gaps in the ids: 31 missing, 30 in the longest",
        "out of order 7",
        "No data at all for BTCUSDT: 2022-01-03.",
        "2022-01-04",
        "BTCUSDT-trades-2022-02.zip cannot be used (bad-row): its days are those of the daily files.",
    ):
        assert text in texts(found)


def test_what_was_put_right_and_what_is_missing_still_is_told():
    def one(day, by, before, filled, missing=0, why="ids are missing in it", **differs):
        rows = {"rows_before": before, "rows_after": before + filled, "ids_filled": filled, "ids_missing": missing}
        return {"day": day, "by": by, "why": why, **differs, **rows}

    account = [
        one("2022-01-03", "daily", 90, 10, only_daily=10, only_monthly=2, differs=3),
        one("2022-01-04", "daily", 0, 100, only_daily=100, only_monthly=0, differs=0),
        one("2022-01-05", "rest", 1000, 1234),
        one("2022-01-06", "rest", 50, 0, 7, "ids are missing in it; the exchange knows no such ids"),
    ]
    found = quality([record("a.zip", 1_000)], {"rows": 2_234}, corrections={"BTCUSDT": account})
    for text in (
        "1,000 rows read, 2,234 kept",
        "BTCUSDT: on 1 day the daily archive differs from the monthly one, and both make the day: 10 rows are in the "
        "daily one alone, 2 in the monthly one alone, 3 differ and are the daily one's (2022-01-03).",
        "BTCUSDT: 1,234 ids missing from all archives came from the exchange's REST API (2022-01-05).",
        "BTCUSDT: 7 ids missing still (2022-01-06): ids are missing in it; the exchange knows no such ids.",
    ):
        assert text in texts(found)
    tones = [line["tone"] for line in found["sentences"] if line["text"].startswith("BTCUSDT")]
    assert tones == ["good", "good", "bad"]


def test_no_record_is_said_to_be_no_record():
    assert "no record" in texts(quality([], {}))


def test_gaps_of_klines_are_counted_in_bars_and_ids_are_not_spoken_of():
    gap = {"count": 2, "missing": 46, "longest": 40, "first": []}
    found = quality([record("k.feather", 100, time_gaps=gap)], {}, are_klines=True)
    assert "2 gaps between bars: 46 missing, 40 in the longest." in texts(found)
    assert "id" not in texts(found).split()
    assert found["rows"][0][-1]["text"] == "40 bars"
