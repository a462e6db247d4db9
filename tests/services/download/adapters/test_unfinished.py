"""What has arrived of an archive outlives the attempt, unless it is used up or of no use."""

import os
import time
from pathlib import Path

import pytest

from services.download.adapters.unfinished import KEPT_S, unfinished
from services.download.domain.errors import BadArchive, ExchangeFailed


def arrive(folder: Path, key: str, error: Exception | None = None) -> None:
    with unfinished(folder, key) as file:
        file.write_bytes(b"half")
        file.with_suffix(".tag").write_text("tag")
        if error is not None:
            raise error


def test_what_has_arrived_is_there_after_a_failure_that_may_pass(tmp_path: Path) -> None:
    with pytest.raises(ExchangeFailed):
        arrive(tmp_path, "a", ExchangeFailed("url", 6, "reset"))
    with unfinished(tmp_path, "a") as file:
        assert file.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_of_an_archive_that_was_read_or_cannot_be(tmp_path: Path) -> None:
    arrive(tmp_path, "a")
    with pytest.raises(BadArchive):
        arrive(tmp_path, "b", BadArchive("b", "it is damaged"))
    with pytest.raises(ExchangeFailed), unfinished(tmp_path, "c"):
        raise ExchangeFailed("url", 6, "not a byte came")
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_went_on_with_for_a_week_is_forgotten(tmp_path: Path) -> None:
    for key in ("old", "young"):
        with pytest.raises(ExchangeFailed):
            arrive(tmp_path, key, ExchangeFailed("url", 6, "reset"))
    long_ago = time.time() - KEPT_S - 60
    for path in (*(tmp_path / "old").iterdir(), tmp_path / "old"):
        os.utime(path, (long_ago, long_ago))
    arrive(tmp_path, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["young"]
