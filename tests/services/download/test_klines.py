"""Trades against the exchange's official 1-minute bars, through the whole stage."""

import pytest

from services.download.domain.errors import ExchangeFailed

COMPARE = {"quality": {"klines": True}}


def klines_check(stage, run):
    (certificate,) = stage.certificates(run)
    return certificate, next(check for check in certificate["checks"] if check["name"] == "klines")


@pytest.mark.parametrize("market", ["spot", "usdm"])
@pytest.mark.parametrize("data_type", ["aggTrades", "trades"])
def test_the_simulators_klines_equal_its_trades_in_every_minute(stage, market, data_type):
    run = stage.sim(market=market, data_type=data_type, **COMPARE)
    certificate, check = klines_check(stage, run)
    numbers = check["numbers"]
    assert numbers["compared"] == numbers["equal"] > 100
    assert (check["grade"], check["verdict"], certificate["grade"]) == ("A", "passed", "A")
    assert certificate["klines"]["largest"] == {}


def compared(stage, fault="", **fields):
    run = stage.sim(fault, **fields, **COMPARE)
    return klines_check(stage, run)[1]


def test_a_month_of_official_klines_and_its_days_say_the_same(stage):
    month = compared(stage, start="2024-02")
    days = compared(stage, "fault=not_found,fault_on=BTCUSDT-1m-2024-02.zip", start="2024-02")
    assert month == days
    assert month["numbers"]["equal"] == month["numbers"]["compared"] > 3_000


def test_t03_klines_that_the_exchange_does_not_have_are_no_fault(stage):
    check = compared(stage, "fault=not_found,fault_on=BTCUSDT-1m")
    assert (check["grade"], check["verdict"]) == ("A", "not checked")
    assert "the exchange has none of these days" in check["text"]


@pytest.mark.parametrize("fault", ["zip_truncated", "bad_row", "checksum_wrong", "checksum_missing", "empty_member"])
def test_t06_klines_that_cannot_be_used_are_no_fault_of_the_trades(stage, fault):
    check = compared(stage, f"fault={fault},fault_on=BTCUSDT-1m")
    assert (check["grade"], check["verdict"]) == ("A", "not checked")


def test_klines_without_a_day_leave_that_day_uncompared(stage):
    check = compared(stage, "fault=not_found,fault_on=BTCUSDT-1m-2024-01-06", start="2024-01-06", end="2024-01-07")
    assert check["numbers"]["equal"] == check["numbers"]["compared"] > 0


def test_t09_trades_that_lack_ids_differ_from_the_official_bars(stage):
    run = stage.sim("fault=id_gap,fault_on=aggTrades", repair_requests=0, **COMPARE)
    certificate, check = klines_check(stage, run)
    assert check["numbers"]["different"] + check["numbers"]["not_in_trades"] > 0
    assert check["grade"] > "A"
    assert certificate["klines"]["first"]
    assert certificate["klines"]["largest"]["volume"]["difference"].startswith("-")


def test_a_comparison_is_made_once_for_the_same_bytes(stage, monkeypatch):
    first = stage.sim(**COMPARE)
    monkeypatch.setattr("services.download.remote.read_pair", None)
    monkeypatch.setattr("services.download.job.map_unordered", inline)
    again = stage.sim(quality={"klines": True, "minimum": "F"})
    assert stage.certificates(again) == stage.certificates(first)


def inline(tasks, **_):
    for index, task in enumerate(tasks):
        yield index, task.function(*task.args)


def test_without_the_option_no_klines_are_asked_for(stage):
    run = stage.sim("fault=always_down,fault_on=BTCUSDT-1m")
    assert klines_check(stage, run)[1]["verdict"] == "not checked"


def test_an_exchange_that_fails_on_the_klines_fails_the_stage_for_that_may_pass(stage):
    with pytest.raises(ExchangeFailed):
        stage.sim("fault=always_down,fault_on=BTCUSDT-1m", **COMPARE)


def test_progress_counts_the_comparisons_too(stage):
    stage.sim(symbols=["BTCUSDT", "ETHUSDT"], start="2024-01-31", end="2024-02-01", **COMPARE)
    assert [(told.done, told.total) for told in stage.told][-1] == (8, 8)
