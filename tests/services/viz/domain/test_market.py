"""What the report says of futures, whose positions cost more than fees."""

from dataclasses import replace

import numpy as np
import pytest

from services.viz.adapters import inputs
from services.viz.domain.market import market_caveats
from services.viz.domain.run import SymbolRun
from services.viz.domain.sheet import sheet

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def run(builder, backtest):
    links = inputs.chain(builder.lake, backtest)
    return inputs.read_run(builder.lake, links, list(inputs.read_symbols(builder.lake, links)), {})


def traded(one: SymbolRun, hours: list[tuple[int, int, int]], open_for: int = 0) -> SymbolRun:
    """The run with trades of (side, first hour, last hour), the last one open since `open_for` hours if that is so."""
    n = len(hours)
    sides, starts, ends = (np.array(column, np.int64) for column in zip(*hours, strict=True))
    last = int(one.bars.ts_close[-1])
    entry_ts, exit_ts, is_open = starts * HOUR_US, ends * HOUR_US, np.zeros(n, np.bool_)
    if open_for:
        entry_ts[-1], exit_ts[-1], is_open[-1] = last - open_for * HOUR_US, -1, True
    trades = replace(one.trades, side=sides.astype(np.int8), entry_ts=entry_ts, exit_ts=exit_ts, is_open=is_open)
    return replace(one, trades=trades)


def test_spot_has_nothing_to_say(run):
    assert market_caveats(run.symbols[0], "spot") == []


def test_funding_is_that_of_the_hours_long_less_the_hours_short(run):
    # 240 h long are 30 payments, 80 h short are 10: 20 payments of 0.01 % are left.
    one = traded(run.symbols[0], [(1, 0, 200), (-1, 300, 380), (1, 400, 440)])
    (caveat,) = market_caveats(one, "usdm")
    assert caveat.title == "Funding is not charged"
    assert "long for 10 days and short for 3.3 days" in caveat.text
    assert "would have paid 0.20\N{THIN SPACE}% of" in caveat.text


def test_who_is_mostly_short_earns_it_and_an_open_position_counts_to_the_last_close(run):
    one = traded(run.symbols[0], [(1, 0, 8), (-1, 0, 0)], open_for=88)
    (caveat,) = market_caveats(one, "usdm")
    assert "would have earned 0.10\N{THIN SPACE}% of" in caveat.text


def test_no_trade_pays_no_funding(run):
    none = {name: np.array([], np.int64) for name in ("side", "entry_ts", "exit_ts", "is_open")}
    assert market_caveats(replace(run.symbols[0], trades=replace(run.symbols[0].trades, **none)), "usdm") == []


def test_the_report_of_an_inverse_contract_says_that_it_was_traded_as_if_linear(run):
    download = run.steps[0]
    asked = replace(download, request={**download.request, "market": "coinm"})
    page = sheet(replace(run, steps=[asked, *run.steps[1:]]), "", "0" * 64)
    for symbol in page["symbols"]:
        titles = [caveat.title for caveat in symbol["caveats"]]
        assert "Inverse contracts, traded as if linear" in titles
