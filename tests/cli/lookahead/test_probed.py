"""A run with `probe` in its file: the chain, the detector, and the report that says what it said."""

import json
from typing import Any, cast

import pytest

from api_gateway.models import PipelineRequest
from cli import probed
from services.backtest.job import BacktestJob
from services.bars.job import BarsJob
from services.download.job import DownloadJob
from services.features.job import FeaturesJob
from services.signals.job import SignalsJob
from services.viz.job import VizJob
from tests.cli.lookahead.bugs import BUGS
from tests.cli.lookahead.markets import CROSS, SMAS, TICK
from tickloom.client import Client
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.base import Contract
from tickloom.contracts.events import StageCall
from tickloom.contracts.probe import ProbeRequest
from tickloom.contracts.stages import STAGES, VERSIONS
from tickloom.contracts.viz import VizRequest
from tickloom.errors import InvalidRequest
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.lake import open_lake

JOBS: dict[str, Any] = {
    "download": DownloadJob, "bars": BarsJob, "features": FeaturesJob, "signals": SignalsJob, "backtest": BacktestJob,
    "viz": VizJob,
}  # fmt: skip


def body(**sections: Any) -> dict[str, Any]:
    whole = {
        "name": "probed", "download": {"venue": "file", "data_type": "trades", "files": {"AAA": "AAA.csv"}},
        "bars": {"spec": TICK}, "features": {"features": SMAS}, "signals": CROSS, "backtest": {}, "viz": {"title": "x"},
        "probe": {"cuts": 3, "seed": 1},
    }  # fmt: skip
    return whole | sections


class Ended:
    """A task that is over."""

    id = "0f" * 16

    def __init__(self, made: dict[str, Manifest]) -> None:
        self._made = made

    def wait(self, **_: Any) -> None:
        pass

    def artifact_id(self, stage: str = "") -> str:
        return self._made[stage or list(self._made)[-1]].id


class Stages:
    """A client whose gateway is this process: each stage's job runs at once."""

    def __init__(self) -> None:
        self.made: dict[str, Manifest] = {}

    def _run(self, stage: str, request: Contract, *inputs: str) -> None:
        text = request.canonical()
        call = StageCall(
            artifact_id=artifact_id(stage, VERSIONS[stage], text, list(inputs)), request=text, inputs=inputs
        )
        self.made[stage] = JOBS[stage]().run(call, Report())

    def pipeline(self, sections: dict[str, Any]) -> Ended:
        assert "probe" not in sections
        before: tuple[str, ...] = ()
        for stage, request in PipelineRequest.model_validate_json(json.dumps(sections)).chain():
            self._run(stage, request, *before)
            before = (self.made[stage].id,)
        return Ended(self.made)

    def submit(self, stage: str, request: dict[str, Any], *, input: str) -> Ended:
        assert stage == "viz"
        self._run(stage, VizRequest.model_validate_json(json.dumps(request)), input)
        return Ended(self.made)


def ran(client: Stages, **sections: Any) -> int:
    return probed.run(cast("Client", client), body(**sections), as_json=True)


def report(client: Stages) -> str:
    lake = open_lake()
    return lake.read_bytes(lake.entry(client.made["viz"], "report.html")).decode()


def test_the_report_of_a_clean_run_says_that_it_was_probed(
    source: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Stages()
    assert ran(client) == 0
    assert list(client.made) == list(STAGES)
    verdict = json.loads(capsys.readouterr().out)["probe"]
    assert f"No look-ahead found in {verdict['cuts']} cuts" in report(client)
    assert verdict["leak"] is None
    assert verdict["cuts"] > 3
    assert verdict["runs"] > 2 * verdict["cuts"]
    assert client.made["viz"].request["probe"] == verdict


@pytest.mark.parametrize(("on_leak", "code"), [("fail", 1), ("warn", 0)])
def test_a_leak_is_named_in_the_report_and_fails_or_warns_as_asked(
    source: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_leak: str, code: int
) -> None:
    BUGS["shift(-1)"][0](monkeypatch)
    client = Stages()
    # Of other bars than elsewhere, so that no part of an honest run is taken.
    bars = {"spec": {**TICK, "threshold": 6 if on_leak == "fail" else 7}}
    assert ran(client, bars=bars, probe={"cuts": 3, "seed": 1, "on_leak": on_leak}) == code
    assert "It looks ahead" in report(client)
    assert "features, column sma_" in report(client)
    assert ("`on_leak: warn`" in capsys.readouterr().err) == (on_leak == "warn")


def test_a_run_without_a_report_is_probed_as_well(source: Manifest) -> None:
    client, sections = Stages(), {"signals": None, "backtest": None, "viz": None}
    assert ran(client, **sections) == 0
    assert list(client.made) == ["download", "bars", "features"]


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"probe": {"cuts": 0}}, "cuts"),
        ({"probe": {"on_leak": "ignore"}}, "on_leak"),
        ({"probe": {"cutz": 3}}, "cutz"),
        ({"probe": [3]}, "probe"),
        ({"bars": None, "features": None, "signals": None, "backtest": None, "viz": None}, "add bars"),
        ({"bars": {"spec": {"kind": "nonsense"}}}, "nonsense"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_run(sections: dict[str, Any], words: str) -> None:
    client = Stages()
    with pytest.raises(InvalidRequest, match=words):
        ran(client, **sections)
    assert not client.made


def test_no_more_than_the_word_asks_for_eight_cuts() -> None:
    assert ProbeRequest() == ProbeRequest(cuts=8, seed=0, on_leak="fail")
