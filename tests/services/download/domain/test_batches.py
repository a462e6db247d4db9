"""Archives by call: in order, none left out, none twice, and no call with much more than its share."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.domain.archives import Archive
from services.download.domain.batches import FULL, MOST, batches, work_of


def daily(day: int, interval: str = "") -> Archive:
    first = date.fromordinal(date(2023, 1, 1).toordinal() + day)
    return Archive("spot", "klines" if interval else "aggTrades", interval, "BTCUSDT", first, False)


def monthly(month: int, interval: str = "") -> Archive:
    first = date(2015 + month // 12, month % 12 + 1, 1)
    return Archive("spot", "klines" if interval else "aggTrades", interval, "BTCUSDT", first, True)


ARCHIVE = st.one_of(
    st.builds(daily, st.integers(0, 900), st.sampled_from(["", "1m", "1h"])),
    st.builds(monthly, st.integers(0, 100), st.sampled_from(["", "1m", "1d"])),
)


@given(st.lists(ARCHIVE, max_size=200), st.integers(1, 64))
def test_every_archive_is_in_one_call_and_no_call_has_more_than_its_share(archives, n_workers):
    calls = batches(archives, n_workers)
    assert [archive for call in calls for archive in call] == archives
    share = min(FULL, sum(map(work_of, archives)) / (4 * n_workers))
    for call in calls:
        assert 0 < len(call) <= MOST
        assert len(call) == 1 or sum(map(work_of, call)) <= share * 1.001


@pytest.mark.parametrize(
    ("archives", "n_workers", "sizes"),
    [
        ([monthly(n) for n in range(12)], 2, [1] * 12),  # large ones go alone
        ([daily(n) for n in range(8)], 2, [1] * 8),  # few ones keep every worker busy
        ([daily(n) for n in range(31)], 2, [3] * 10 + [1]),
        ([daily(n) for n in range(365)], 2, [8] * 45 + [5]),
        ([monthly(n, "1m") for n in range(120)], 2, [15, 15, 14, 15, 15, 14, 14, 14, 4]),  # ten years of minutes
        ([daily(n, "1h") for n in range(100)], 1, [25] * 4),
        ([], 2, []),
    ],
)
def test_small_archives_share_a_call_and_large_ones_do_not(archives, n_workers, sizes):
    assert [len(call) for call in batches(archives, n_workers)] == sizes
