"""One simulator for all its tests; nothing that it serves depends on the order in which they run."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from exchange_sim.app import create_app
from exchange_sim.config import SimSettings

TODAY = date(2026, 11, 20)
SMALL = "seed=7,trades_per_day=400"
REPOSITORY = Path(__file__).resolve().parents[2]


def make_client(cache: Path, mounts: dict[str, Path] | None = None, today: date = TODAY) -> TestClient:
    """Return a client of a simulator of its own."""
    app = create_app(SimSettings(cache, mounts or {}, quiet=True, today=lambda: today))
    return TestClient(app, follow_redirects=False)


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with make_client(tmp_path_factory.mktemp("sim")) as client:
        yield client


@pytest.fixture
def fresh_sim(tmp_path: Path) -> Callable[..., TestClient]:
    """Make simulators that share nothing with any other."""

    def make(name: str = "sim", **options: object) -> TestClient:
        return make_client(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def repository_docs() -> str:
    """The page that users read about the simulator."""
    return (REPOSITORY / "docs" / "exchange_sim.md").read_text(encoding="utf-8")
