"""The stage against a real server: every fault of the simulator ends in a named error or in the same partitions."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.reduction import ForkingPickler

import httpx
import pytest

from services.download import job, remote
from services.download.adapters.fetch import Fetcher
from services.download.adapters.tally import Tally
from services.download.domain import errors
from services.download.domain.absence import absence
from services.download.domain.archives import plan
from services.download.job import DownloadJob
from tests.services.download.runs import PATIENCE, SMALL, call_of, partitions
from tickloom.contracts.download import DownloadRequest
from tickloom.errors import LakeUnavailable, StageCancelled
from tickloom.http import Report
from tickloom.limiter import Limiter
from tickloom.settings import settings

REQUEST = {"venue": "sim", "symbols": ["BTCUSDT"], "start_date": "2024-01-05", "end_date": "2024-01-05"}
SOURCE = {"venue": "sim", "dataset": SMALL}
REPAIRED = {
    "rows_duplicated": lambda q: q["dropped"]["duplicate"] > 0,
    "rows_shuffled": lambda q: q["out_of_order"] > 0,
    "sentinel_rows": lambda q: q["dropped"]["sentinel"] == 3,
    "foreign_rows": lambda q: q["dropped"]["other_day"] == 3,
    "milliseconds": lambda q: q["verified"] == 1,
    "header_present": lambda q: q["verified"] == 1,
    "header_absent": lambda q: q["verified"] == 1,
    "crlf": lambda q: q["verified"] == 1,
    "bom": lambda q: q["verified"] == 1,
    "rate_limited,retry_after=0": lambda q: q["verified"] == 1,
    "server_error": lambda q: q["verified"] == 1,
    "stall": lambda q: q["verified"] == 1,
    "slow": lambda q: q["verified"] == 1,
    "cut_off": lambda q: q["verified"] == 1,
}
REPAIRED_ELSEWHERE = {"id_gap", "id_hole", "rows_changed", "day_missing", "day_cut_short", "voided_rows"}
"""In test_repair.py."""
NAMED = {
    "bad_row": errors.BadRow,
    "wrong_columns": errors.BadRow,
    "empty_member": errors.NothingThere,
    "zip_truncated": errors.BadArchive,
    "bit_flip": errors.BadArchive,
    "trailing_junk": errors.BadArchive,
    "stray_member": errors.BadArchive,
    "traversal_member": errors.BadArchive,
    "zip_bomb": errors.ZipBomb,
    "checksum_wrong": errors.ChecksumMismatch,
    "checksum_other": errors.ChecksumUnusable,
    "checksum_missing": errors.ChecksumUnusable,
    "not_found": errors.NoSuchArchive,
    "banned": errors.ExchangeBanned,
    "always_down": errors.ExchangeFailed,
    "redirect": errors.RedirectRefused,
}
BRIEFLY = {"banned": ",retry_after=0"}  # all tests ask one host


def test_every_fault_of_the_simulator_is_in_these_tests():
    from exchange_sim.faults import FAULTS

    elsewhere = {"microseconds", "republished", *REPAIRED_ELSEWHERE}
    assert set(FAULTS) == {name.partition(",")[0] for name in REPAIRED} | set(NAMED) | elsewhere


@pytest.mark.parametrize("fault", REPAIRED)
def test_a_fault_that_can_be_repaired_leaves_the_same_partitions_and_is_reported(stage, fault):
    clean, faulty = stage.sim(), stage.sim(f"fault={fault}")
    assert partitions(faulty) == partitions(clean)
    assert REPAIRED[fault](faulty.facts["quality"])


@pytest.mark.parametrize("fault", NAMED)
def test_a_fault_that_cannot_be_repaired_is_a_named_error_and_leaves_no_artifact(stage, fault):
    with pytest.raises(NAMED[fault]) as failed:
        stage.sim(f"fault={fault}{BRIEFLY.get(fault, '')}")
    assert type(failed.value) is NAMED[fault]
    assert failed.value.problem()["next"]
    assert (
        stage.lake.find(
            call_of(
                venue="sim",
                symbols=["BTCUSDT"],
                start_date="2024-01-05",
                end_date="2024-01-05",
                dataset=f"seed=7,trades_per_day=400,fault={fault}{BRIEFLY.get(fault, '')}",
            ).artifact_id
        )
        is None
    )


def test_t07_microseconds_are_kept_where_milliseconds_are_all_that_others_have(stage):
    tables = [
        stage.lake.read_table(run.file("BTCUSDT/2024-01-05.parquet")).to_pydict()
        for run in (stage.sim(), stage.sim("fault=microseconds"))
    ]
    fine = tables[1].pop("ts")
    assert tables[0].pop("ts") == [ts - ts % 1000 for ts in fine]
    assert any(ts % 1000 for ts in fine)
    assert tables[0] == tables[1]


@pytest.mark.parametrize("data_type", ["trades", "klines"])
@pytest.mark.parametrize("fault", ["bad_row", "rows_shuffled", "header_present"])
def test_faults_of_other_kinds_of_archives_end_the_same_way(stage, data_type, fault):
    fields = {"data_type": data_type, "interval": "15m" if data_type == "klines" else None}
    clean = stage.sim(**fields)
    if fault in NAMED:
        with pytest.raises(NAMED[fault]):
            stage.sim(f"fault={fault}", **fields)
    else:
        assert partitions(stage.sim(f"fault={fault}", **fields)) == partitions(clean)


def test_a_month_and_its_days_give_the_same_bytes(stage):
    month = stage.sim(start="2024-02")
    days = stage.sim("fault=not_found,fault_on=aggTrades-2024-02.zip", start="2024-02")
    assert partitions(month) == partitions(days)
    assert len(partitions(month)) == 29
    assert days.facts["quality"]["sources"] == 29


def test_a_month_that_is_not_published_yet_is_read_from_its_days_or_named(stage, monkeypatch):
    with pytest.raises(errors.NoSuchArchive, match=r"no archive BTCUSDT-aggTrades-2024-03-31, .* is of 2024-02-29"):
        stage.sim(start="2024-02", end="2024-03")
    monkeypatch.setattr(job, "absence", lambda *found: absence(*found[:2], datetime(2024, 3, 10, 9, tzinfo=UTC)))
    with pytest.raises(errors.NotPublished, match=r"BTCUSDT-aggTrades-2024-03-31 .*at 2024-04-02T00:00:00Z") as early:
        stage.sim(start="2024-02", end="2024-03")
    assert early.value.problem()["retry_at"] == "2024-04-02T00:00:00Z"
    assert ForkingPickler.loads(ForkingPickler.dumps(early.value)).problem() == early.value.problem()
    assert len(partitions(stage.sim(start="2024-03-01", end="2024-03-09"))) == 9


def test_a_day_without_an_archive_between_others_is_a_hole_in_the_record(stage):
    gone = {"start": "2024-01-05", "end": "2024-01-07", "repair_requests": 0}
    run = stage.sim("fault=not_found,fault_on=2024-01-06", **gone)
    assert run.facts["quality"]["missing_days"] == {"BTCUSDT": ["2024-01-06"]}
    assert list(partitions(run)) == ["BTCUSDT/2024-01-05.parquet", "BTCUSDT/2024-01-07.parquet"]


def test_a_longer_range_downloads_only_what_is_new(stage, exchange, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", exchange.address)
    settings.cache_clear()
    stage.sim(start="2024-01-05", end="2024-01-06")
    exchange.asked.clear()
    stage.sim(start="2024-01-04", end="2024-01-06")
    assert exchange.archives() == ["BTCUSDT-aggTrades-2024-01-04.zip"]


def test_an_artifact_that_exists_is_the_answer(stage, monkeypatch):
    first = stage.sim()
    monkeypatch.setattr("services.download.job._Download", None)
    assert stage.sim() == first


def test_a_repeated_run_in_another_lake_has_the_same_manifest(stage, tmp_path, monkeypatch):
    first = stage.sim(start="2024-01-05", end="2024-01-07", symbols=["BTCUSDT", "ETHUSDT"])
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / "other"))
    settings.cache_clear()
    assert stage.sim(start="2024-01-05", end="2024-01-07", symbols=["BTCUSDT", "ETHUSDT"]) == first


def test_progress_counts_archives_and_rows(stage):
    run = stage.sim(start="2024-01-05", end="2024-01-07", symbols=["BTCUSDT", "ETHUSDT"])
    done = [(p.done, p.total) for p in stage.told]
    assert done == sorted(done)  # what tasks count while at work may come between what they return
    assert sorted(set(done)) == [(n, 6) for n in range(1, 7)]
    assert stage.told[-1].rows == run.facts["quality"]["rows"] == sum(s["rows"] for s in run.facts["symbols"].values())


def test_archives_are_the_same_however_many_a_call_takes(stage, monkeypatch, tmp_path):
    found = []
    for size in (1, 4, 20):
        monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / f"home{size}"))
        settings.cache_clear()
        monkeypatch.setattr(
            job, "batches", lambda all_of, _, n=size: [tuple(all_of[i : i + n]) for i in range(0, len(all_of), n)]
        )
        found.append(stage.sim(start="2024-01-03", end="2024-01-11"))
        assert (stage.told[-1].done, stage.told[-1].total) == (9, 9)
        assert stage.told[-1].rows == found[0].facts["quality"]["rows"]
    assert found[1:] == found[:1] * 2


def test_an_archive_that_fails_in_a_call_with_others_is_named_and_the_others_stay(stage, monkeypatch):
    monkeypatch.setattr(job, "batches", lambda archives, _: [tuple(archives)])
    with pytest.raises(errors.BadArchive, match="BTCUSDT-aggTrades-2024-01-05"):
        stage.sim("fault=zip_truncated,fault_on=2024-01-05", start="2024-01-03", end="2024-01-07")
    kept = [name for name, _ in stage.lake.store.names("parts/download")]
    assert len(kept) == 2


def test_t13_one_archive_wanted_by_ten_at_once_is_downloaded_once(stage, simulator, tmp_path, monkeypatch):
    request = DownloadRequest.model_validate(REQUEST)
    asked = []
    send = httpx.Client.send
    monkeypatch.setattr(
        httpx.Client, "send", lambda c, request, **k: asked.append(request.url) or send(c, request, **k)
    )
    exchange = remote.Exchange(f"{simulator}/datasets/{SMALL}", tmp_path / "notes", False, PATIENCE, Limiter("", {}))
    (archive,) = plan(request)[0]
    tally = Tally(tmp_path / "tally")
    with ThreadPoolExecutor(10) as pool:
        fetched = pool.map(lambda _: remote.fetch_archives(stage.lake, exchange, [archive], SOURCE, tally), range(10))
        parts = list(fetched)
    assert tally.sums() == (10, 10 * parts[0][0].facts["quality"]["rows"])
    assert all(part == parts[0] for part in parts)
    assert sum(url.path.endswith(".zip") for url in asked) == 1


def test_a_download_that_ended_early_goes_on_where_it_was_in_the_next_attempt(stage, monkeypatch):
    ranges, receive, send = [], Fetcher._receive, httpx.Client.send

    def half(self, transfer, response):
        chunk = next(response.iter_raw(1000))
        transfer.target.write_bytes(chunk)
        transfer.note(chunk)
        raise errors.ExchangeFailed(transfer.url, 6, "as if it was killed")

    def counted(client, request, **more):
        if request.url.path.endswith(".zip"):
            ranges.append(request.headers.get("range"))
        return send(client, request, **more)

    monkeypatch.setattr("services.download.job.map_unordered", lambda tasks, **_: _here(tasks))
    monkeypatch.setattr(httpx.Client, "send", counted)
    clean = stage.sim()
    monkeypatch.setattr(Fetcher, "_receive", half)
    with pytest.raises(errors.ExchangeFailed):
        stage.sim(start="2024-01-06")
    monkeypatch.setattr(Fetcher, "_receive", receive)
    run = stage.sim(start="2024-01-06")
    assert ranges == [None, None, "bytes=1000-"]
    assert run.facts["quality"]["verified"] == clean.facts["quality"]["verified"] == 1
    assert list(stage.lake.unfinished().iterdir()) == []


def test_machines_that_share_a_lake_and_not_its_locks_download_to_files_of_their_own(stage, monkeypatch):
    def half(self, transfer, _):
        transfer.target.write_bytes(b"half")
        raise errors.ExchangeFailed(transfer.url, 6, "as if it was killed")

    monkeypatch.setattr("services.download.job.map_unordered", lambda tasks, **_: _here(tasks))
    monkeypatch.setattr(Fetcher, "_receive", half)
    for host in ("one", "other"):
        monkeypatch.setattr(remote.socket, "gethostname", lambda host=host: host)
        with pytest.raises(errors.ExchangeFailed):
            stage.sim()
    assert len(list(stage.lake.unfinished().iterdir())) == 2


def _here(tasks):
    for n, task in enumerate(tasks):
        yield n, task.function(*task.args)
        assert task.alive.exists()  # it told that it gets on: the deadline counts from then


def test_a_cancelled_download_stops_and_publishes_nothing(stage):
    call = call_of(venue="sim", symbols=["BTCUSDT"], start_date="2024-01", end_date="2024-02", dataset="fault=stall")
    report = Report()
    threading.Timer(1.0, report.cancelled.set).start()
    with pytest.raises(StageCancelled):
        DownloadJob(PATIENCE).run(call, report)
    assert stage.lake.find(call.artifact_id) is None


def test_an_exchange_that_is_not_there_is_named_with_the_way_out(stage, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", "http://127.0.0.1:9")
    settings.cache_clear()
    with pytest.raises(errors.ExchangeUnreachable, match="make up VENUE=sim"):
        stage.sim()


def test_klines_of_the_exchange_agree_with_its_trades(stage):
    klines = stage.sim(data_type="klines", interval="1h")
    trades = stage.sim(data_type="trades")
    aggregates = stage.sim(data_type="aggTrades")
    day = "BTCUSDT/2024-01-05.parquet"
    facts = [run.file(day).facts for run in (klines, trades, aggregates)]
    assert facts[0]["volume"] == facts[1]["quantity"] == facts[2]["quantity"]
    assert facts[0]["notional"] == facts[1]["notional"]
    assert klines.file(day).rows == 24


def test_usdm_comes_through_the_same_door(stage):
    assert stage.sim(market="usdm").facts["symbols"]["BTCUSDT"]["rows"] > 0


def test_a_symbol_beyond_ascii_comes_through_the_same_door(stage, real_exchange, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", real_exchange)
    settings.cache_clear()
    run = stage.sim(symbols=["币安人生USDT"], start="2025-11-05")
    assert list(partitions(run)) == ["币安人生USDT/2025-11-05.parquet"]


def test_the_real_archives_come_through_the_same_door(stage, real_exchange, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", real_exchange)
    settings.cache_clear()
    real = {"venue": "sim", "dataset": "real"}
    nexo = stage.run(**real, symbols=["NEXOUSDT"], data_type="trades", start_date="2024-07-23", end_date="2024-07-25")
    rows = {name: facts["rows"] for name, facts in nexo.facts["symbols"].items()}
    assert rows == {"NEXOUSDT": 4681 + 12215 + 1921}
    assert nexo.facts["quality"]["ids_missing"] == 0
    day = nexo.file("NEXOUSDT/2024-07-24.parquet")
    table = stage.lake.read_table(day).to_pydict()
    assert sum(table["quantity"]) == Decimal(day.facts["quantity"]) == Decimal("890359.5")
    notional = sum(p * q for p, q in zip(table["price"], table["quantity"], strict=True))
    assert notional == Decimal(day.facts["notional"]) == Decimal("1092588.31176")
    xrp = stage.run(**real, symbols=["XRPETH"], start_date="2019-10-11", end_date="2019-10-11")
    assert xrp.facts["symbols"]["XRPETH"]["rows"] == 5929
    day = {"start_date": "2024-08-08", "end_date": "2024-08-08"}
    usdm = stage.run(**real, **day, symbols=["BTCUSDT"], data_type="trades", market="usdm")
    assert usdm.facts["symbols"]["BTCUSDT"]["rows"] == 21313


def test_f14_a_disk_that_is_full_is_named(stage, simulator, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Fetcher, "_receive", full)
    exchange = remote.Exchange(f"{simulator}/datasets/{SMALL}", tmp_path / "notes", False, PATIENCE, Limiter("", {}))
    (archive,) = plan(DownloadRequest.model_validate(REQUEST))[0]
    with pytest.raises(LakeUnavailable, match="No space left"):
        remote.fetch_archives(stage.lake, exchange, [archive], SOURCE, Tally(tmp_path / "tally"))
