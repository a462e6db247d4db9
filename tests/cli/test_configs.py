"""Every pipeline that we ship is one that the gateway would accept."""

from pathlib import Path

import pytest

from api_gateway.body import parse_yaml
from api_gateway.models import PipelineRequest
from tests.conftest import REPOSITORY

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))


def load(path: Path) -> PipelineRequest:
    import json

    return PipelineRequest.model_validate_json(json.dumps(parse_yaml(path.read_text())))


def test_there_are_configs_to_check() -> None:
    assert {"demo.yaml", "sma-grid-15m.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_config_is_a_valid_pipeline_of_all_six_stages(path: Path) -> None:
    pipeline = load(path)
    assert len(pipeline.chain()) == 6
    assert pipeline.name == path.stem


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_window_of_a_grid_is_computed_by_the_features_stage(path: Path) -> None:
    pipeline = load(path)
    assert pipeline.signals is not None
    assert pipeline.features is not None
    assert pipeline.signals.n_combinations() == 64
    windows = {period for spec in pipeline.features.features if spec.name == "sma" for period in spec.periods()}
    assert {int(value) for values in pipeline.signals.parameters.values() for value in values} <= windows


def test_the_known_grid_has_the_rules_that_its_users_know() -> None:
    pipeline = load(REPOSITORY / "configs" / "sma-grid-15m.yaml")
    backtest, signals = pipeline.backtest, pipeline.signals
    assert (backtest.slippage_rate, backtest.commission_rate, backtest.stop_loss_rate) == (0.0005, 0.001, 0.02)
    assert backtest.sizing.kind == "full_capital"
    assert signals.short_entry is None
    assert ">= 0.001" in signals.long_entry
    assert "ema_200" in signals.long_entry
