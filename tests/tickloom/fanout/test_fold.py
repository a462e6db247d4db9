"""The same results wherever tasks run, bounded in flight, and an end to everything that is outstanding."""

import random
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.tickloom.fanout import tasks
from tickloom.errors import DeadlinePassed, MissingPartition, StageCancelled, WorkerLost
from tickloom.fanout import Task, cpus, fold, fold_chains, map_unordered, place
from tickloom.settings import settings


def squares(n: int) -> Iterator[Task[int]]:
    return (Task(f"square {i}", tasks.square, (i,)) for i in range(n))


def test_every_task_has_one_result_with_its_own_index(anywhere: dict[str, Any]) -> None:
    assert sorted(map_unordered(squares(50), **anywhere)) == [(i, i * i) for i in range(50)]
    assert list(map_unordered(squares(0), **anywhere)) == []


def test_results_do_not_depend_on_which_task_ends_first(anywhere: dict[str, Any]) -> None:
    rng = random.Random(5)
    todo = [Task(f"nap {i}", tasks.nap, (rng.choice([0, 0.03]), i)) for i in range(24)]
    assert dict(map_unordered(todo, **anywhere)) == {i: i for i in range(24)}
    assert dict(map_unordered(todo[::-1], **anywhere)) == {i: 23 - i for i in range(24)}


def test_a_chain_runs_in_order_and_each_step_gets_the_result_before_it(anywhere: dict[str, Any]) -> None:
    def step(item: tuple[int, float], total: int | None) -> Task[int]:
        return Task("add", tasks.add, (total, *item))

    rng = random.Random(6)
    chains = [[(digit, rng.choice([0, 0.02])) for digit in (1, 2, 3, 4)] for _ in range(6)]
    seen: dict[int, list[int]] = {}
    for index, total in fold_chains([*chains, []], step, **anywhere):
        seen.setdefault(index, []).append(total)
    assert seen == {index: [1, 12, 123, 1234] for index in range(6)}


def test_chains_run_side_by_side(elsewhere: str) -> None:
    def step(item: int, total: int | None) -> Task[int]:
        return Task("add", tasks.add, (total, item, 0.1))

    list(map_unordered(squares(4)))  # processes are up
    order = [index for index, _ in fold_chains([[1, 2, 3]] * 2, step)]
    assert sorted(order) == [0, 0, 0, 1, 1, 1]
    assert order not in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])


def test_a_chain_may_hold_anything_even_nothing(anywhere: dict[str, Any]) -> None:
    steps = list(fold_chains([[None, 0, ""]], lambda item, _: Task("nap", tasks.nap, (0, item)), **anywhere))
    assert steps == [(0, None), (0, 0), (0, "")]


def test_an_error_arrives_as_it_was_raised_with_its_fields(anywhere: dict[str, Any]) -> None:
    with pytest.raises(MissingPartition) as caught:
        list(map_unordered([Task("missing", tasks.missing, ())], **anywhere))
    assert type(caught.value) is MissingPartition
    assert (caught.value.table, caught.value.partition) == ("trades", "2022-01-03")
    with pytest.raises(KeyError) as other:
        list(map_unordered([Task("fail", tasks.fail, ("which",))], **anywhere))
    assert type(other.value) is KeyError
    assert other.value.args == ("which",)


def test_tasks_are_taken_as_they_are_needed_at_most_two_per_cpu_ahead(elsewhere: str) -> None:
    taken = 0

    def counted() -> Iterator[Task[int]]:
        nonlocal taken
        for task in squares(60):
            taken += 1
            yield task

    for done, _ in enumerate(map_unordered(counted())):
        assert taken - done <= 2 * cpus()
    assert taken == 60


def test_waiting_ends_with_the_task_and_not_with_the_poll(elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "POLL_S", 20)
    list(map_unordered(squares(4)))  # processes are up
    begun = time.monotonic()
    assert len(list(map_unordered(Task("nap", tasks.nap, (0.01, i)) for i in range(60)))) == 60
    assert time.monotonic() - begun < 10


# the end of outstanding tasks ------------------------------------------------------------------------------------


def sleepers(folder: Path, n: int = 4) -> list[Task[None]]:
    return [Task(f"sleep {i}", tasks.leave_pid_and_sleep, (str(folder), str(i))) for i in range(n)]


def begun(folder: Path, n: int = 2) -> list[int]:
    """Wait until `n` tasks run; return their processes."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        pids = [path.read_text() for path in folder.iterdir()]
        if len(pids) >= n and all(pids):
            return [int(pid) for pid in pids]
        time.sleep(0.02)
    raise AssertionError("the tasks did not begin")


def assert_gone(pids: list[int], within_s: float) -> None:
    until = time.monotonic() + within_s
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_cancelling_kills_what_is_outstanding_within_two_seconds(elsewhere: str, tmp_path: Path) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    cancelled, pids, at = threading.Event(), [], [0.0]

    def cancel() -> None:
        pids.extend(begun(folder))
        at[0] = time.monotonic()
        cancelled.set()

    threading.Thread(target=cancel).start()
    with pytest.raises(StageCancelled):
        list(map_unordered(sleepers(folder), cancelled=cancelled))
    assert_gone(pids, 2 - (time.monotonic() - at[0]))
    assert sorted(map_unordered(squares(5))) == [(i, i * i) for i in range(5)]


def test_a_map_that_was_cancelled_before_it_began_runs_nothing(anywhere: dict[str, Any], tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StageCancelled):
        list(map_unordered(sleepers(tmp_path, 1), cancelled=cancelled, **anywhere))


def test_a_task_that_takes_too_long_is_named_and_killed(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(map_unordered(squares(4)))  # processes are up
    folder = tmp_path / "pids"
    folder.mkdir()
    monkeypatch.setenv("TICKLOOM_TASK_DEADLINE_S", "1.5")
    settings.cache_clear()
    with pytest.raises(DeadlinePassed, match="sleep 0 did not finish within 2 s"):
        list(map_unordered(sleepers(folder, 1)))
    assert_gone(begun(folder, 1), 2)


def test_a_task_that_tells_that_it_gets_on_may_take_longer_and_so_may_those_that_wait_behind_it(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(map_unordered(squares(4)))  # processes are up
    monkeypatch.setenv("TICKLOOM_TASK_DEADLINE_S", "1.5")
    settings.cache_clear()
    marks = [tmp_path / str(i) for i in range(2 * cpus())]
    todo = [Task(mark.name, tasks.get_on, (str(mark), 12, 0.25), alive=mark) for mark in marks]
    assert sorted(map_unordered(todo)) == [(i, 12) for i in range(len(marks))]


def test_a_task_that_stands_still_after_a_sign_of_life_is_killed_though_others_get_on(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(map_unordered(squares(4)))  # processes are up
    monkeypatch.setenv("TICKLOOM_TASK_DEADLINE_S", "1.5")
    settings.cache_clear()
    stuck, busy = tmp_path / "stuck", tmp_path / "busy"
    todo = [
        Task("stuck", tasks.get_on, (str(stuck), 1, 60), alive=stuck),
        Task("busy", tasks.get_on, (str(busy), 24, 0.25), alive=busy),
    ]
    with pytest.raises(DeadlinePassed, match="stuck"):
        list(map_unordered(todo))


@pytest.mark.parametrize("end", ["the caller stops listening", "a task fails"])
def test_what_is_outstanding_is_killed_when(elsewhere: str, tmp_path: Path, end: str) -> None:
    folder = tmp_path / "pids"
    folder.mkdir()
    work = [Task("square", tasks.square, (3,)), *sleepers(folder, 1)]
    if end == "a task fails":
        with pytest.raises(KeyError):
            list(map_unordered([*work, Task("f", tasks.fail, ("x",))]))
    else:
        results = map_unordered(work)
        assert next(results) == (0, 9)
        begun(folder, 1)
        assert isinstance(results, Generator)
        results.close()
    time.sleep(0.3)
    assert_gone([int(path.read_text()) for path in folder.iterdir()], 2)


# processes that die ----------------------------------------------------------------------------------------------


def test_a_task_whose_process_was_killed_runs_again_with_the_same_result(elsewhere: str, tmp_path: Path) -> None:
    todo = [Task(f"die {i}", tasks.die_the_first_time, (str(tmp_path), i)) for i in range(4)]
    assert sorted(map_unordered(todo)) == [(i, i) for i in range(4)]


def test_a_task_that_always_kills_its_process_fails_by_name_after_three_tries(elsewhere: str, tmp_path: Path) -> None:
    todo = [Task("poison", tasks.die_always, (str(tmp_path),)), *squares(4)]
    with pytest.raises(WorkerLost, match="poison: the worker process died 3 times"):
        list(map_unordered(todo))
    assert (tmp_path / "tries").read_text() == "xxx"


def test_a_poisonous_task_does_no_harm_to_another_map(elsewhere: str, tmp_path: Path) -> None:
    other: list[tuple[int, int]] = []
    naps = [Task(f"nap {i}", tasks.nap, (0.1, i)) for i in range(12)]
    thread = threading.Thread(target=lambda: other.extend(map_unordered(naps)))
    thread.start()
    with pytest.raises(WorkerLost):
        list(map_unordered([Task("poison", tasks.die_always, (str(tmp_path),))]))
    thread.join(60)
    assert sorted(other) == [(i, i) for i in range(12)]


def test_several_maps_at_once_get_their_own_results(elsewhere: str) -> None:
    found: dict[int, list[tuple[int, int]]] = {}

    def run(k: int) -> None:
        found[k] = sorted(map_unordered(Task("nap", tasks.nap, (0.005, (k, i))) for i in range(15)))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {k: [(i, (k, i)) for i in range(15)] for k in range(4)}


def test_what_a_task_keeps_is_given_to_another_where_it_can_be_and_is_missing_elsewhere(
    anywhere: dict[str, Any],
) -> None:
    kept = dict(map_unordered([Task("keep", tasks.keep, (x,), keeps=True) for x in range(4)], **anywhere))
    assert [kept[x].result for x in range(4)] == [0, 1, 4, 9]
    used = map_unordered([Task("use", tasks.use, (x,), given=kept[x].bulk) for x in range(4)], **anywhere)
    can = anywhere["small"] or place().keeps
    assert sorted(answer for _, answer in used) == [(x, sum(range(x)) if can else None) for x in range(4)]
