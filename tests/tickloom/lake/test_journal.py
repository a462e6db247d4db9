"""Journals: what was written is read, what is torn or damaged is not, and nobody repairs what another one left."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickloom.lake import Lake
from tickloom.lake.journal import Journal
from tickloom.settings import settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journals" / "backtest" / "key"


def written(folder: Path, *records: bytes) -> Path:
    with Journal(folder).writer() as writer:
        for record in records:
            writer.append(record)
    return max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_records_are_read_by_another_as_they_were_written(folder: Path) -> None:
    written(folder, b"one", b"", b"\x00three\n")
    assert list(Journal(folder).fresh()) == [b"one", b"", b"\x00three\n"]


def test_a_journal_that_nobody_has_written_is_empty_and_makes_no_file(folder: Path) -> None:
    with Journal(folder).writer():
        pass
    assert list(Journal(folder).fresh()) == []
    assert not folder.exists()


def test_fresh_records_are_told_once_while_they_are_written(folder: Path) -> None:
    journal = Journal(folder)
    with Journal(folder).writer() as writer:
        writer.append(b"one")
        assert list(journal.fresh()) == [b"one"]
        assert list(journal.fresh()) == []
        writer.append(b"two")
        assert list(journal.fresh()) == [b"two"]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.data())
def test_a_file_that_was_cut_anywhere_gives_its_whole_records(records: list[bytes], data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "key"
        path = written(folder, *records)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        ends = [sum(36 + len(record) for record in records[: k + 1]) for k in range(len(records))]
        assert list(Journal(folder).fresh()) == [r for r, end in zip(records, ends, strict=True) if end <= cut]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4), st.data())
def test_a_changed_bit_is_never_read(records: list[bytes], data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "key"
        path = written(folder, *records)
        whole = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole)
        found = list(Journal(folder).fresh())
        assert found == records[: len(found)]
        assert len(found) < len(records)


def test_each_attempt_writes_a_file_of_its_own_and_all_are_read(folder: Path) -> None:
    torn = written(folder, b"one", b"two")
    torn.write_bytes(torn.read_bytes()[:-1])
    written(folder, b"two", b"three")
    assert sorted(Journal(folder).fresh()) == [b"one", b"three", b"two"]


def test_it_is_gone_when_it_is_removed_and_a_late_writer_harms_nobody(folder: Path) -> None:
    with Journal(folder).writer() as writer:
        writer.append(b"one")
        Journal(folder).remove()
        writer.append(b"two")
    assert list(Journal(folder).fresh()) == []
    Journal(folder).remove()


def test_the_journals_of_a_bucket_are_kept_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    with Lake("s3://bucket/prefix", "http://127.0.0.1:9").journal("backtest", "key").writer() as writer:
        writer.append(b"one")
    assert list((tmp_path / "home" / "journals" / "backtest" / "key").iterdir())
    settings.cache_clear()
