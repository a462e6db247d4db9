"""Every trial on the same data counts: which searches are of the same data, and which count."""

import math
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

import migrations
from tests.tickloom.ledger.test_ledger import WRONG, claimed, manifest, states
from tickloom.contracts.download import DownloadRequest
from tickloom.contracts.events import BestTrial, Progress, Trials
from tickloom.contracts.signals import SignalsRequest
from tickloom.identity import digest
from tickloom.ledger import leases, migrate, runs, transaction
from tickloom.ledger.database import engine
from tickloom.ledger.runs import PlannedStage, Submission
from tickloom.ledger.trials import earlier_trials, requests_above, searches_of
from tickloom.tries import Tries

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


def tried(url: str, name: str, asked: dict[str, dict[str, Any]]) -> dict[str, Tries]:
    return earlier_trials(url, digest(["backtest", name]), searches_of(asked))


def earlier(url: str, name: str, asked: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {symbol: tries.n for symbol, tries in tried(url, name, asked).items()}


def at_work(url: str, n_trials: int) -> tuple[str, leases.Lease]:
    """Return a run whose backtest is being worked on, and the lease of it."""
    run, _ = runs.accept(url, submission("a", requests(n_trials)))
    for stage in ("download", "signals"):
        lease = claimed(url, run, stage)
        assert leases.commit(url, lease, manifest(lease))
    return run, claimed(url, run, "backtest")


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


def imported(n_trials: int = 9, sha256: str = "1" * 64, **download: Any) -> dict[str, dict[str, Any]]:
    file = {"BTCUSDT": {"path": "a.csv", "sha256": sha256}}
    asked = {"venue": "file", "symbols": [], "start_date": None, "end_date": None, "files": file}
    return requests(n_trials, **(asked | download))


def test_an_imported_file_with_another_line_is_not_fresh_data(url):
    runs.accept(url, submission("a", imported(sha256="1" * 64)))
    assert earlier(url, "new", imported(sha256="2" * 64)) == {"BTCUSDT": 9}
    assert earlier(url, "new", imported(data_type="klines", interval="15m")) == {"BTCUSDT": 9}
    assert earlier(url, "new", imported(market="usdm")) == {}
    assert earlier(url, "new", requests()) == {}


def test_imported_files_with_declared_days_are_the_same_data_on_days_in_common_alone(url):
    runs.accept(url, submission("a", imported(start_date="2022-01", end_date="2022-03")))
    assert earlier(url, "new", imported(start_date="2022-03-31", end_date="2022-12")) == {"BTCUSDT": 9}
    assert earlier(url, "new", imported(start_date="2022-04", end_date="2022-12")) == {}
    assert earlier(url, "new", imported()) == {"BTCUSDT": 9}


def test_searches_of_imported_files_in_an_older_ledger_are_found_again(tmp_path):
    url = f"sqlite:///{tmp_path}/old.sqlite"
    migrate(url)
    for name, market in (("a", "usdm"), ("b", "spot")):
        runs.accept(url, submission(name, imported(market=market)))
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine(url).connect().execution_options(write=True) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    with transaction(url) as session:
        session.execute(text("UPDATE searches SET data = 'file ' || :sha256"), {"sha256": "1" * 64})
    migrate(url)
    for market in ("usdm", "spot"):
        assert earlier(url, "new", imported(market=market)) == {"BTCUSDT": 9}


def test_a_search_that_was_cancelled_before_it_showed_anything_does_not_count(url):
    run, _ = runs.accept(url, submission("a", requests(5)))
    assert earlier(url, "new", requests()) == {"BTCUSDT": 5}
    runs.cancel(url, run)
    assert earlier(url, "new", requests()) == {}


def test_of_a_search_that_was_cancelled_those_trials_count_whose_best_was_shown(url):
    run, lease = at_work(url, 5000)
    best = BestTrial(symbol="BTCUSDT", parameters={"x": 3}, objective="sharpe_ratio", value=3.1)
    for done in (10, 4999):
        assert leases.renew(url, lease, 60, Progress(done=0, total=2, trials=Trials(done=done, total=5000), best=best))
    assert earlier(url, "new", requests()) == {"BTCUSDT": 5000}
    runs.cancel(url, run)
    assert tried(url, "new", requests()) == {"BTCUSDT": Tries.unknown(4999)}


def test_of_a_search_that_failed_the_most_that_any_attempt_showed_counts(url):
    run, lease = at_work(url, 100)
    assert leases.renew(url, lease, 60, Progress(done=0, total=2, trials=Trials(done=70, total=100)))
    leases.release(url, lease)
    lease = claimed(url, run, "backtest", "other")
    assert leases.renew(url, lease, 60, Progress(done=0, total=2, trials=Trials(done=20, total=100)))
    leases.fail(url, lease, WRONG, 3)
    assert states(url, run)[0] == "FAILURE"
    assert earlier(url, "new", requests()) == {"BTCUSDT": 70}


@pytest.mark.parametrize("account", ["BTCUSDT", "PORTFOLIO"])
def test_how_far_apart_the_ratios_of_a_finished_search_came_out_is_kept_to_the_last_bit(url, account):
    _, lease = at_work(url, 9)
    tries = Tries.of([0.1, -0.3, 1 / 3, *[math.nan] * 6], 365)
    assert tried(url, "new", requests()) == {"BTCUSDT": Tries.unknown(9)}  # nobody knows yet
    assert leases.commit(url, lease, manifest(lease).model_copy(update={"facts": {"tries": {account: vars(tries)}}}))
    assert tried(url, "new", requests()) == {"BTCUSDT": tries}


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
