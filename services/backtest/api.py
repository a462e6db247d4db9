"""HTTP face of the backtest stage."""

from services.backtest.job import BacktestJob
from tickloom.http import create_app, stage_router

router = stage_router("backtest", BacktestJob())
app = create_app("backtest", router)
