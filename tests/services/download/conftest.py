"""A simulator as a real server, shared by all tests of the stage; every dataset and fault is in its URLs."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import uvicorn

from exchange_sim.app import create_app
from exchange_sim.config import SimSettings
from tests.services.download.counted import Counted, counted_exchange
from tests.services.download.runs import Stage
from tests.services.serving import served
from tickloom.settings import settings

TODAY = date(2024, 3, 10)


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an exchange on an ephemeral port. Its today is 2024-03-10."""
    yield from _serve(SimSettings(tmp_path_factory.mktemp("sim"), {}, quiet=True, today=lambda: TODAY))


@pytest.fixture(scope="session")
def real_exchange(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[str]:
    """The same, with the dataset `real`: archives of real trades."""
    mounts = {"real": shared_data / "trades" / "vision_layout"}
    yield from _serve(SimSettings(tmp_path_factory.mktemp("sim"), mounts, quiet=True, today=lambda: date(2026, 1, 1)))


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Counted]:
    """An exchange of the test's own, which records what it is asked for."""
    with counted_exchange(tmp_path / "counted") as counted:
        yield counted


@pytest.fixture
def stage(home: Path, simulator: str, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A download stage with a fresh home that knows the simulator."""
    monkeypatch.setenv("TICKLOOM_SIM_URL", simulator)
    monkeypatch.setenv("TICKLOOM_CPUS", "2")
    settings.cache_clear()
    return Stage()


def _serve(options: SimSettings) -> Iterator[str]:
    with served(uvicorn.Config(create_app(options), log_level="warning")) as address:
        yield address
