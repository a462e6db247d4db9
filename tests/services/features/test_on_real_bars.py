"""Real klines through the stages before this one: the columns are TA-Lib's, computed from the exchange's own file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib

from services.bars.job import BarsJob
from services.download.job import DownloadJob
from services.features.job import FeaturesJob
from tests.services.features.bars import EVERY_FEATURE
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import StageCall
from tickloom.contracts.stages import REQUESTS, VERSIONS
from tickloom.http import Job, Report
from tickloom.identity import artifact_id, sha256_file
from tickloom.lake import floats, open_lake
from tickloom.settings import settings

KLINES = "klines/binance_spot/BTC_USDT-15m-2023.feather"


def run(stage: str, job: Job, body: dict[str, object], *inputs: str) -> Manifest:
    request = REQUESTS[stage].model_validate(body).canonical()
    made = artifact_id(stage, VERSIONS[stage], request, inputs)
    return job.run(StageCall(artifact_id=made, request=request, inputs=inputs), Report())


@pytest.fixture
def features(home: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(shared_data))
    settings.cache_clear()
    klines = {
        "venue": "file",
        "data_type": "klines",
        "interval": "15m",
        "symbols": ["BTCUSDT"],
        "files": {"BTCUSDT": {"path": KLINES, "sha256": sha256_file(shared_data / KLINES)}},
    }
    download = run("download", DownloadJob(), klines)
    bars = run("bars", BarsJob(), {"spec": {"kind": "time", "interval": "15m"}}, download.id)
    return run("features", FeaturesJob(), EVERY_FEATURE.canonical(), bars.id)


def test_features_of_imported_klines_are_talibs_over_the_file_itself(features: Manifest, shared_data: Path) -> None:
    theirs = pd.read_feather(shared_data / KLINES)
    ours = open_lake().read_table(features.files[0])
    assert [entry.name for entry in features.files] == ["BTCUSDT.parquet"]
    high, low, close, volume = (theirs[name].to_numpy(np.float64) for name in ("high", "low", "close", "volume"))
    np.testing.assert_array_equal(floats(ours["close"]), close)
    np.testing.assert_array_equal(floats(ours["volume"]), volume)
    expected = {
        "sma_20": talib.SMA(close, 20),
        "ema_12": talib.EMA(close, 12),
        "rsi_14": talib.RSI(close, 14),
        "atr_14": talib.ATR(high, low, close, 14),
        "bbands_upper_20": talib.BBANDS(close, 20, 2.0, 1.5)[0],
        "bbands_lower_20": talib.BBANDS(close, 20, 2.0, 1.5)[2],
        "log_return_3": np.log1p(talib.ROCP(close, 3)),
        "mom_4": talib.MOM(close, 4),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(floats(ours[name]), values, rtol=1e-8, atol=1e-9, err_msg=name)
