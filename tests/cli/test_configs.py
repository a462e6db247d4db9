"""Every pipeline that we ship is one that the gateway accepts, and one that runs."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from api_gateway.models import PipelineRequest
from cli import pipelines
from services.backtest.job import BacktestJob
from services.bars.job import BarsJob
from services.download.job import DownloadJob
from services.features.job import FeaturesJob
from services.signals.domain.rules import Rules
from services.signals.job import SignalsJob
from services.viz.job import VizJob
from tests.conftest import REPOSITORY
from tests.naive import features as naive
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.events import StageCall
from tickloom.contracts.stages import VERSIONS
from tickloom.errors import InvalidRequest
from tickloom.http import Job, Report
from tickloom.identity import artifact_id
from tickloom.lake import floats, open_lake
from tickloom.rules.grid import combinations
from tickloom.settings import settings

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
SOURCES = sorted((REPOSITORY / "configs" / "data").glob("*.yaml"))
ON_FILES = ("sma-grid-15m", "rsi-reversion-1h", "donchian-atr-4h")
BAR_COLUMNS = ("open", "high", "low", "close", "volume")

named = {"ids": lambda path: path.name}
every_config = pytest.mark.parametrize("path", CONFIGS, **named)


def config(name: str) -> PipelineRequest:
    return pipelines.read([REPOSITORY / "configs" / f"{name}.yaml"])


def test_there_are_configs_to_check() -> None:
    assert {"demo", *ON_FILES} <= {path.stem for path in CONFIGS}
    assert len(SOURCES) >= 2


@every_config
def test_a_config_is_a_valid_pipeline_of_all_six_stages(path: Path) -> None:
    pipeline = pipelines.read([path])
    assert len(pipeline.chain()) == 6
    assert pipeline.name == path.stem


@every_config
def test_every_column_of_a_rule_and_of_a_stop_is_computed_by_the_features_stage(path: Path) -> None:
    pipeline = pipelines.read([path])
    assert pipeline.signals is not None
    assert pipeline.features is not None
    grid = combinations(pipeline.signals.parameters)
    Rules.of(pipeline.signals).columns(grid, (*BAR_COLUMNS, *pipeline.features.columns()))  # raises UnknownColumn


@pytest.mark.parametrize("name", ON_FILES)
def test_the_grids_of_the_strategies_have_64_combinations(name: str) -> None:
    signals = config(name).signals
    assert signals is not None
    assert signals.n_combinations() == 64


@pytest.mark.parametrize("source", [source for source in SOURCES if source.stem.endswith("-daily")], **named)
@pytest.mark.parametrize("name", ON_FILES)
def test_days_cannot_become_the_shorter_bars_of_a_strategy(name: str, source: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"bars\.spec\.interval: .* is not a multiple of the klines' 1d"):
        pipelines.read([REPOSITORY / "configs" / f"{name}.yaml", source])


@pytest.mark.parametrize("source", [source for source in SOURCES if source.stem.endswith("-15m")], **named)
@pytest.mark.parametrize("name", ON_FILES)
def test_a_strategy_runs_on_another_source_as_well(name: str, source: Path) -> None:
    whole, own = pipelines.read([REPOSITORY / "configs" / f"{name}.yaml", source]), config(name)
    assert whole.download != own.download
    assert whole.download == PipelineRequest.model_validate_json(json.dumps(pipelines.sections([source]))).download
    assert whole.model_copy(update={"download": own.download}) == own


def test_every_strategy_has_a_page_with_its_rules_and_a_picture() -> None:
    pages = {page: page.read_text() for page in (REPOSITORY / "docs" / "strategies").glob("*.md")}
    for name in ON_FILES:
        (text,) = (
            text for page, text in pages.items() if f"(../../configs/{name}.yaml)" in text and page.stem != "index"
        )
        signals = config(name).signals
        assert signals is not None
        for rule in (signals.long_entry, signals.long_exit, signals.short_entry, signals.short_exit):
            assert rule is None or rule in text, f"the page of {name} does not have the rule {rule}"
        assert "](../images/strategy-" in text or 'src="../images/strategy-' in text


def test_the_known_grid_has_the_rules_that_its_users_know() -> None:
    pipeline = config("sma-grid-15m")
    backtest, signals = pipeline.backtest, pipeline.signals
    assert backtest is not None
    assert signals is not None
    assert (backtest.slippage_rate, backtest.commission_rate, backtest.stop_loss_rate) == (0.0005, 0.001, 0.02)
    assert backtest.sizing.kind == "full_capital"
    assert signals.short_entry is None
    assert ">= 0.001" in str(signals.long_entry)
    assert "ema_200" in str(signals.long_entry)


@pytest.fixture
def klines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder to import from with 4,000 made klines of 15 minutes; the name of the file."""
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(tmp_path))
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    rng = np.random.default_rng(3)
    close = np.round(20_000 * np.exp(np.cumsum(rng.normal(0, 0.004, 4_000))), 2)
    opened = np.r_[close[:1], close[:-1]]
    high, low = np.maximum(opened, close) + 5, np.minimum(opened, close) - 5
    with (tmp_path / "klines.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "open", "high", "low", "close", "volume"])
        start_ms = 1_672_531_200_000 + 900_000 * np.arange(4_000)
        writer.writerows(zip(start_ms.tolist(), opened, high, low, close, rng.integers(1, 99, 4_000), strict=True))
    return "klines.csv"


def made(pipeline: PipelineRequest) -> dict[str, Manifest]:
    """Run every stage in this process; return its manifests."""
    jobs: dict[str, Job] = {
        "download": DownloadJob(), "bars": BarsJob(), "features": FeaturesJob(), "signals": SignalsJob(),
        "backtest": BacktestJob(), "viz": VizJob(),
    }  # fmt: skip
    found: dict[str, Manifest] = {}
    for stage, request in pipeline.chain():
        ids = tuple(manifest.id for manifest in list(found.values())[-1:])
        body = request.canonical()
        call = StageCall(artifact_id=artifact_id(stage, VERSIONS[stage], body, list(ids)), request=body, inputs=ids)
        found[stage] = jobs[stage].run(call, Report())
    return found


@pytest.mark.parametrize("name", ON_FILES)
def test_a_strategy_runs_from_klines_to_its_report(name: str, klines: str) -> None:
    pipeline = config(name)
    source = pipeline.download.canonical() | {"files": {"BTCUSDT": klines}}
    download = DownloadRequest.model_validate_json(json.dumps(source))
    run = made(pipeline.model_copy(update={"download": download}))
    assert run["backtest"].facts["best"]["BTCUSDT"]["metrics"]["n_trades"] > 0
    assert run["viz"].file("report.html") is not None
    if name != "donchian-atr-4h":
        return
    # The breakout as its page has it: out of the channel of the bars before, stopped at two average true ranges.
    lake = open_lake()
    features = lake.read_table(lake.entry(run["features"], "BTCUSDT.parquet"))
    trades = lake.read_table(lake.entry(run["backtest"], "trades/BTCUSDT.parquet")).to_pylist()
    high, low, close = (floats(features[column]).tolist() for column in ("high", "low", "close"))
    upper, _, lower = naive.donchian(high, low, run["backtest"].facts["best"]["BTCUSDT"]["parameters"]["entry"])
    atr = naive.atr(high, low, close, 20)
    stopped = 0
    for trade in trades:
        bar = trade["entry_bar"] - 1
        assert close[bar] > upper[bar - 1] if trade["side"] > 0 else close[bar] < lower[bar - 1]
        if trade["reason"] == "stop":
            stop = trade["entry_price"] - trade["side"] * 2 * atr[bar]
            assert trade["side"] * trade["exit_price"] <= trade["side"] * stop * (1 + 1e-9)
            stopped += 1
    assert stopped
