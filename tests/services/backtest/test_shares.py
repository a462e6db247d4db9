"""A year of 365 days for markets that close: of returns by calendar day, it gives the figures of 252 trading days."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from services.backtest.domain.metrics import buy_and_hold_signal, metrics
from services.backtest.domain.prices import checked_prices, yearly_volatility
from services.backtest.kernels.engine import run_summary
from tests.services.backtest.markets import FREE

DAY_US = 86_400_000_000
TRADING_DAYS = 252


def stocks(shared_data: Path) -> dict[str, pd.Series]:
    """Closes by day: twenty shares of 1990 to now, and one more with bars of its own."""
    folder = shared_data / "equities"
    twenty = pd.read_csv(folder / "sp500_20_stocks_daily.csv.gz", index_col="Date", parse_dates=True)
    one = pd.read_csv(folder / "backtesting_py_GOOG.csv", index_col=0, parse_dates=True)["Close"]
    return {name: twenty[name].dropna() for name in twenty.columns} | {"GOOG": one}


def test_figures_of_shares_are_those_of_a_plain_calculation_by_trading_days(shared_data: Path) -> None:
    for name, closes in stocks(shared_data).items():
        close = closes.to_numpy(float)
        ts_close = closes.index.astype("datetime64[us]").astype(np.int64).to_numpy() + DAY_US
        opened = np.r_[close[:1], close[:-1]]
        prices = checked_prices(name, opened, np.maximum(opened, close), np.minimum(opened, close), close, ts_close)
        outcome, daily = run_summary(prices, buy_and_hold_signal(), FREE)
        found = metrics(prices, FREE, outcome, daily, 0.0)
        returns = close[1:] / close[:-1] - 1.0  # of trading days alone, as it is done for shares
        plain = returns.mean() / returns.std(ddof=1) * np.sqrt(TRADING_DAYS)
        assert found["sharpe_ratio"] == pytest.approx(plain, rel=0.01), name
        downside = np.sqrt(np.square(np.minimum(returns, 0.0)).mean())
        plain = returns.mean() / downside * np.sqrt(TRADING_DAYS)
        assert found["sortino_ratio"] == pytest.approx(plain, rel=0.01), name
        years = (closes.index[-1] - closes.index[0]).days / 365
        assert found["cagr"] == pytest.approx((close[-1] / close[0]) ** (1 / years) - 1, rel=1e-9), name
        volatility = yearly_volatility(close, ts_close, close.size)[-1]
        logs = np.diff(np.log(close))
        assert volatility == pytest.approx(np.sqrt(np.square(logs).mean() * TRADING_DAYS), rel=0.01), name
