"""One system for all end-to-end tests, one more without Ray, and the exchange that they download from."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.e2e.system import System, running
from tests.processes import eventually, free_port, listens, process

REAL = Path(os.environ.get("TICKLOOM_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The simulator; where there is real data, its archives are the dataset `real`."""
    folder, port = tmp_path_factory.mktemp("exchange"), free_port()
    command = [sys.executable, "-m", "exchange_sim", "--port", str(port), "--quiet", "--cache", str(folder / "cache")]
    archives = REAL / "trades" / "vision_layout"
    if archives.is_dir():
        command += ["--mount", f"real={archives}"]
    with process(command, folder / "log"):
        eventually(lambda: listens(port), 60)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, exchange: str) -> Iterator[System]:
    """Everything, with Ray. The real exchange cannot be reached from here."""
    imports = REAL if REAL.is_dir() else tmp_path_factory.mktemp("imports")
    nobody = f"http://127.0.0.1:{free_port()}"
    with running(
        tmp_path_factory.mktemp("system") / "home",
        SIM_URL=exchange,
        IMPORT_DIR=str(imports),
        BINANCE_ARCHIVE_URL=nobody,
        BINANCE_API_URL=nobody,
    ) as started:
        yield started


@pytest.fixture(scope="session")
def rayless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything but Ray, with the simulator that the supervisor starts; it gives up at the first failure."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with running(
        tmp_path_factory.mktemp("rayless") / "home",
        RAY_ADDRESS="off",
        MAX_ATTEMPTS="1",
        BINANCE_ARCHIVE_URL=nobody,
        BINANCE_API_URL=nobody,
    ) as started:
        yield started


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's pipeline over ten small days of one symbol, with four combinations."""
    config = yaml.safe_load((REPOSITORY / "configs" / "demo.yaml").read_text())
    config["name"] = "small"
    days = {"symbols": ["BTCUSDT"], "start_date": "2024-01-01", "end_date": "2024-01-10"}
    config["download"] |= {"dataset": "seed=5,trades_per_day=400", **days}
    config["bars"] = {"spec": {"kind": "tick", "threshold": 10}}
    config["features"] = {
        "features": [{"name": "sma", "timeperiod": [3, 5, 10, 20]}, {"name": "rsi", "timeperiod": 14}]
    }
    config["signals"] |= {
        "long_entry": "sma_{fast} > sma_{slow} AND rsi_14 < 90",
        "parameters": {"fast": [3, 5], "slow": [10, 20]},
    }
    path = tmp_path_factory.mktemp("configs") / "small.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium; skips, loudly, where there is none."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("NO CHROMIUM: install chromium to test the pages in a browser")
    return found
