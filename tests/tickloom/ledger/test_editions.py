"""Which artifacts are stale, on SQLite and PostgreSQL: those made from archives that the exchange has replaced."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.tickloom.ledger.test_ledger import CHAIN, artifact_id, claimed, states, submission
from tickloom.contracts.artifact import Manifest
from tickloom.errors import BadRequest
from tickloom.ledger import editions, leases, runs, transaction
from tickloom.ledger.leases import Lease

PATH = "/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-05.zip"
DOWNLOAD = artifact_id("download", "a")


def committed(url: str, lease: Lease, stage: str = "", **facts: Any) -> None:
    inputs = (lease.input_artifact_id,) if lease.input_artifact_id else ()
    made = Manifest(
        id=lease.artifact_id, stage=stage or lease.stage, version=1, request={}, inputs=inputs, files=(), facts=facts
    )
    assert leases.commit(url, lease, made)


def finished(url: str, name: str = "a", stages: tuple[str, ...] = CHAIN, **changes: str) -> str:
    run, _ = runs.accept(url, submission(name, stages, **changes))
    for stage in stages:
        lease = leases.claim(url, run, stage, "w", 30)
        if lease is not None:  # not made before
            committed(url, lease)
    return run


def rechecked(url: str, *changed: str, download: str = DOWNLOAD) -> str:
    run, created = editions.recheck(url, download, "a")
    assert created
    committed(url, claimed(url, run, "download"), "recheck", changed=list(changed))
    return run


def test_a_recheck_that_finds_nothing_changed_marks_nothing(url):
    finished(url)
    run = rechecked(url)
    assert states(url, run) == ["SUCCESS", "SUCCESS"]
    assert editions.stale(url, [artifact_id(stage, "a") for stage in CHAIN]) == {}


def test_a_replaced_archive_makes_the_download_and_all_that_was_made_of_it_stale_and_nothing_else(url):
    finished(url)
    finished(url, "other bars", bars="b", features="b", download="a")
    finished(url, "another download")
    rechecked(url, PATH)
    made = {artifact_id(stage, name): (stage, name) for stage in CHAIN for name in ("a", "b", "another download")}
    marked = editions.stale(url, made)
    assert {made[one] for one in marked} == {
        ("download", "a"),
        *(("bars", name) for name in "ab"),
        *(("features", name) for name in "ab"),
    }
    assert {(row.download_id, *row.archives) for row in marked.values()} == {(DOWNLOAD, PATH)}


def test_what_is_at_work_while_its_download_becomes_stale_is_stale_when_it_commits(url):
    run, _ = runs.accept(url, submission())
    committed(url, claimed(url, run, "download"))
    at_work = claimed(url, run, "bars")
    rechecked(url, PATH)
    committed(url, at_work)
    committed(url, claimed(url, run, "features"))
    assert len(editions.stale(url, [artifact_id(stage, "a") for stage in CHAIN])) == 3


def test_what_is_asked_for_on_top_of_a_stale_artifact_is_stale_too(url):
    finished(url, "a", ("download",))
    rechecked(url, PATH)
    run, _ = runs.accept(url, submission("late", ("bars",), input_artifact=DOWNLOAD))
    committed(url, claimed(url, run, "bars"))
    (row,) = editions.stale(url, [artifact_id("bars", "late")]).values()
    assert row.archives == [PATH]


def test_the_tasks_of_stale_artifacts_say_so(url):
    run = finished(url)
    assert [stage.stale for stage in runs.read(url, run)[1]] == [None] * 3
    rechecked(url, PATH)
    _, stages = runs.read(url, run)
    assert [stage.stale.archives for stage in stages] == [[PATH]] * 3


def test_the_next_edition_is_the_first_that_is_not_stale(url):
    finished(url)
    assert editions.newest(url, lambda edition: artifact_id("download", "ab"[edition])) == 0
    rechecked(url, PATH)
    assert editions.newest(url, lambda edition: artifact_id("download", "ab"[edition])) == 1
    assert runs.artifact(url, DOWNLOAD) is not None


def test_a_recheck_that_is_asked_for_twice_is_one_and_after_it_there_can_be_another(url):
    finished(url)
    first, created = editions.recheck(url, DOWNLOAD, "a")
    assert created
    assert editions.recheck(url, DOWNLOAD, "a") == (first, False)
    committed(url, claimed(url, first, "download"), "recheck", changed=[])
    second, created = editions.recheck(url, DOWNLOAD, "a")
    assert created
    assert second != first


def test_a_recheck_that_failed_can_be_asked_for_again(url):
    finished(url)
    first, _ = editions.recheck(url, DOWNLOAD, "a")
    leases.fail(url, claimed(url, first, "download"), {"detail": "no network", "retryable": False}, 3)
    second, created = editions.recheck(url, DOWNLOAD, "a")
    assert created
    committed(url, claimed(url, second, "download"), "recheck", changed=[PATH])
    assert editions.stale(url, [DOWNLOAD])


def test_a_recheck_is_no_download_that_bars_could_be_made_of(url):
    finished(url)
    run = rechecked(url)
    with pytest.raises(BadRequest, match="makes no download"):
        runs.artifact_of(url, run, "download")


def test_downloads_are_rechecked_in_the_order_in_which_they_were_last_looked_at(url):
    for name in "abc":
        finished(url, name)
    first, second, third = (artifact_id("download", name) for name in "abc")
    rechecked(url, download=first)
    assert editions.current_downloads(url, 10) == [second, third, first]
    assert editions.current_downloads(url, 1) == [second]
    rechecked(url, PATH, download=second)
    assert editions.current_downloads(url, 10) == [third, first]


def test_a_download_is_due_for_a_look_when_it_is_a_day_old_and_once_a_day(url):
    finished(url)
    assert not editions.is_due(url, DOWNLOAD)
    with transaction(url) as session:
        session.execute(text("UPDATE artifacts SET created = created - 90000000000"))
    assert editions.is_due(url, DOWNLOAD)
    editions.recheck(url, DOWNLOAD, "a")
    assert not editions.is_due(url, DOWNLOAD)
    assert not editions.is_due(url, "0" * 64)


def test_a_download_that_was_lost_and_comes_back_with_other_bytes_is_stale(url):
    """The archive was replaced before the artifact was made anew, so its id stands for other bytes than before."""
    finished(url)
    runs.forget_artifacts(url, [DOWNLOAD])
    run, created = runs.accept(url, submission("again", ("download",), download="a"))
    assert created
    committed(url, claimed(url, run, "download"), rows=1)
    marked = editions.stale(url, [artifact_id(stage, "a") for stage in CHAIN])
    assert len(marked) == 3


def test_a_download_that_was_lost_and_comes_back_as_it_was_is_not_stale(url):
    finished(url)
    runs.forget_artifacts(url, [DOWNLOAD])
    run, _ = runs.accept(url, submission("again", ("download",), download="a"))
    committed(url, claimed(url, run, "download"))
    assert editions.stale(url, [DOWNLOAD]) == {}
