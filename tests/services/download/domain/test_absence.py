"""Why an exchange has no archive: not yet, no longer, or never; a time to try again is never in the past."""

from datetime import UTC, date, datetime

import pytest

from services.download.domain.absence import absence
from services.download.domain.archives import Archive
from services.download.domain.errors import NoSuchArchive, NotPublished

NOW = datetime(2024, 3, 10, 9, tzinfo=UTC)


def daily(day: str, symbol: str = "BTCUSDT") -> Archive:
    return Archive("spot", "trades", "", symbol, date.fromisoformat(day), False)


@pytest.mark.parametrize(
    ("day", "retry_at"),
    [
        ("2024-03-31", "2024-04-02T00:00:00Z"),  # not over yet
        ("2024-03-10", "2024-03-12T00:00:00Z"),
        ("2024-03-09", "2024-03-11T00:00:00Z"),  # over, and not due yet
        ("2024-03-08", "2024-03-11T00:00:00Z"),  # due since this morning: the exchange is late
        ("2024-03-02", "2024-03-11T00:00:00Z"),  # late by six days
    ],
)
def test_an_archive_that_may_still_come_is_not_published_yet(day: str, retry_at: str) -> None:
    missing, before = daily(day), daily("2024-02-01")
    for asked in ({missing: None}, {missing: None, before: True}):
        error = absence(missing, asked, NOW)
        assert isinstance(error, NotPublished)
        problem = error.problem()
        assert problem["retry_at"] == retry_at
        assert f"try again at {retry_at}" in problem["detail"]


def test_an_archive_that_is_overdue_was_never_there_or_is_gone() -> None:
    missing, last = daily("2024-03-01"), daily("2024-02-01")
    error = absence(missing, {missing: None, daily("2024-01-31"): True, last: True}, NOW)
    assert isinstance(error, NoSuchArchive)
    assert str(error).endswith(
        "no archive BTCUSDT-trades-2024-03-01, the last of BTCUSDT that was found is of 2024-02-01"
    )
    assert "retry_at" not in error.problem()
    assert "check the symbol" in error.problem()["next"]


@pytest.mark.parametrize("day", ["2024-03-31", "2024-03-08", "2024-03-01"])
def test_a_symbol_of_which_nothing_is_there_is_said_to_have_nothing(day: str) -> None:
    missing, other = daily(day, "BTCUSTD"), daily("2024-01-01", "ETHUSDT")
    error = absence(missing, {missing: None, daily("2024-01-01", "BTCUSTD"): None, other: True}, NOW)
    assert isinstance(error, NoSuchArchive)
    assert "none of BTCUSTD on all the days asked for" in str(error)


def test_a_single_overdue_day_is_a_symbol_of_which_nothing_is_there() -> None:
    missing = daily("2019-10-12")
    assert isinstance(absence(missing, {missing: None}, NOW), NoSuchArchive)
