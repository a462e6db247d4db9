"""What tasks have read is told while they are at work."""

import time
from pathlib import Path

import pytest

from services.download.adapters.tally import Tally, counting
from tickloom.errors import StageCancelled


def wait_for(told: list[tuple[int, int]], sums: tuple[int, int]) -> None:
    until = time.monotonic() + 10
    while sums not in told:
        assert time.monotonic() < until, told
        time.sleep(0.005)


def test_sums_are_told_while_they_grow_and_the_file_is_gone_afterwards(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with counting(tmp_path / "tallies", lambda *sums: told.append(sums), look_s=0.01) as tally:
        tally.add(0, 1000)
        wait_for(told, (0, 1000))
        tally.add(1, 500)
        tally.add(1, 0)
        wait_for(told, (2, 1500))
    assert told == sorted(told)
    assert list((tmp_path / "tallies").iterdir()) == []


def test_each_task_tells_of_itself_that_it_gets_on(tmp_path: Path) -> None:
    with counting(tmp_path / "tallies", lambda *_: None) as tally:
        first, second = tally.of_task(0), tally.of_task(1)
        assert first.alive is not None
        assert second.alive is not None
        first.add(1, 5)
        assert first.alive.exists()
        assert not second.alive.exists()
        second.beat()
        assert second.alive.exists()
        assert tally.sums() == (1, 5)
    assert list((tmp_path / "tallies").iterdir()) == []


def test_a_tally_whose_folder_is_elsewhere_says_nothing(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "not here" / "tally")
    tally.add(1, 5)
    assert tally.sums() == (0, 0)


def test_an_entry_that_is_cut_short_is_not_read(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "tally")
    tally.add(1, 5)
    with tally.path.open("ab") as file:
        file.write(b"123")
    assert tally.sums() == (1, 5)


def test_a_job_that_is_cancelled_meanwhile_is_not_told_of_by_its_counter(tmp_path: Path) -> None:
    told = []

    def tell(*sums: int) -> None:
        told.append(sums)
        raise StageCancelled()

    with counting(tmp_path, tell, look_s=0.01) as tally:
        tally.add(1, 1)
        wait_for(told, (1, 1))
    assert told == [(1, 1)]


@pytest.mark.parametrize("entries", [[], [(1, 2)], [(0, 10), (1, -3), (2, 5)]])
def test_sums_are_those_of_all_entries(tmp_path: Path, entries: list[tuple[int, int]]) -> None:
    tally = Tally(tmp_path / "tally")
    for entry in entries:
        tally.add(*entry)
    assert tally.sums() == (sum(a for a, _ in entries), sum(r for _, r in entries))
