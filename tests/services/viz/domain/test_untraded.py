"""What the report says of fills in bars in which nothing traded."""

from dataclasses import replace

import numpy as np
import pytest

from services.viz.adapters import inputs
from services.viz.domain.caveats import caveats
from services.viz.domain.run import SymbolRun

TITLE = "Fills where nothing was traded"


@pytest.fixture(scope="module")
def one(builder, backtest) -> SymbolRun:
    links = inputs.chain(builder.lake, backtest)
    run = inputs.read_run(builder.lake, links, list(inputs.read_symbols(builder.lake, links)), {})
    return run.symbols[0]


def test_fills_in_bars_with_volume_are_nothing_to_know(one: SymbolRun) -> None:
    assert TITLE not in {caveat.title for caveat in caveats(one, "sharpe_ratio", 10_000.0)}


def test_fills_in_bars_without_volume_are_counted_with_what_their_trades_made(one: SymbolRun) -> None:
    n = one.trades.pnl.size
    untraded, pnl = np.zeros(n, np.int64), np.full(n, 10.0)
    untraded[:2], pnl[:2] = [2, 1], [-4.0, 1.5]
    trades = replace(one.trades, n_untraded=untraded, pnl=pnl)
    (caveat,) = (c for c in caveats(replace(one, trades=trades), "sharpe_ratio", 10_000.0) if c.title == TITLE)
    assert caveat.weight == "warning"
    assert caveat.text.startswith("In 3 fills of the best trial the bar has no volume")
    assert f"The 2 trades concerned made \N{MINUS SIGN}2.50 of the +{10 * (n - 2) - 2.5:,.2f} of all" in caveat.text
