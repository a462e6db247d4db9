"""Real prices, and worksheets that others published."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib

from services.features.kernels.atr import atr
from services.features.kernels.bbands import bbands
from services.features.kernels.returns import log_return
from services.features.kernels.rolling import sma
from services.features.kernels.zscore import zscore
from tests.services.features.kernels.cases import CASES, Case


def sheet(shared_data: Path, name: str) -> pd.DataFrame:
    with zipfile.ZipFile(shared_data / "expected" / "ta_indicators_23.zip") as archive:
        return pd.read_csv(io.BytesIO(archive.read(name)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("timeperiod", [14, 96])
def test_bitcoin_of_2023_gives_talibs_numbers(case: Case, timeperiod: int, shared_data: Path) -> None:
    bars = pd.read_feather(shared_data / "klines" / "binance_spot" / "BTC_USDT-15m-2023.feather")
    market = tuple(bars[name].to_numpy(np.float64) for name in ("high", "low", "close"))
    # TA-Lib's deviations lose digits as its sums run on; ours are held against exact windows in test_rolling.
    rounding = 1e-5 if case.name in ("stddev", "zscore", "volatility") else 1e-8
    out, expected = case.fast(*market, timeperiod), case.talib(*market, timeperiod)
    assert out.size > 30_000
    assert np.isnan(out).sum() == case.lookback(timeperiod)
    np.testing.assert_allclose(out, expected, rtol=rounding, atol=1e-9 if case.power else rounding)


def test_volume_of_bitcoin_in_2023_has_talibs_zscores(shared_data: Path) -> None:
    path = shared_data / "klines" / "binance_spot" / "BTC_USDT-15m-2023.feather"
    volume = pd.read_feather(path)["volume"].to_numpy(np.float64)
    expected = (volume - talib.SMA(volume, 96)) / talib.STDDEV(volume, 96, 1.0)
    np.testing.assert_allclose(zscore(volume, 96), expected, rtol=1e-8, atol=1e-8)


def test_bollinger_bands_are_those_of_the_stockcharts_worksheet(shared_data: Path) -> None:
    table = sheet(shared_data, "cs-bbands.csv")
    upper, middle, lower = bbands(table["Close"].to_numpy(np.float64), 20, 2.0, 2.0)
    for ours, theirs in ((upper, "HighBand"), (middle, "MiddleBand"), (lower, "LowBand")):
        np.testing.assert_allclose(ours, table[theirs].to_numpy(), atol=1.5e-6)  # printed with 6 decimals


def test_true_ranges_are_those_of_the_stockcharts_worksheet(shared_data: Path) -> None:
    table = sheet(shared_data, "cs-atr.csv")
    high, low, close = (table[name].to_numpy(np.float64) for name in ("High", "Low", "Close"))
    np.testing.assert_allclose(atr(high, low, close, 1)[1:], table["TR"].to_numpy()[1:], atol=1e-9)
    # The worksheet counts the first bar's high - low as a range, TA-Lib and we do not: the gap then fades by 13/14.
    gap = np.abs(atr(high, low, close, 14) - table["ATR"].to_numpy())[14:]
    np.testing.assert_allclose(gap[1:] / gap[:-1], 13 / 14, atol=1e-6)


def test_returns_are_those_of_the_stockcharts_worksheet(shared_data: Path) -> None:
    table = sheet(shared_data, "cs-roc.csv")
    percent = 100 * np.expm1(log_return(table["Close"].to_numpy(np.float64), 12))
    np.testing.assert_allclose(percent, table["ROC"].to_numpy(), atol=1e-8)


def test_moving_averages_of_close_are_pandas_means(shared_data: Path) -> None:
    close = sheet(shared_data, "cs-wma.csv")["Close"]
    np.testing.assert_allclose(sma(close.to_numpy(np.float64), 9), close.rolling(9).mean(), rtol=1e-12)
