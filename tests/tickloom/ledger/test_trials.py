"""Every trial on the same data counts: which searches are of the same data, and which count."""

from typing import Any

import pytest

from tests.tickloom.ledger.test_ledger import claimed, manifest, states
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.identity import digest
from tickloom.ledger import leases, runs
from tickloom.ledger.runs import PlannedStage, Submission
from tickloom.ledger.trials import earlier_trials, requests_above, searches_of

RULE = {"long_entry": "close > {x}"}


def requests(n_trials: int = 1, **download: Any) -> dict[str, dict[str, Any]]:
    period = {"symbols": ["BTCUSDT"], "start_date": "2022-01", "end_date": "2022-03", "venue": "sim"}
    signals = RULE | {"parameters": {"x": list(range(n_trials))}}
    return {
        "download": DownloadRequest.model_validate(period | download).canonical(),
        "signals": SignalsRequest.model_validate(signals).canonical(),
    }


def submission(name: str, asked: dict[str, dict[str, Any]]) -> Submission:
    planned: list[PlannedStage] = []
    for stage in ("download", "signals", "backtest"):
        before = planned[-1].artifact_id if planned else None
        planned.append(PlannedStage(stage, asked.get(stage, {}), digest([stage, name]), before))
    return Submission("pipeline", name, {}, planned, digest(name), searches=searches_of(asked))


def earlier(url: str, name: str, asked: dict[str, dict[str, Any]]) -> dict[str, int]:
    return earlier_trials(url, digest(["backtest", name]), searches_of(asked))


def test_the_trials_of_other_searches_on_the_same_data_are_added_up_and_its_own_are_not(url):
    for name, n_trials in (("a", 64), ("b", 100), ("c", 7)):
        runs.accept(url, submission(name, requests(n_trials)))
    assert earlier(url, "a", requests(64)) == {"BTCUSDT": 107}
    assert earlier(url, "new", requests(3)) == {"BTCUSDT": 171}


def test_a_search_that_is_accepted_twice_counts_once(url):
    runs.accept(url, submission("a", requests(64)))
    again = submission("a", requests(64))
    runs.accept(url, Submission("pipeline", "a", {}, again.stages, digest("again"), searches=again.searches))
    assert earlier(url, "new", requests()) == {"BTCUSDT": 64}


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ({"data_type": "trades"}, True),
        ({"data_type": "klines", "interval": "1m"}, True),
        ({"start_date": "2022-03-31", "end_date": "2022-12"}, True),
        ({"start_date": "2022-04", "end_date": "2022-12"}, False),
        ({"start_date": "2021-01", "end_date": "2021-12"}, False),
        ({"symbols": ["ETHUSDT"]}, False),
        ({"market": "usdm"}, False),
        ({"dataset": "seed=2"}, False),
        ({"venue": "binance"}, False),
    ],
)
def test_the_same_data_are_the_same_symbol_of_the_same_market_on_days_in_common(url, other, is_same):
    runs.accept(url, submission("a", requests(5, **other)))
    assert earlier(url, "new", requests()) == ({"BTCUSDT": 5} if is_same else {})


def test_an_imported_file_is_its_bytes_whatever_it_is_called(url):
    def of(path: str, sha256: str) -> dict[str, dict[str, Any]]:
        file = {"BTCUSDT": {"path": path, "sha256": sha256}}
        asked = {"venue": "file", "symbols": [], "start_date": None, "end_date": None, "files": file}
        return requests(9, **asked)

    runs.accept(url, submission("a", of("a.csv", "1" * 64)))
    assert earlier(url, "new", of("b.csv", "1" * 64)) == {"BTCUSDT": 9}
    assert earlier(url, "new", of("a.csv", "2" * 64)) == {}


def test_a_search_that_failed_or_was_cancelled_showed_nobody_anything(url):
    run, _ = runs.accept(url, submission("a", requests(5)))
    assert earlier(url, "new", requests()) == {"BTCUSDT": 5}
    runs.cancel(url, run)
    assert earlier(url, "new", requests()) == {}


def test_a_search_counts_from_its_acceptance_on_and_after_its_success(url):
    run, _ = runs.accept(url, submission("a", requests(5)))
    for stage in ("download", "signals", "backtest"):
        assert earlier(url, "new", requests()) == {"BTCUSDT": 5}
        lease = claimed(url, run, stage)
        assert leases.commit(url, lease, manifest(lease))
    assert states(url, run)[0] == "SUCCESS"
    assert earlier(url, "new", requests()) == {"BTCUSDT": 5}


def test_what_an_artifact_was_made_from_is_known_from_the_runs(url):
    asked = requests(5)
    runs.accept(url, submission("a", asked))
    above = requests_above(url, digest(["backtest", "a"]))
    assert above == asked | {"backtest": {}}
    assert searches_of(above)[0].n_trials == 5
    assert requests_above(url, digest("nothing")) == {}
    assert searches_of({}) == []
