"""Fixtures of the bars stage."""

from pathlib import Path

import pytest

from tests.services.bars.runs import imported, write_trades
from tests.services.bars.specs import made
from tickloom.contracts.artifact import Manifest
from tickloom.settings import settings


@pytest.fixture
def imports(imports: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that files may be imported from; what is made of them is shared by two processes."""
    monkeypatch.setenv("TICKLOOM_CPUS", "2")
    settings.cache_clear()
    return imports


@pytest.fixture
def source(imports: Path) -> Manifest:
    """Ten days of trades of two symbols."""
    files = write_trades(imports, "AAA", made(1)) | write_trades(imports, "BBB", made(2, days=3))
    return imported(data_type="trades", files=files)
