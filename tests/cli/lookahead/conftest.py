"""One download for all of the probe's tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.lookahead.markets import download
from tickloom.contracts.artifact import Manifest
from tickloom.settings import settings


@pytest.fixture(scope="session")
def probe_home() -> Iterator[Path]:
    """A home in memory where that can be had: a probe makes thousands of small files."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def source(probe_home: Path) -> Iterator[Manifest]:
    """One symbol of some hundred trades, in a lake of its own, without Ray."""
    home = probe_home
    (home / "imports").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TICKLOOM_HOME", str(home))
        patch.setenv("TICKLOOM_RAY_ADDRESS", "off")
        patch.setenv("TICKLOOM_IMPORT_DIR", str(home / "imports"))
        settings.cache_clear()
        yield download(home / "imports")
    settings.cache_clear()
