"""Fixtures of the bars stage."""

from pathlib import Path

import pytest

from tickloom.settings import settings


@pytest.fixture
def imports(imports: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that files may be imported from; what is made of them is shared by two processes."""
    monkeypatch.setenv("TICKLOOM_CPUS", "2")
    settings.cache_clear()
    return imports
