"""Certificates through the whole stage: what each fault of the simulator comes to, and what a demand makes of it."""

import pytest

from exchange_sim.faults import FAULTS
from services.bars.job import BarsJob
from services.download.domain import errors
from services.download.domain.suspicion import UNLIKE
from tests.services.download.runs import Stage, partitions
from tests.services.download.sources import T0, trade
from tests.services.download.test_job import NAMED, REPAIRED
from tickloom.contracts.bars import VERSION as BARS_VERSION
from tickloom.contracts.bars import BarsRequest
from tickloom.contracts.events import StageCall
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.lake import open_lake
from tickloom.settings import settings

GRADES = {
    "rows_duplicated": "B",
    "rows_shuffled": "B",
    "id_gap": "E",
    "sentinel_rows": "B",
    "voided_rows": "B",
    "foreign_rows": "C",
    "id_hole": "E",
    "day_cut_short": "F",
}
"""Of the faults that leave a trace; all others leave the grade that the data have without them."""
AS_IT_IS = {"compare": "none", "repair_requests": 0}
TWO = {"start": "2024-01-05", "end": "2024-01-06"} | AS_IT_IS


FAULTLESS = ("", "microseconds", "republished", "rows_changed", "day_missing")
"""The last two are told from other archives alone: see below, and test_repair.py."""


def test_every_fault_of_the_simulator_has_a_grade_or_is_an_error():
    graded = {fault.partition(",")[0] for fault in (*GRADES, *REPAIRED, *NAMED, *FAULTLESS)}
    assert graded - {""} == set(FAULTS)


@pytest.mark.parametrize("fault", [*FAULTLESS, *REPAIRED, "id_gap", "id_hole", "day_cut_short", "voided_rows"])
def test_every_fault_that_is_no_error_has_a_fitting_grade(stage, fault):
    run = stage.sim(f"fault={fault}" if fault else "", **AS_IT_IS)
    (certificate,) = stage.certificates(run)
    expected = GRADES.get(fault, "A")
    assert (certificate["symbol"], certificate["month"], certificate["grade"]) == ("BTCUSDT", "2024-01", expected)
    assert run.facts["certificates"]["BTCUSDT"]["grade"] == expected
    assert bool(certificate["reasons"]) == (expected != "A")
    assert set(GRADES).isdisjoint(NAMED)


def test_rows_that_were_changed_are_found_by_the_official_bars(stage):
    month = {"start": "2024-02", "compare": "none", "quality": {"klines": True}}
    run = stage.sim("fault=rows_changed,fault_on=aggTrades-2024-02.zip", **month)
    (certificate,) = stage.certificates(run)
    (check,) = (check for check in certificate["checks"] if check["name"] == "klines")
    assert (certificate["grade"], check["grade"]) == ("D", "D")
    assert set(certificate["klines"]["largest"]) <= {"volume", "notional", "buy_volume", "buy_notional"}


def test_days_that_differ_from_the_official_bars_are_put_right_from_their_daily_archives(stage):
    clean = stage.sim(start="2024-02")
    run = stage.sim("fault=rows_changed,fault_on=aggTrades-2024-02.zip", start="2024-02", quality={"klines": True})
    assert partitions(run) == partitions(clean)
    account = run.facts["corrections"]["BTCUSDT"]
    assert {(one["by"], one["why"]) for one in account} == {("daily", UNLIKE)}
    assert run.facts["quality"]["corrected_days"] == len(account) == 29
    (certificate,) = stage.certificates(run)
    grades = {check["name"]: check["grade"] for check in certificate["checks"]}
    assert (grades["klines"], grades["corrections"], certificate["grade"]) == ("A", "B", "B")
    assert all(f"aggTrades-2024-02-{day:02}.zip" in str(run.facts["archives"]) for day in (1, 29))


def test_monthly_klines_that_are_wrong_are_held_against_the_daily_ones_before_a_month_is_blamed(stage):
    run = stage.sim("fault=rows_changed,fault_on=BTCUSDT-1m-2024-02.zip", start="2024-02", quality={"klines": True})
    (certificate,) = stage.certificates(run)
    assert certificate["grade"] == "A"
    assert run.facts["corrections"] == {"BTCUSDT": []}
    assert "BTCUSDT-1m-2024-02-29.zip" in str(run.facts["archives"])


def test_a_day_that_a_month_lacks_and_the_daily_archive_has_costs_nothing(stage):
    run = stage.sim("fault=day_missing,fault_on=aggTrades-2024-02.zip", start="2024-02")
    (certificate,) = stage.certificates(run)
    (check,) = (check for check in certificate["checks"] if check["name"] == "corrections")
    assert (certificate["grade"], check["numbers"]["days"]) == ("A", 1)


def test_a_missing_day_costs_the_month_its_grade(stage):
    run = stage.sim("fault=not_found,fault_on=2024-01-06", start="2024-01-05", end="2024-01-07", **AS_IT_IS)
    (certificate,) = stage.certificates(run)
    assert (certificate["grade"], certificate["days"]["2024-01-06"]["grade"]) == ("F", "F")
    assert certificate["reasons"] == ["1 day of 3 missing: 2024-01-06, and 214 ids with it."]


def test_a_month_and_its_days_have_the_same_grades_by_day(stage):
    month = stage.sim(start="2024-02")
    days = stage.sim("fault=not_found,fault_on=aggTrades-2024-02.zip", start="2024-02")
    assert [c["days"] for c in stage.certificates(month)] == [c["days"] for c in stage.certificates(days)]


def test_every_symbol_and_month_has_a_certificate(stage):
    run = stage.sim(symbols=["BTCUSDT", "ETHUSDT"], start="2024-01-30", end="2024-02-02")
    names = [(certificate["symbol"], certificate["month"]) for certificate in stage.certificates(run)]
    assert names == [(symbol, month) for symbol in ("BTCUSDT", "ETHUSDT") for month in ("2024-01", "2024-02")]


def test_stop_is_a_named_error_and_leaves_no_artifact(stage):
    rule = {"minimum": "B", "on_failure": "stop", "klines": False}
    with pytest.raises(errors.QualityTooLow, match=r"BTCUSDT 2024-01 has grade D: \d ids are missing"):
        stage.sim("fault=id_gap,fault_on=2024-01-06", **TWO, quality=rule)
    assert partitions(stage.sim(**TWO, quality=rule))


def test_warn_goes_on_and_tells(stage):
    rule = {"minimum": "B", "on_failure": "warn", "klines": False}
    run = stage.sim("fault=id_gap,fault_on=2024-01-06", **TWO, quality=rule)
    assert len(partitions(run)) == 2
    assert any("BTCUSDT 2024-01 have grade" in text for text in stage.told[-1].warnings)


def certificate_rows(stage, run):
    return sum(certificate["rows"] for certificate in stage.certificates(run))


def test_drop_day_leaves_the_bad_day_out_and_says_so(stage):
    rule = {"minimum": "B", "on_failure": "drop_day", "klines": False}
    run = stage.sim("fault=id_gap,fault_on=2024-01-06", start="2024-01-05", end="2024-01-07", quality=rule, **AS_IT_IS)
    assert list(partitions(run)) == ["BTCUSDT/2024-01-05.parquet", "BTCUSDT/2024-01-07.parquet"]
    assert run.facts["quality"]["left_out_days"] == {"BTCUSDT": ["2024-01-06"]}
    assert run.facts["symbols"]["BTCUSDT"]["partitions"] == 2
    assert run.facts["quality"]["rows"] == run.facts["symbols"]["BTCUSDT"]["rows"] == certificate_rows(stage, run)
    (certificate,) = stage.certificates(run)
    assert (certificate["grade"], certificate["grade_as_found"]) == ("A", "D")
    assert certificate["left_out_days"] == ["2024-01-06"]


def test_bars_of_data_with_a_day_left_out_have_a_gap_there(stage):
    rule = {"minimum": "B", "on_failure": "drop_day", "klines": False}
    ask = {"start": "2024-01-05", "end": "2024-01-07", "quality": rule} | AS_IT_IS
    source = stage.sim("fault=id_gap,fault_on=2024-01-06", **ask)
    request = BarsRequest.model_validate({"spec": {"kind": "time", "interval": "1h"}}).canonical()
    call = StageCall(
        artifact_id=artifact_id("bars", BARS_VERSION, request, [source.id]), request=request, inputs=(source.id,)
    )
    bars = BarsJob().run(call, Report())
    days = {entry.name[8:18] for entry in bars.under("BTCUSDT/") if entry.rows}
    assert "2024-01-06" not in days
    assert days >= {"2024-01-05", "2024-01-07"}
    assert bars.facts["quality"]["left_out_days"] == {"BTCUSDT": ["2024-01-06"]}


def hours(source):
    """Return when the hourly bars of an artifact close, as hours of its day, and the rows of its last trades' bar."""
    request = BarsRequest.model_validate({"spec": {"kind": "time", "interval": "1h"}}).canonical()
    call = StageCall(
        artifact_id=artifact_id("bars", BARS_VERSION, request, [source.id]), request=request, inputs=(source.id,)
    )
    bars = BarsJob().run(call, Report())
    (entry,) = (entry for entry in bars.under("BTCUSDT/") if entry.rows)
    closes = open_lake().read_table(entry, ["ts_close"])["ts_close"].to_pylist()
    return [(close - T0 * 1000) // 3_600_000_000 for close in closes], bars.facts["symbols"]["BTCUSDT"]["partial"]


def test_a_last_day_that_was_cut_short_closes_no_bar_after_its_last_trade(stage):
    whole = stage.sim(quality={"klines": True}, **AS_IT_IS)
    cut = stage.sim("fault=day_cut_short,fault_on=aggTrades", quality={"klines": True}, **AS_IT_IS)
    closes, partial = hours(whole)
    fewer, left = hours(cut)
    last_trade = (cut.facts["symbols"]["BTCUSDT"]["last_ts"] - T0 * 1000) // 3_600_000_000
    assert (closes[-1], partial) == (24, None)
    assert fewer == [hour for hour in closes if hour <= last_trade]
    assert left["is_partial"]
    assert left["n_trades"] > 0


def test_drop_day_of_every_day_is_an_error(stage):
    rule = {"minimum": "B", "on_failure": "drop_day", "klines": False}
    with pytest.raises(errors.QualityTooLow):
        stage.sim("fault=id_gap", quality=rule, **AS_IT_IS)


def test_ids_that_the_exchange_has_no_trade_for_are_a_remark(stage):
    (certificate,) = stage.certificates(stage.sim("fault=id_hole"))
    (check,) = (check for check in certificate["checks"] if check["name"] == "ids")
    assert (certificate["grade"], check["numbers"]["missing"], check["numbers"]["unknown"] > 0) == ("B", 0, True)


def test_what_was_repaired_is_graded_as_it_is_since_and_the_repair_is_stated(stage):
    (certificate,) = stage.certificates(stage.sim("fault=id_gap"))
    (check,) = (check for check in certificate["checks"] if check["name"] == "corrections")
    assert certificate["grade"] == "A"
    assert (check["verdict"], check["numbers"]["days"], check["numbers"]["ids_left"]) == ("remark", 1, 0)
    assert "from the REST interface" in check["text"]


def test_each_record_has_the_facts_of_its_days(stage):
    run = stage.sim("fault=id_gap", **AS_IT_IS)
    record = stage.record(run)["days"]["2024-01-05"]
    entry = run.file("BTCUSDT/2024-01-05.parquet")
    assert (record["rows"], record["first_id"], record["last_id"]) == (
        *(entry.rows, entry.facts["first_id"], entry.facts["last_id"]),
    )
    assert record["ids_missing"] == run.facts["quality"]["ids_missing"] > 0
    assert len(record["minutes"]) == 240


def test_imported_trades_have_certificates_of_the_days_that_the_file_has(home, tmp_path, monkeypatch):
    folder = tmp_path / "imports"
    folder.mkdir()
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(folder))
    settings.cache_clear()
    (folder / "t.csv").write_text("".join(trade(i, T0 + i * 86_400_000) for i in (0, 1, 3)))
    stage = Stage()
    run = stage.run(venue="file", data_type="trades", files={"BTCUSDT": "t.csv"})
    (certificate,) = stage.certificates(run)
    assert (certificate["first_day"], certificate["last_day"]) == ("2024-01-05", "2024-01-08")
    assert list(certificate["days"]) == ["2024-01-07"]


def test_imported_klines_have_certificates_too(shared_data, home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(shared_data))
    settings.cache_clear()
    files = {"BTCUSDT": "klines/binance_spot/BTC_USDT-15m-2023.feather"}
    stage = Stage()
    run = stage.run(venue="file", data_type="klines", interval="15m", files=files)
    grades = {certificate["month"]: certificate["grade"] for certificate in stage.certificates(run)}
    assert (len(grades), grades["2023-01"], grades["2023-03"], grades["2023-12"]) == (12, "A", "C", "A")
    march = stage.certificates(run)[2]
    assert list(march["days"]) == ["2023-03-24"]  # the exchange stood still from 12:40 to 14:00
    assert march["reasons"] == ["5 bars of 2,976 missing, 0.17 %."]
