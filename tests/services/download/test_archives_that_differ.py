"""T08: archives of one symbol that do not agree: nothing that one of them has is lost, and nothing is counted twice."""

import json
from datetime import date

import pytest
import uvicorn

from exchange_sim.app import create_app
from exchange_sim.config import SimSettings
from services.download.domain.errors import IdOnTwoDays
from services.download.domain.series import NO_ROWS
from services.download.domain.suspicion import MISSING_BAR
from tests.naive import download as naive
from tests.services.download.runs import Stage, partitions
from tests.services.download.sources import T0, checksum, zipped
from tests.services.serving import served
from tickloom.contracts.download import CERTIFICATES
from tickloom.settings import settings

MONTH, DAY = "BTCUSDT-aggTrades-2024-01", "BTCUSDT-aggTrades-2024-01-05"
A_DAY = 86_400_000


class Published(Stage):
    """The stage, and an exchange that serves what a test publishes."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def publish(self, name, rows):
        data = zipped({f"{name}.csv": "".join(rows).encode()})
        (self.folder / f"{name}.zip").write_bytes(data)
        (self.folder / f"{name}.zip.CHECKSUM").write_text(checksum(data, f"{name}.zip"))

    def own(self, **fields):
        whole = {"symbols": ["BTCUSDT"], "start_date": "2024-01", "end_date": "2024-01", "repair_requests": 0}
        return self.run(venue="sim", dataset="own", **(whole | {"quality": {"klines": False}} | fields))

    def check(self, run, name):
        certificate = json.loads(self.lake.read_bytes(run.file(CERTIFICATES)))[0]
        return next(one for one in certificate["checks"] if one["name"] == name)

    def rows(self, run, day="2024-01-05"):
        return self.lake.read_table(run.file(f"BTCUSDT/{day}.parquet")).to_pydict()


@pytest.fixture
def published(home, tmp_path, monkeypatch):
    folder = tmp_path / "own"
    (folder / "spot").mkdir(parents=True)
    sim = SimSettings(tmp_path / "sim", {"own": folder}, quiet=True, today=lambda: date(2024, 3, 10))
    with served(uvicorn.Config(create_app(sim), log_level="warning", lifespan="off")) as address:
        monkeypatch.setenv("TICKLOOM_SIM_URL", address)
        settings.cache_clear()
        yield Published(folder / "spot")


def trades(n=2000, **changed):
    """Return aggregate trades of one day by id; `changed` quantities by `i<id>`."""
    return {
        i: f"{i},100.5,{changed.get(f'i{i}', '0.25')},{i},{i},{T0 + 40_000 * i},True,True\n" for i in range(1, n + 1)
    }


def swapped(rows):
    """Return rows with two of them out of order: a reason to look at the daily archive."""
    rows = list(rows)
    rows[10], rows[11] = rows[11], rows[10]
    return rows


def test_a_daily_archive_that_lacks_rows_takes_none_from_a_whole_month(published):
    whole = trades()
    published.publish(MONTH, swapped(whole.values()))
    published.publish(DAY, [row for i, row in whole.items() if not 700 < i <= 1200])
    run = published.own()
    assert published.rows(run)["trade_id"] == list(whole)
    (one,) = run.facts["corrections"]["BTCUSDT"]
    assert (one["by"], one["rows_before"], one["rows_after"]) == ("daily", 2000, 2000)
    assert (one["only_monthly"], one["only_daily"], one["differs"], one["ids_missing"]) == (500, 0, 0, 0)
    assert published.check(run, "ids")["grade"] == "A"
    text = published.check(run, "corrections")["text"]
    assert "contradict each other on 2024-01-05: 500 ids are in the monthly archives alone, and kept." in text


def test_each_archive_gives_what_the_other_lacks_and_the_daily_one_counts_where_rows_differ(published):
    monthly = {i: row for i, row in trades(i7="0.5").items() if i > 5}
    daily = {i: row for i, row in trades(i8="0.75").items() if i <= 1990}
    published.publish(MONTH, swapped(monthly.values()))
    published.publish(DAY, daily.values())
    run = published.own()
    found, expected = published.rows(run), naive.united(monthly, daily)
    assert found["trade_id"] == sorted(expected)
    assert [str(q) for q in found["quantity"][:9]] == ["0.25"] * 7 + ["0.75", "0.25"]
    (one,) = run.facts["corrections"]["BTCUSDT"]
    assert (one["only_monthly"], one["only_daily"], one["differs"], one["ids_filled"]) == (10, 5, 2, 5)
    assert (one["rows_before"], one["rows_after"]) == (1995, 2000)
    text = published.check(run, "corrections")["text"]
    assert "2 rows differ, and the daily archives' count; 10 ids are in the monthly archives alone, and kept." in text
    assert published.check(run, "duplicates")["grade"] == "A"


def void(i):
    return f"{i},0.00000000,0.00000000,-1,-1,{T0 + 40_000 * i},True,True\n"


def test_a_trade_that_the_daily_archive_voids_is_not_taken_from_the_month(published):
    whole = trades()
    published.publish(MONTH, swapped(whole.values()))
    published.publish(DAY, [void(i) if i in (7, 8, 900) else row for i, row in whole.items() if i != 50])
    run = published.own()
    assert published.rows(run)["trade_id"] == [i for i in whole if i not in (7, 8, 900)]
    (one,) = run.facts["corrections"]["BTCUSDT"]
    assert (one["only_monthly"], one["only_daily"], one["differs"], one["ids_missing"]) == (1, 0, 3, 0)
    assert published.check(run, "ids")["grade"] == "A"
    assert run.facts["quality"]["ids_missing"] == 0


NEXT = "BTCUSDT-aggTrades-2024-01-06"
BOTH_DAYS = {"start_date": "2024-01-05", "end_date": "2024-01-06"}


def next_day(*ids):
    return [f"{i},100.5,0.25,{i},{i},{T0 + A_DAY + i},True,True\n" for i in ids]


@pytest.mark.parametrize("ids", [(2000, 2001), (1990, 1995, 2001)])
def test_an_id_on_two_days_is_refused_though_each_archive_is_well_by_itself(published, ids):
    """ZILBTC, 2021-02-28 and 2021-03-01: https://github.com/binance/binance-public-data/issues/353."""
    published.publish(DAY, trades().values())
    published.publish(NEXT, next_day(*ids))
    with pytest.raises(IdOnTwoDays, match=f"2024-01-05 and 2024-01-06 both have a trade of id {ids[0]}"):
        published.own(**BOTH_DAYS)
    assert published.own(**BOTH_DAYS | {"end_date": "2024-01-05"}).facts["quality"]["rows"] == 2000


def test_ids_that_lie_among_those_of_another_day_are_no_error(published):
    published.publish(DAY, [row for i, row in trades().items() if i != 1990])
    published.publish(NEXT, next_day(1990, 2001))
    assert published.own(**BOTH_DAYS).facts["quality"]["rows"] == 2001


def test_a_row_that_two_archives_have_is_stored_once_and_told(published):
    whole = trades()
    published.publish(DAY, whole.values())
    published.publish(NEXT, [whole[2000], *next_day(2001)])
    run = published.own(**BOTH_DAYS)
    assert run.facts["quality"]["rows"] == 2001
    assert published.check(run, "foreign_rows")["numbers"]["dropped"] == 1


KLINES, KLINE_DAYS = "BTCUSDT-1m-2024-01", "BTCUSDT-1m-2024-01-{:02}"


def bars(day, **volumes):
    """Return the 1-minute bars of a day of January by minute; `volumes` by `m<minute>`."""
    midnight = T0 + (day - 5) * A_DAY
    return {
        m: f"{midnight + 60_000 * m},100,101,99,100.5,{volumes.get(f'm{m}', 2)},{midnight + 60_000 * m + 59_999},"
        "201,3,1,100.5,0\n"
        for m in range(1440)
    }


def klines(published, month, dailies, **fields):
    published.publish(KLINES, [row for day in month for row in day])
    for day, rows in dailies.items():
        published.publish(KLINE_DAYS.format(day), rows)
    return published.own(data_type="klines", interval="1m", **fields)


def volumes(published, run, day):
    (entry,) = [entry for entry in run.under("BTCUSDT/") if entry.rows]
    found = published.lake.read_table(entry).to_pydict()
    midnight = (T0 + (day - 5) * A_DAY) * 1000
    return {
        (ts - midnight) // 60_000_000: str(volume)
        for ts, volume in zip(found["ts_open"], found["volume"], strict=True)
        if midnight <= ts < midnight + A_DAY * 1000
    }


def test_bars_that_a_month_lacks_come_from_the_daily_archive_and_those_that_differ_too(published):
    month = [bar for m, bar in bars(5, m7=3).items() if not 100 <= m < 160]
    daily = {m: bar for m, bar in bars(5).items() if m != 1000}
    run = klines(published, [bars(4).values(), month, bars(6).values()], {5: daily.values()})
    expected = naive.united({m: "3" if m == 7 else "2" for m in range(1440)}, dict.fromkeys(daily, "2"))
    assert volumes(published, run, 5) == expected
    (one,) = run.facts["corrections"]["BTCUSDT"]
    assert (one["day"], one["by"], one["why"]) == ("2024-01-05", "daily", MISSING_BAR)
    assert (one["rows_before"], one["rows_after"], one["ids_filled"]) == (1380, 1440, 60)
    assert (one["only_monthly"], one["only_daily"], one["differs"]) == (1, 60, 1)
    quality = run.facts["quality"]
    assert (quality["rows"], quality["time_gaps"], quality["compared_days"], quality["sources"]) == (4320, 0, 1, 2)
    assert published.check(run, "bars")["numbers"]["missing"] == 0
    check = published.check(run, "corrections")
    assert check["grade"] == "B"
    assert "60 bars filled in. The sources contradict each other on 2024-01-05: 1 row differs" in check["text"]


@pytest.mark.parametrize(("compare", "volume"), [("suspicious", "3"), ("none", "3"), ("all", "2")])
def test_bars_that_differ_without_a_trace_are_found_when_all_days_are_compared(published, compare, volume):
    days = {day: bars(day).values() for day in (4, 5, 6)}
    month = [bars(4).values(), bars(5, m7=3).values(), bars(6).values()]
    run = klines(published, month, days, compare=compare)
    assert volumes(published, run, 5)[7] == volume
    assert run.facts["quality"]["compared_days"] == (3 if compare == "all" else 0)
    assert bool(run.facts["corrections"]["BTCUSDT"]) == (compare == "all")


def test_a_month_of_klines_put_right_has_the_bytes_of_one_that_was_never_wrong(published):
    days = {day: bars(day).values() for day in (4, 5, 6)}
    clean = klines(published, days.values(), {})
    wrong = klines(published, [bars(4).values(), list(bars(5).values())[:-9], bars(6).values()], days, edition=1)
    assert partitions(wrong) == partitions(clean)


def test_a_day_of_klines_that_a_month_lacks_is_told(published):
    run = klines(published, [bars(4).values(), bars(6).values()], {5: bars(5).values()})
    (one,) = run.facts["corrections"]["BTCUSDT"]
    assert (one["day"], one["why"], one["ids_filled"]) == ("2024-01-05", NO_ROWS, 1440)
    assert run.facts["quality"]["repaired_days"] == {"BTCUSDT": ["2024-01-05"]}
    assert run.facts["quality"]["rows"] == 4320
