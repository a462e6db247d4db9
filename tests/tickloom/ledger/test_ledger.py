"""Promises 1, 2, 3 and 6: accept, lease, one computation, cancel."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import Progress
from tickloom.errors import BadRequest, UnknownTask
from tickloom.identity import digest
from tickloom.ledger import leases, runs, transaction
from tickloom.ledger.runs import AlreadyFinished, InputFailed, KeyReused, PlannedStage, Submission

CHAIN = ("download", "bars", "features")
LOST = {"detail": "connection lost", "status": 503, "retryable": True}
WRONG = {"detail": "no such column", "status": 422, "retryable": False}


def artifact_id(stage: str, name: str) -> str:
    return digest([stage, name])


def submission(
    name: str = "a", stages: Sequence[str] = CHAIN, *, source: str | None = None, key: str | None = None, **changes: str
) -> Submission:
    planned, before = [], changes.get("input_artifact")
    for stage in stages:
        made = artifact_id(stage, changes.get(stage, name))
        planned.append(PlannedStage(stage, {"name": name}, made, before))
        before = made
    return Submission("pipeline", name, {}, planned, digest([name, *stages, source]), source, key)


def manifest(lease: leases.Lease) -> Manifest:
    return Manifest(id=lease.artifact_id, stage=lease.stage, version=1, request={}, inputs=(), files=())


def claimed(url: str, run: str, stage: str, owner: str = "w") -> leases.Lease:
    lease = leases.claim(url, run, stage, owner, 30)
    assert lease is not None
    return lease


def states(url: str, run: str) -> list[str]:
    row, stages = runs.read(url, run)
    return [row.state, *(stage.state for stage in stages)]


def let_pass(url: str, column: str) -> None:
    """Turn a clock of the ledger back, as if a minute had passed."""
    with transaction(url) as session:
        session.execute(text(f"UPDATE stages SET {column} = {column} - 60000000 WHERE {column} IS NOT NULL"))


def test_accepting_a_run_records_it_with_its_first_message_and_no_other(url):
    run, created = runs.accept(url, submission())
    assert created
    assert states(url, run) == ["PENDING"] * 4
    assert leases.unsent(url) == [(run, "download")]


def test_an_accepted_run_that_was_never_sent_is_still_in_the_outbox_until_the_broker_has_it(url):
    run, _ = runs.accept(url, submission())
    assert leases.unsent(url) == leases.unsent(url) == [(run, "download")]
    leases.mark_sent(url, [(run, "download")])
    assert leases.unsent(url) == []


def test_committing_a_stage_records_the_artifact_and_the_next_message_together(url):
    run, _ = runs.accept(url, submission())
    lease = claimed(url, run, "download")
    assert runs.artifact(url, lease.artifact_id) is None
    assert leases.commit(url, lease, manifest(lease))
    assert runs.artifact(url, lease.artifact_id) is not None
    assert leases.unsent(url) == [(run, "bars")]
    assert states(url, run) == ["STARTED", "SUCCESS", "PENDING", "PENDING"]


def test_a_run_ends_with_success_when_its_last_stage_commits(url):
    run, _ = runs.accept(url, submission())
    for stage in CHAIN:
        lease = claimed(url, run, stage)
        assert leases.commit(url, lease, manifest(lease))
    assert states(url, run) == ["SUCCESS"] * 4
    assert leases.unsent(url) == []


def test_a_stage_cannot_be_claimed_twice_nor_before_its_input_is_there(url):
    run, _ = runs.accept(url, submission())
    claimed(url, run, "download")
    assert leases.claim(url, run, "download", "other", 30) is None
    assert leases.claim(url, run, "bars", "other", 30) is None
    assert leases.claim(url, "0" * 32, "bars", "other", 30) is None


def test_of_many_workers_that_get_the_same_message_one_works(url):
    run, _ = runs.accept(url, submission())
    barrier = threading.Barrier(8)

    def deliver(worker: int) -> leases.Lease | None:
        barrier.wait()
        return leases.claim(url, run, "download", f"w{worker}", 30)

    with ThreadPoolExecutor(8) as pool:
        assert sum(lease is not None for lease in pool.map(deliver, range(8))) == 1


def test_whoever_lost_the_lease_can_change_nothing_any_more(url):
    run, _ = runs.accept(url, submission())
    slow = claimed(url, run, "download", "slow")
    let_pass(url, "lease_until")
    assert leases.expire(url, 3) == 1
    let_pass(url, "not_before")
    quick = claimed(url, run, "download", "quick")
    assert quick.attempt > slow.attempt
    assert not leases.renew(url, slow, 30, Progress(done=9, total=9))
    leases.fail(url, slow, WRONG, 3)
    assert not leases.commit(url, slow, manifest(slow))
    assert states(url, run)[1] == "STARTED"
    assert leases.renew(url, quick, 30, None)
    assert leases.commit(url, quick, manifest(quick))


def test_a_lease_that_is_renewed_does_not_expire(url):
    run, _ = runs.accept(url, submission())
    lease = claimed(url, run, "download")
    let_pass(url, "lease_until")
    assert leases.renew(url, lease, 30, Progress(done=3, total=4, rows=12, message="x", warnings=("w",)))
    assert leases.expire(url, 3) == 0
    stage = runs.read(url, run)[1][0]
    assert (stage.done, stage.total, stage.rows, stage.message, stage.warnings) == (3, 4, 12, "x", ["w"])


def test_three_attempts_then_failure_with_the_last_reason(url):
    run, _ = runs.accept(url, submission())
    for attempt in (1, 2, 3):
        lease = claimed(url, run, "download")
        assert lease.attempt == attempt
        leases.fail(url, lease, LOST, 3)
        assert states(url, run)[0] == ("RETRY" if attempt < 3 else "FAILURE")
        let_pass(url, "not_before")
    row, stages = runs.read(url, run)
    assert row.error == LOST
    assert [stage.state for stage in stages] == ["FAILURE"] * 3
    assert leases.claim(url, run, "download", "w", 30) is None
    assert leases.unsent(url) == []


def test_an_error_that_would_come_again_is_not_retried(url):
    run, _ = runs.accept(url, submission())
    leases.fail(url, claimed(url, run, "download"), WRONG, 3)
    assert states(url, run)[0] == "FAILURE"


def test_a_retry_waits_before_it_is_due(url):
    run, _ = runs.accept(url, submission())
    leases.fail(url, claimed(url, run, "download"), LOST, 3)
    assert leases.unsent(url) == []
    assert leases.claim(url, run, "download", "early", 30) is None


def test_a_stage_given_back_by_a_worker_that_stops_counts_no_failure(url):
    run, _ = runs.accept(url, submission())
    for _ in range(5):
        leases.release(url, claimed(url, run, "download"))
        assert leases.unsent(url) == [(run, "download")]
    assert runs.read(url, run)[1][0].failures == 0


def test_equal_requests_are_one_run_while_it_is_active_and_after_success(url):
    run, _ = runs.accept(url, submission())
    assert runs.accept(url, submission()) == (run, False)
    for stage in CHAIN:
        lease = claimed(url, run, stage)
        leases.commit(url, lease, manifest(lease))
    assert runs.accept(url, submission()) == (run, False)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_request_that_failed_or_was_cancelled_may_be_tried_anew(url, end):
    run, _ = runs.accept(url, submission())
    if end == "failed":
        leases.fail(url, claimed(url, run, "download"), WRONG, 3)
    else:
        runs.cancel(url, run)
    again, created = runs.accept(url, submission())
    assert created
    assert again != run


def test_F19_a_hundred_equal_submissions_at_once_are_one_run(url):
    barrier = threading.Barrier(10)

    def submit(_: int) -> list[str]:
        barrier.wait()
        return [runs.accept(url, submission())[0] for _ in range(10)]

    with ThreadPoolExecutor(10) as pool:
        ids = {run for batch in pool.map(submit, range(10)) for run in batch}
    assert len(ids) == 1
    assert len(leases.unsent(url)) == 1


def test_two_runs_that_share_a_stage_compute_it_once(url):
    first, _ = runs.accept(url, submission("a"))
    second, _ = runs.accept(url, submission("b", download="a", bars="a"))
    lease = claimed(url, first, "download")
    assert leases.claim(url, second, "download", "other", 30) is None
    assert first in runs.read(url, second)[1][0].message
    leases.commit(url, lease, manifest(lease))
    assert states(url, second)[1] == "SUCCESS"
    assert runs.read(url, second)[1][0].cached
    assert (second, "bars") in leases.unsent(url)


@pytest.mark.parametrize("end", ["failed", "cancelled", "retry"])
def test_a_run_that_waited_for_another_takes_over_when_that_one_ends_without_the_artifact(url, end):
    first, _ = runs.accept(url, submission("a"))
    second, _ = runs.accept(url, submission("b", download="a"))
    lease = claimed(url, first, "download")
    leases.mark_sent(url, leases.unsent(url))
    if end == "cancelled":
        runs.cancel(url, first)
    else:
        leases.fail(url, lease, WRONG if end == "failed" else LOST, 3)
    assert (second, "download") in leases.unsent(url)
    assert claimed(url, second, "download").artifact_id == lease.artifact_id


def test_a_stage_whose_artifact_exists_is_not_done_again(url):
    run, _ = runs.accept(url, submission("a", ("download",)))
    lease = claimed(url, run, "download")
    leases.commit(url, lease, manifest(lease))
    longer, _ = runs.accept(url, submission("a"))
    assert states(url, longer) == ["PENDING", "SUCCESS", "PENDING", "PENDING"]
    assert leases.unsent(url) == [(longer, "bars")]


def test_a_run_whose_artifacts_all_exist_is_done_at_once(url):
    run, _ = runs.accept(url, submission("a"))
    for stage in CHAIN:
        lease = claimed(url, run, stage)
        leases.commit(url, lease, manifest(lease))
    again, created = runs.accept(url, submission("other", download="a", bars="a", features="a"))
    assert created
    assert states(url, again) == ["SUCCESS"] * 4


def test_an_artifact_that_was_forgotten_is_made_again(url):
    run, _ = runs.accept(url, submission("a", ("download",)))
    lease = claimed(url, run, "download")
    leases.commit(url, lease, manifest(lease))
    runs.forget_artifacts(url, [lease.artifact_id])
    again, created = runs.accept(url, submission("a", ("download",)))
    assert created
    assert states(url, again)[0] == "PENDING"


def test_an_idempotency_key_stands_for_one_request(url):
    run, _ = runs.accept(url, submission("a", key="k"))
    runs.cancel(url, run)
    assert runs.accept(url, submission("a", key="k")) == (run, False)
    with pytest.raises(KeyReused):
        runs.accept(url, submission("b", key="k"))


def test_F22_cancel_is_final_and_nothing_is_published_after_it(url):
    run, _ = runs.accept(url, submission())
    lease = claimed(url, run, "download")
    runs.cancel(url, run)
    runs.cancel(url, run)
    assert not leases.renew(url, lease, 30, None)
    assert not leases.commit(url, lease, manifest(lease))
    leases.fail(url, lease, LOST, 3)
    assert runs.artifact(url, lease.artifact_id) is None
    assert states(url, run) == ["REVOKED"] * 4
    assert leases.unsent(url) == []


def test_F22_when_cancel_races_with_the_last_commit_exactly_one_of_them_wins(url):
    for n in range(20):
        run, _ = runs.accept(url, submission(f"r{n}", ("download",)))
        lease = claimed(url, run, "download")
        barrier = threading.Barrier(2)

        def commit(lease: leases.Lease = lease, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return leases.commit(url, lease, manifest(lease))

        def cancel(run: str = run, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            try:
                runs.cancel(url, run)
            except AlreadyFinished:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            committed, cancelled = pool.submit(commit), pool.submit(cancel)
        assert committed.result() != cancelled.result()
        assert states(url, run)[0] == ("SUCCESS" if committed.result() else "REVOKED")
        assert (runs.artifact(url, lease.artifact_id) is not None) == committed.result()


def test_a_finished_run_cannot_be_cancelled(url):
    run, _ = runs.accept(url, submission("a", ("download",)))
    lease = claimed(url, run, "download")
    leases.commit(url, lease, manifest(lease))
    with pytest.raises(AlreadyFinished):
        runs.cancel(url, run)
    with pytest.raises(UnknownTask):
        runs.cancel(url, "f" * 32)


def test_a_run_starts_when_the_run_it_builds_on_has_made_its_input(url):
    first, _ = runs.accept(url, submission("a", ("download",)))
    made = artifact_id("download", "a")
    second, _ = runs.accept(url, submission("b", ("bars",), source=first, input_artifact=made))
    assert leases.unsent(url) == [(first, "download")]
    lease = claimed(url, first, "download")
    leases.commit(url, lease, manifest(lease))
    assert leases.unsent(url) == [(second, "bars")]


def test_a_run_fails_with_the_run_it_builds_on_and_so_does_the_next(url):
    first, _ = runs.accept(url, submission("a", ("download",)))
    made = artifact_id("download", "a")
    second, _ = runs.accept(url, submission("b", ("bars",), source=first, input_artifact=made))
    made = artifact_id("bars", "b")
    third, _ = runs.accept(url, submission("c", ("features",), source=second, input_artifact=made))
    runs.cancel(url, first)
    assert states(url, second) == states(url, third) == ["FAILURE", "FAILURE"]
    error = runs.read(url, second)[0].error
    assert error is not None
    assert first in error["detail"]
    with pytest.raises(InputFailed):
        runs.accept(url, submission("d", ("bars",), source=first, input_artifact=made))


def test_a_ready_stage_that_nobody_came_for_is_overdue_and_rung_again(url):
    run, _ = runs.accept(url, submission())
    leases.mark_sent(url, leases.unsent(url))
    assert leases.overdue(url) == {}
    let_pass(url, "sent")
    assert leases.overdue(url) == {"download": [run]}
    leases.resend(url, "download", [run])
    assert leases.unsent(url) == [(run, "download")]


def test_lists_are_newest_first_and_paging_neither_skips_nor_repeats(url):
    made = [runs.accept(url, submission(f"n{n}", ("download",)))[0] for n in range(7)]
    seen: list[str] = []
    before = None
    while page := runs.listing(url, state="PENDING", kind=None, limit=3, before=before):
        seen += [run.id for run, _ in page]
        before = (page[-1][0].created, page[-1][0].id)
    assert seen == made[::-1]
    assert runs.listing(url, state="SUCCESS", kind=None, limit=3, before=None) == []


def test_a_task_that_makes_no_such_stage_is_a_bad_input(url):
    run, _ = runs.accept(url, submission("a", ("download",)))
    assert runs.artifact_of(url, run, "download") == artifact_id("download", "a")
    with pytest.raises(BadRequest, match="makes no bars"):
        runs.artifact_of(url, run, "bars")


def test_the_schema_of_the_migrations_is_the_schema_of_the_models(url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from tickloom.ledger.models import Base

    with transaction(url, write=False) as session:
        assert compare_metadata(MigrationContext.configure(session.connection()), Base.metadata) == []
