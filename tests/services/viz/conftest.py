"""One small finished run, drawn once for all tests that only look."""

import pytest

from services.viz.job import VizJob
from tests.services.viz.lakes import Builder, Market, Setting, viz_call
from tickloom.http import Report

SMALL = Setting(
    markets=(Market("BTCUSDT", n_bars=2_400), Market("ETHUSDT", n_bars=2_400, seed=3, irregular=True)),
    parameters={"fast": (5, 10, 20), "slow": (30, 40, 60)},
    account={"stop_loss_rate": 0.02},
    shorts=True,
)


@pytest.fixture(scope="session")
def builder(tmp_path_factory):
    return Builder(tmp_path_factory.mktemp("viz") / "lake")


@pytest.fixture(scope="session")
def backtest(builder):
    return builder.backtest(SMALL)


@pytest.fixture(scope="session")
def drawn(builder, backtest):
    """The manifest of the report of `backtest`."""
    return VizJob(builder.lake).run(viz_call(backtest), Report())


@pytest.fixture(scope="session")
def draw(builder):
    """Draw the report of a setting; return the bytes of its files by name."""

    def make(setting, **request):
        manifest = VizJob(builder.lake).run(viz_call(builder.backtest(setting), **request), Report())
        return {entry.name: builder.lake.read_bytes(entry) for entry in manifest.files}

    return make
