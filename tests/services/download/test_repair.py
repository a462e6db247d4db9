"""T08, T09: what a monthly archive lacks comes from the daily ones, what both lack from REST, and all of it is said."""

import json

import pytest

from services.download import job, remote
from services.download.domain import errors
from services.download.domain.corrections import NO_BUDGET, NO_REQUESTS, UNKNOWN
from services.download.domain.history import NEEDS_KEY
from services.download.domain.series import NO_ROWS
from services.download.domain.suspicion import MISSING_AROUND, MISSING_ID
from tests.services.download.runs import partitions
from tickloom.contracts.download import CERTIFICATES
from tickloom.lake import open_lake
from tickloom.settings import settings

MONTH = "fault_on=s-2024-02.zip"  # the monthly archives of any kind of trades
ARCHIVES = "fault_on=-2024"  # all archives, and not REST
KINDS = [("spot", "aggTrades"), ("spot", "trades"), ("usdm", "aggTrades"), ("coinm", "aggTrades")]
SYMBOLS = {"spot": "BTCUSDT", "usdm": "BTCUSDT", "coinm": "BTCUSD_PERP"}


def account(run, by, symbol="BTCUSDT"):
    return [one for one in run.facts["corrections"][symbol] if one["by"] == by]


def block(rows):
    return max(1, rows // 50)


def rows_of(run):
    return {name: run.file(name).rows for name in partitions(run)}


def check(run, name):
    """Return a check of the certificate of the first symbol's first month."""
    certificate = json.loads(open_lake().read_bytes(run.file(CERTIFICATES)))[0]
    return next(one for one in certificate["checks"] if one["name"] == name)


UNUSABLE = ["bad_row", "wrong_columns", "zip_truncated", "bit_flip", "zip_bomb", "checksum_wrong", "checksum_missing"]


@pytest.mark.parametrize("fault", UNUSABLE)
def test_the_daily_archives_stand_in_for_a_monthly_one_that_cannot_be_used(stage, fault):
    clean, run = stage.sim(start="2024-02"), stage.sim(f"fault={fault},{MONTH}", start="2024-02")
    assert partitions(run) == partitions(clean)
    ((name, code),) = run.facts["quality"]["unusable_archives"].items()
    assert name == "BTCUSDT-aggTrades-2024-02.zip"
    (warning,) = [text for text in stage.told[-1].warnings if "cannot be used" in text]
    assert warning.startswith(f"{name} cannot be used, its daily archives count instead: ")
    found = account(run, "daily")
    assert [one["day"] for one in found] == [f"2024-02-{day:02}" for day in range(1, 30)]
    assert {one["why"] for one in found} == {f"the monthly archive cannot be used ({code})"}
    assert check(run, "corrections")["text"].startswith("29 days corrected from daily archives")
    assert run.facts["quality"]["ids_missing"] == 0
    assert run.facts["quality"]["repaired_days"] == {}  # the month does not lack them
    assert [path for path in run.facts["archives"] if "monthly" in path] == []


def test_klines_of_a_month_that_cannot_be_used_are_those_of_its_days(stage):
    kind = {"start": "2024-02", "data_type": "klines", "interval": "15m"}
    clean, run = stage.sim(**kind), stage.sim("fault=bad_row,fault_on=m-2024-02.zip", **kind)
    assert sum(rows_of(run).values()) == sum(rows_of(clean).values()) == 29 * 96
    assert run.facts["quality"]["unusable_archives"] == {"BTCUSDT-15m-2024-02.zip": "bad-row"}


@pytest.mark.parametrize("start", ["2024-02", "2024-03"])
def test_a_monthly_archive_that_cannot_be_used_is_an_error_where_days_are_missing(stage, monkeypatch, start):
    """February lacks one of its days, and March all from today on."""
    fetch = remote._fetch_archive

    def fetch_archive(lake, exchange, fetcher, archive, *rest):
        if archive.monthly:
            raise errors.BadArchive(archive.stem, "it is damaged")
        return None if archive.first.day == 7 else fetch(lake, exchange, fetcher, archive, *rest)

    monkeypatch.setattr(remote, "_fetch_archive", fetch_archive)
    monkeypatch.setattr(job, "map_unordered", _here)
    with pytest.raises(errors.BadArchive, match=f"BTCUSDT-aggTrades-{start}: it is damaged"):
        stage.sim(start=start)


def _here(tasks, **_):
    yield from ((n, task.function(*task.args)) for n, task in enumerate(tasks))


def test_a_redirect_of_a_monthly_archive_is_no_reason_to_ask_for_the_days(stage):
    with pytest.raises(errors.RedirectRefused):
        stage.sim(f"fault=redirect,{MONTH}", start="2024-02")


def test_clean_archives_need_no_corrections(stage):
    run = stage.sim(start="2024-02")
    assert run.facts["corrections"] == {"BTCUSDT": []}
    quality = run.facts["quality"]
    assert (quality["ids_missing"], quality["id_gaps"], quality["corrected_days"]) == (0, 0, 0)
    assert quality["rows"] == sum(rows_of(run).values())


@pytest.mark.parametrize(("market", "data_type"), [("spot", "aggTrades"), ("usdm", "trades")])
def test_ids_that_a_month_lacks_come_from_the_daily_archives(stage, market, data_type):
    kind = {"start": "2024-02", "market": market, "data_type": data_type}
    clean, run = stage.sim(**kind), stage.sim(f"fault=id_gap,{MONTH}", **kind)
    assert partitions(run) == partitions(clean)
    rows, found = rows_of(clean), account(run, "daily")
    assert [one["day"] for one in found] == [f"2024-02-{day:02}" for day in range(1, 30)]
    for one in found:
        after = rows[f"BTCUSDT/{one['day']}.parquet"]
        assert (one["only_monthly"], one["only_daily"], one["differs"]) == (0, block(after), 0)
        assert (one["rows_before"], one["rows_after"]) == (after - block(after), after)
        assert (one["ids_filled"], one["ids_missing"], one["why"]) == (block(after), 0, MISSING_ID)
    assert account(run, "rest") == []
    quality = run.facts["quality"]
    assert (quality["sources"], quality["compared_days"], quality["corrected_days"]) == (30, 29, 29)
    assert quality["rows"] == clean.facts["quality"]["rows"]


@pytest.mark.parametrize(("market", "data_type"), KINDS)
def test_ids_that_all_archives_lack_come_from_rest(stage, market, data_type):
    symbol = SYMBOLS[market]
    kind = {"start": "2024-01-05", "end": "2024-01-06", "market": market, "data_type": data_type, "symbols": [symbol]}
    clean, run = stage.sim(**kind), stage.sim(f"fault=id_gap,{ARCHIVES}", **kind)
    assert partitions(run) == partitions(clean)
    found = account(run, "rest", symbol)
    assert len(found) == len(partitions(clean))
    for one in found:
        rows = clean.file(f"{symbol}/{one['day']}.parquet").rows
        assert (one["rows_before"], one["rows_after"]) == (rows - block(rows), rows)
        assert (one["ids_filled"], one["ids_missing"], one["ids_unknown"]) == (block(rows), 0, 0)
    assert check(run, "ids")["grade"] == check(run, "corrections")["grade"] == "A"
    assert "corrected from the REST interface" in check(run, "corrections")["text"]
    quality = run.facts["quality"]
    assert (quality["id_gaps"], quality["ids_missing"]) == (0, 0)
    assert quality["ids_filled"] == sum(one["ids_filled"] for one in found)


@pytest.mark.parametrize("market", ["usdm", "coinm"])
def test_old_trades_of_futures_need_a_key_and_stay_missing_with_that_reason(stage, market):
    kind = {"market": market, "data_type": "trades", "symbols": [SYMBOLS[market]]}
    run = stage.sim(f"fault=id_gap,{ARCHIVES}", **kind)
    (one,) = account(run, "rest", SYMBOLS[market])
    assert NEEDS_KEY in one["why"]
    assert one["rows_before"] == one["rows_after"]
    assert one["ids_missing"] == run.facts["quality"]["ids_missing"] > 0


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_ids_that_the_exchange_does_not_know_are_a_true_hole(stage, market):
    clean, run = stage.sim(market=market), stage.sim("fault=id_hole", market=market)
    (one,) = account(run, "rest")
    missing = clean.facts["quality"]["rows"] - run.facts["quality"]["rows"]
    assert (one["ids_filled"], one["ids_missing"], one["ids_unknown"]) == (0, missing, missing)
    assert one["why"] == f"{MISSING_ID}; {UNKNOWN}"
    numbers = check(run, "ids")["numbers"]  # no fault of the file: what nobody ever had is not missing from it
    assert (numbers["missing"], numbers["unknown"]) == (0, missing)
    quality = run.facts["quality"]
    assert (quality["id_gaps"], quality["ids_missing"], quality["ids_unknown"]) == (1, missing, missing)
    assert quality["corrected_days"] == 0


def test_a_difference_without_a_trace_is_found_when_all_days_are_compared(stage):
    clean = stage.sim(start="2024-02")
    unseen, seen = (stage.sim(f"fault=rows_changed,{MONTH}", start="2024-02", compare=c) for c in ("suspicious", "all"))
    assert partitions(unseen) != partitions(clean) == partitions(seen)
    assert unseen.facts["corrections"] == {"BTCUSDT": []}
    assert (check(unseen, "corrections")["grade"], check(seen, "corrections")["grade"]) == ("A", "B")
    found = account(seen, "daily")
    assert len(found) == 29
    for one in found:
        changed = block(one["rows_after"])
        assert (one["only_monthly"], one["only_daily"], one["differs"]) == (0, 0, changed)
        assert (one["ids_filled"], one["rows_before"]) == (0, one["rows_after"])


def test_equal_days_are_compared_and_leave_no_trace_but_the_count(stage):
    run = stage.sim(start="2024-02", compare="all")
    assert run.facts["quality"]["compared_days"] == 29
    assert run.facts["quality"]["sources"] == 1
    assert run.facts["corrections"] == {"BTCUSDT": []}
    assert partitions(run) == partitions(stage.sim(start="2024-02"))


def test_a_day_that_the_month_lacks_is_the_daily_archives(stage):
    clean, run = stage.sim(start="2024-02"), stage.sim(f"fault=day_missing,{MONTH}", start="2024-02", compare="none")
    assert partitions(run) == partitions(clean)
    (one,) = account(run, "daily")
    assert (one["day"], one["why"], one["rows_before"]) == ("2024-02-02", NO_ROWS, 0)
    assert one["ids_filled"] == one["rows_after"] == one["only_daily"]
    assert run.facts["quality"]["repaired_days"] == {"BTCUSDT": ["2024-02-02"]}


def test_a_day_without_any_archive_comes_from_rest(stage):
    span = {"start": "2024-01-05", "end": "2024-01-07"}
    clean, run = stage.sim(**span), stage.sim("fault=not_found,fault_on=2024-01-06", **span)
    assert partitions(run) == partitions(clean)
    (one,) = account(run, "rest")
    assert (one["day"], one["rows_before"], one["ids_missing"]) == ("2024-01-06", 0, 0)
    assert run.facts["quality"]["missing_days"] == {}
    assert check(run, "days")["numbers"]["missing"] == 0


def test_days_that_are_cut_short_are_found_by_the_ids_of_the_next_day(stage):
    clean = stage.sim(start="2024-02")
    monthly = stage.sim(f"fault=day_cut_short,{MONTH}", start="2024-02")
    assert partitions(monthly) == partitions(clean)
    assert all(MISSING_AROUND in one["why"] for one in account(monthly, "daily"))


def test_days_that_are_cut_short_everywhere_come_from_rest_but_for_the_last(stage):
    days = {"start": "2024-02-01", "end": "2024-02-03"}
    clean, run = stage.sim(**days), stage.sim(f"fault=day_cut_short,{ARCHIVES}", **days)
    *complete, last = partitions(clean)
    assert [partitions(run)[name] for name in complete] == [partitions(clean)[name] for name in complete]
    assert run.file(last).rows < clean.file(last).rows  # no id after it says that any is missing


def test_without_requests_missing_ids_stay_missing_and_are_counted(stage):
    clean, run = stage.sim(), stage.sim(f"fault=id_gap,{ARCHIVES}", repair_requests=0)
    (one,) = account(run, "rest")
    missing = clean.facts["quality"]["rows"] - run.facts["quality"]["rows"]
    assert (one["ids_missing"], one["why"]) == (missing, f"{MISSING_ID}; {NO_REQUESTS}")
    assert run.facts["quality"]["ids_missing"] == missing


def test_requests_are_bounded_and_what_is_left_is_said(stage):
    days = {"start": "2024-02-01", "end": "2024-02-20", "repair_requests": 1}
    run = stage.sim(f"fault=id_gap,{ARCHIVES}", **days)
    found = account(run, "rest")
    filled = [one for one in found if one["ids_filled"]]
    assert 0 < len(filled) < len(found) == 20  # one answer has 1,000 trades, and closes the gaps of a few days
    assert {one["why"] for one in found if not one["ids_filled"]} == {f"{MISSING_ID}; {NO_BUDGET}"}


def test_a_repaired_day_has_the_same_bytes_in_another_lake_with_other_workers(stage, tmp_path, monkeypatch):
    ask = {"start": "2024-02-01", "end": "2024-02-03", "symbols": ["BTCUSDT", "ETHUSDT"]}
    first = stage.sim("fault=id_gap", **ask)
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("TICKLOOM_CPUS", "1")
    settings.cache_clear()
    assert stage.sim("fault=id_gap", **ask) == first


def test_real_archives_are_whole_by_their_ids(stage, real_exchange, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", real_exchange)
    settings.cache_clear()
    ask = {"data_type": "trades", "start_date": "2024-07-23", "end_date": "2024-07-25"}
    run = stage.run(venue="sim", dataset="real", symbols=["NEXOUSDT"], **ask)
    assert run.facts["corrections"] == {"NEXOUSDT": []}


@pytest.mark.parametrize("days", [{"start": "2024-01-05", "end": "2024-01-07"}, {"start": "2024-02"}])
def test_ids_of_void_rows_are_not_missing_and_nobody_is_asked_for_them(stage, exchange, monkeypatch, days):
    monkeypatch.setenv("TICKLOOM_SIM_URL", exchange.address)
    settings.cache_clear()
    clean, run = stage.sim(**days), stage.sim("fault=voided_rows", **days)
    n_void = 3 * len(partitions(clean))
    assert rows_of(run) == {name: rows - 3 for name, rows in rows_of(clean).items()}
    assert run.facts["corrections"] == {"BTCUSDT": []}
    quality = run.facts["quality"]
    assert (quality["id_gaps"], quality["ids_missing"], quality["compared_days"]) == (0, 0, 0)
    assert quality["dropped"]["sentinel"] == check(run, "sentinels")["numbers"]["dropped"] == n_void
    assert check(run, "ids")["text"] == "The ids run on without a gap."
    assert check(run, "silences")["numbers"]["silent_minutes"] == check(clean, "silences")["numbers"]["silent_minutes"]
    assert not [path for _, path, _ in exchange.asked if "/api/" in path]
