"""S18: what the gateway does with a strategy by name: it is pinned to its code, or refused; it is never imported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.tickloom.strategy.packages import MODULE, allowed, install


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "installed"
    install(place, "mystrat")
    with allowed(monkeypatch, place, "mystrat-mean, absent"):
        yield place


def test_S18_the_gateway_pins_the_code_without_importing_it(folder: Path, gateway: TestClient) -> None:
    pipeline = {
        "download": {"symbols": ["BTCUSDT"], "start_date": "2022-01", "end_date": "2022-01"},
        "bars": {"spec": {"kind": "time", "interval": "15m"}},
        "features": {"features": [{"name": "sma", "timeperiod": 5}]},
        "signals": {"strategy": "mystrat-mean", "parameters": {"span": [3]}},
    }
    first = gateway.post("/submit_pipeline?check_symbols=false", json=pipeline)
    assert first.status_code == 202, first.text
    assert "mystrat.code" not in sys.modules
    again = gateway.post("/submit_pipeline?check_symbols=false", json=pipeline).json()
    assert again["artifact_id"] == first.json()["artifact_id"]
    install(folder, "mystrat", version="2.0", code=MODULE + "\n# other\n")
    other = gateway.post("/submit_pipeline?check_symbols=false", json=pipeline).json()
    assert other["artifact_id"] != again["artifact_id"]
    insisted = pipeline | {"signals": {"strategy": {"name": "mystrat-mean", "source": "0" * 64}}}
    for signals, code, words in (
        ({"strategy": "mystrat-none"}, "strategy-not-allowed", "TICKLOOM_STRATEGIES_ALLOW"),
        ({"strategy": "absent"}, "unknown-strategy", "entry point"),
        (insisted["signals"], "invalid-request", "not what was asked for"),
        ({"strategy": "mystrat-mean", "long_entry": "close > 1"}, "invalid-request", "in place of rules"),
        ({"strategy": "../../etc/passwd"}, "invalid-request", "strategy"),
        ({"strategy": "mystrat-mean", "code": "import os"}, "invalid-request", "code"),
    ):
        answer = gateway.post("/submit_pipeline?check_symbols=false", json=pipeline | {"signals": signals})
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"].endswith(code), answer.text
        assert words in answer.text
    assert "mystrat.code" not in sys.modules
