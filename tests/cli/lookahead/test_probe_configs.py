"""The campaign of guarantee C1: every strategy that we ship, with 50 drawn cuts and one beside each fill."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api_gateway import intake
from cli import pipelines
from cli.main import app
from services.download.job import DownloadJob
from tests.conftest import REPOSITORY
from tests.e2e.conftest import exchange  # noqa: F401 (a fixture)
from tickloom.contracts.events import StageCall
from tickloom.contracts.stages import VERSIONS
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.ledger import ledger_url, migrate
from tickloom.settings import settings

CONFIGS = sorted(path.name for path in (REPOSITORY / "configs").glob("*.yaml"))
DATA = {"demo.yaml": [], "momentum-20-daily.yaml": ["sim-8-daily.yaml"]}
"""What stands in for data that are not on every machine: the simulator's, of fifteen minutes where nothing is said."""
MINUTES = 10


@pytest.fixture
def home(tmp_path: Path, exchange: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:  # noqa: F811
    for name, value in {"HOME": tmp_path, "RAY_ADDRESS": "off", "SIM_URL": exchange, "VENUE": "sim"}.items():
        monkeypatch.setenv(f"TICKLOOM_{name}", str(value))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def download(files: list[Path]) -> None:
    migrate(ledger_url())
    body = intake.resolve(pipelines.read(files).download, check=False).canonical()
    made = artifact_id("download", VERSIONS["download"], body, [])
    DownloadJob().run(StageCall(artifact_id=made, request=body), Report())


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CONFIGS)
def test_c1_nothing_looks_ahead_in_a_strategy_that_we_ship(home: Path, name: str) -> None:
    data = [REPOSITORY / "configs" / "data" / file for file in DATA.get(name, ["sim-15m.yaml"])]
    files = [REPOSITORY / "configs" / name, *data]
    download(files)
    options = ["--cuts", "50", "--fills", "1000", "--minutes", str(MINUTES), "--json"]
    told = CliRunner().invoke(app, ["probe", *map(str, files), *options])
    assert told.exit_code == 0, told.output[-3000:]
    found = json.loads(told.stdout)
    assert (found["looks_ahead"], found["unsettled"], found["refused"]) == (False, [], [])
    assert set(found["stages"]) == {"bars", "features", "signals", "fills", "equity"}
    assert found["runs"] > 20
