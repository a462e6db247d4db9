"""The report of many symbols on one account: what it shows, and that it fits the tables that it was made of."""

import json
import re

import numpy as np
import orjson
import pytest

from services.viz.adapters import account as adapter
from services.viz.adapters import inputs
from services.viz.domain import sheet
from services.viz.domain.account import LIMITS, account_assumptions
from services.viz.domain.charts import chart_data
from services.viz.job import VizJob
from tests.services.viz.lakes import Builder, Market, Setting, viz_call
from tickloom.contracts.portfolio import Limits, Portfolio
from tickloom.http import Report
from tickloom.tries import Tries

PORTFOLIO = {
    "weights": {"kind": "inverse_volatility"},
    "rebalance": {"on_signal": "changed", "every": "1w", "threshold": 0.2},
    "limits": {"max_weight": 0.4, "max_net": 0.5, "max_drawdown": 0.04, "cooldown": "2d", "min_holdings": 2},
}
SETTING = Setting(
    markets=(
        Market("BTCUSDT", n_bars=900),
        Market("ETHUSDT", n_bars=900, seed=3, irregular=True),
        Market("XRPUSDT", n_bars=500, seed=5),
    ),
    parameters={"fast": (5, 10), "slow": (30, 60)},
    account={"portfolio": PORTFOLIO, "volatility_bars": 48},
    shorts=True,
)


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return Builder(tmp_path_factory.mktemp("account") / "lake")


@pytest.fixture(scope="module")
def backtest(builder):
    return builder.backtest(SETTING)


@pytest.fixture(scope="module")
def run(builder, backtest):
    links = inputs.chain(builder.lake, backtest)
    return inputs.read_run(
        builder.lake, links, list(inputs.read_symbols(builder.lake, links)), {"ETHUSDT": Tries.unknown(7)}
    )


def read(builder, backtest, name):
    return builder.lake.read_table(builder.lake.entry(backtest, name)).to_pandas()


def test_the_whole_report_is_drawn(builder, backtest):
    manifest = VizJob(builder.lake).run(viz_call(backtest), Report())
    files = {entry.name: builder.lake.read_bytes(entry) for entry in manifest.files}
    page = files["report.html"].decode()
    assert "3 symbols on one account" in manifest.facts["title"]
    for words in (
        "What each symbol brought",
        "Exposure over time",
        "Limits that fired",
        "Symbols chosen with hindsight",
    ):
        assert words in page
    assert "The figures contradict each other" not in page
    assert orjson.loads(files["results.json"])["symbols"]["PORTFOLIO"]["n_trials"] == 4
    assert "PORTFOLIO" in files["summary.csv"].decode()


def test_the_section_has_a_row_a_symbol_the_best_first_and_a_row_a_limit(builder, backtest, run):
    fields = sheet.sheet(run, "", "id")["symbols"][0]["account"]
    told = json.loads(builder.lake.read_bytes(builder.lake.entry(backtest, "portfolio.json")))
    order = sorted(told["symbols"], key=lambda one: -one["pnl"])
    assert [row["symbol"] for row in fields["symbols"]] == [one["symbol"] for one in order]
    assert max(row["width"] for row in fields["symbols"]) == 100
    assert [row["text"] for row in fields["limits"]] == [LIMITS[one["limit"]] for one in told["limits"]]
    assert {"max_weight", "max_net", "max_drawdown", "resumed"} <= {one["limit"] for one in told["limits"]}


def test_exposure_is_drawn_within_its_box_and_net_never_above_gross(run):
    account = run.symbols[0].account
    assert (np.abs(account.net) <= account.gross + 1e-12).all()
    exposure = sheet.sheet(run, "", "id")["symbols"][0]["account"]["exposure"]
    for line in exposure["lines"]:
        points = np.array([pair.split(",") for pair in line["points"].split()], float)
        assert (points >= 0).all()
        assert points[:, 0].max() <= 1000
        assert points[:, 1].max() <= 240
        assert (np.diff(points[:, 0]) >= 0).all()


def test_trades_stand_at_the_first_close_after_them(builder, backtest, run):
    one, table = run.symbols[0], read(builder, backtest, "trades/PORTFOLIO.parquet")
    ts = one.bars.ts_close
    assert (ts[one.trades.entry_bar] >= table["entry_ts"].to_numpy()).all()
    before = ts[np.maximum(one.trades.entry_bar - 1, 0)]
    assert ((before <= table["entry_ts"].to_numpy()) | (one.trades.entry_bar == 0)).all()
    assert list(one.trades.symbol) == table["symbol"].tolist()
    data = chart_data(one, 100)
    assert data["is_account"] is True
    assert data["trades"]["symbol"][:3] == table["symbol"].tolist()[:3]


def test_what_was_traded_between_closes_adds_up_to_all_fills(builder, backtest, run):
    fills = read(builder, backtest, "fills/PORTFOLIO.parquet")
    assert run.symbols[0].bars.volume.sum() == pytest.approx((fills["quantity"] * fills["price"]).sum())


def test_a_close_at_the_moment_of_an_open_is_before_it():
    assert adapter.after(np.array([10, 20, 30]), np.array([5, 10, 29, 30])).tolist() == [0, 1, 2, 3]


def test_the_account_is_told_in_words(run):
    lines = dict(sheet.assumptions(run.request("backtest")))
    assert lines["Initial cash"] == "10,000.00 for all symbols"
    assert "every 1w" in lines["Made right"]
    assert lines["Cool-down"] == "2d"
    assert "Size" not in lines
    plain = dict(account_assumptions(Portfolio().canonical()))
    assert plain["Made right"] == "all symbols when a signal changes"
    assert plain["Drawdown halt"] is None


def test_every_limit_that_can_be_asked_for_is_in_the_words():
    asked = set(Limits.model_fields) - {"cooldown"}
    assert asked <= set(LIMITS)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in LIMITS)


def test_trials_of_other_searches_on_any_of_the_symbols_count(run):
    luck = sheet.sheet(run, "", "id")["symbols"][0]["luck"]
    assert luck["rows"][0]["value"] == "4 trials + 7 in earlier searches"
