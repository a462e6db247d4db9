"""The six stages in one process, for the embedded default: `uvicorn cli.embedded_services:app`."""

from services.backtest.api import router as backtest
from services.bars.api import router as bars
from services.download.api import router as download
from services.features.api import router as features
from services.signals.api import router as signals
from services.viz.api import router as viz
from tickloom.http import create_app

app = create_app("services", download, bars, features, signals, backtest, viz)
