"""Fixtures of the backtest stage."""

from pathlib import Path

import pytest

from tests.services.backtest.grids import signals_in
from tickloom.contracts.artifact import Manifest
from tickloom.lake import Lake, open_lake


@pytest.fixture
def lake(home: Path) -> Lake:
    return open_lake()


@pytest.fixture
def signals(lake: Lake) -> Manifest:
    return signals_in(lake)
