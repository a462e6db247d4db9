"""Six years of twenty real symbols on one account: the engine and its twin in decimals, and the pinned result."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from services.backtest.domain.account import account_rules
from services.backtest.domain.portfolio import plan_of
from services.backtest.domain.prices import yearly_volatility
from tests.conftest import REPOSITORY
from tests.naive import portfolio as naive
from tests.services.backtest.portfolios import Symbol, run, run_naively
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT

DAY_US = 86_400_000_000
LOOKBACK = 30
CONFIG = yaml.safe_load((REPOSITORY / "configs" / "momentum-20-daily.yaml").read_text())


def read(archive: zipfile.ZipFile, symbol: str, window: int) -> Symbol:
    """Return the symbol's days to the last whole one, held while the close is above that of LOOKBACK days before."""
    with archive.open(f"{symbol}_1d.csv") as file:
        days = pd.read_csv(file)[:-1]
    opened = pd.to_datetime(days["timestamp"]).astype("datetime64[us, UTC]").astype("int64").to_numpy()
    open_, high, low, close = (days[name].to_numpy(float) for name in ("open", "high", "low", "close"))
    before = np.concatenate([np.full(LOOKBACK, np.nan), close[:-LOOKBACK]])
    mask = np.where(close > before, LONG_ENTRY, np.where(close <= before, LONG_EXIT, 0)).astype(np.int8)
    volatility = yearly_volatility(close, opened + DAY_US, window)
    volatility[:window] = np.nan
    return Symbol(opened, opened + DAY_US, open_, high, low, close, mask, volatility)


def test_twenty_real_symbols_equal_the_twin_and_the_page(shared_data: Path) -> None:
    request = BacktestRequest.model_validate(CONFIG["backtest"])
    assert request.portfolio is not None
    with zipfile.ZipFile(shared_data / "klines" / "binance_spot" / "daily_23_symbols_a.zip") as archive:
        names = CONFIG["download"]["files"]
        symbols = [read(archive, name, request.volatility_bars) for name in names]
    rules, plan = account_rules(request), plan_of(request.portfolio, request.leverage)
    found = run(symbols, rules, plan)
    with naive.decimals():
        twin = run_naively(symbols, rules, plan)
    assert len(names) == 20
    assert found.fills.symbol.tolist() == [fill["symbol"] for fill in twin.fills]
    np.testing.assert_allclose(found.curve.equity, [float(row["equity"]) for row in twin.curve], rtol=1e-9)
    assert found.curve.equity[-1] == pytest.approx(66_097.62, abs=0.01)
    assert found.trades.pnl.size == 491
