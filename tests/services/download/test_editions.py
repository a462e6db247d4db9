"""An exchange that replaces an archive (T11): other bytes are another part, and never two editions in one."""

import threading

import pytest

from services.download.domain.editions import Comparison
from services.download.job import DownloadJob
from tests.services.download.runs import PATIENCE, SMALL, partitions
from tickloom.contracts.events import StageCall
from tickloom.contracts.recheck import RECHECK, VERSION, RecheckRequest
from tickloom.errors import StageCancelled
from tickloom.http import Report
from tickloom.identity import artifact_id
from tickloom.limiter import open_limiter
from tickloom.settings import settings

DAY = "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01-{:02}.zip"


@pytest.fixture
def stage(stage, exchange, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", exchange.address)
    settings.cache_clear()
    return stage


def republished(after):
    return f"fault=republished,republish_after={after},fault_on=2024-01-06"


def test_t11_an_archive_replaced_between_its_checksum_and_its_bytes_is_read_anew(stage, exchange):
    clean = stage.sim(start="2024-01-06")
    replaced = stage.sim(republished(1), start="2024-01-06")
    assert partitions(replaced) == partitions(clean)
    assert replaced.facts["archives"] == clean.facts["archives"]
    assert exchange.archives() == ["BTCUSDT-aggTrades-2024-01-06.zip"] * 3  # the second one was thrown away


def test_what_was_made_of_a_replaced_archive_is_not_used_again_and_of_the_others_it_is(stage, exchange):
    dataset = republished(2)
    clean = stage.sim(start="2024-01-05", end="2024-01-07")
    old = stage.sim(dataset, start="2024-01-05", end="2024-01-06")
    exchange.asked.clear()
    new = stage.sim(dataset, start="2024-01-05", end="2024-01-07")
    assert sorted(exchange.archives()) == [f"BTCUSDT-aggTrades-2024-01-0{day}.zip" for day in (6, 7)]
    assert partitions(new) == partitions(clean)
    day = "BTCUSDT/2024-01-06.parquet"
    assert partitions(old)[day] != partitions(clean)[day]
    assert old.facts["archives"][DAY.format(6)] != new.facts["archives"][DAY.format(6)]
    assert stage.lake.find(old.id) == old


def test_an_artifact_says_which_archives_it_was_made_from_and_which_days_had_none(stage):
    made = stage.sim("fault=not_found,fault_on=2024-01-06", start="2024-01-05", end="2024-01-07")
    assert list(made.facts["archives"]) == [DAY.format(day) for day in (5, 6, 7)]
    assert made.facts["archives"][DAY.format(6)] == ""


def test_the_official_klines_that_trades_were_held_against_are_among_their_archives(stage):
    made = stage.sim(start="2024-01-05", quality={"klines": True})
    official = "/data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-05.zip"
    assert set(made.facts["archives"]) == {DAY.format(5), official}
    without = stage.sim("fault=not_found,fault_on=BTCUSDT-1m", start="2024-01-05", quality={"klines": True})
    assert set(without.facts["archives"]) == {DAY.format(5)}


def recheck(stage, made, report=None):
    request = RecheckRequest(recheck=made.id, number=1).canonical()
    call = StageCall(artifact_id=artifact_id(RECHECK, VERSION, request, [made.id]), request=request, inputs=(made.id,))
    return DownloadJob(PATIENCE).run(call, report or Report(stage.told.append))


def test_a_recheck_asks_for_checksums_alone_and_finds_what_was_replaced(stage, exchange):
    made = stage.sim(republished(2), start="2024-01-05", end="2024-01-07")
    exchange.asked.clear()
    stage.told.clear()
    found = recheck(stage, made)
    assert found.stage == "recheck"
    assert found.facts == {
        "archives": 3,
        "changed": [DAY.format(6)],
        "replaced": [DAY.format(6)],
        "published": [],
        "withdrawn": [],
    }
    assert sorted(path for _, path, _ in exchange.asked) == [
        f"/datasets/{SMALL},{republished(2)}{DAY.format(day)}.CHECKSUM" for day in (5, 6, 7)
    ]
    assert [progress.done for progress in stage.told] == [1, 2, 3, 3]
    assert stage.told[-1].warnings == (
        "BTCUSDT-aggTrades-2024-01-06.zip: replaced by the exchange since, and what was made of it is stale: "
        "submit again",
    )
    assert recheck(stage, made) == found


def test_a_recheck_of_what_is_as_it_was_finds_nothing(stage):
    found = recheck(stage, stage.sim(start="2024-01-05", end="2024-01-06"))
    assert (found.facts["archives"], found.facts["changed"]) == (2, [])
    assert stage.told[-1].warnings == ()


def test_a_recheck_that_waits_for_its_turn_can_be_cancelled(stage, exchange):
    made = stage.sim(start="2024-01-05", end="2024-01-06")
    open_limiter().pause(exchange.address.removeprefix("http://"), 60)
    report = Report()
    threading.Timer(0.3, report.cancelled.set).start()
    with pytest.raises(StageCancelled):
        recheck(stage, made, report)


def test_archives_are_compared_by_their_checksums():
    found = Comparison()
    for path, then, now in [("a", "1", "1"), ("b", "1", "2"), ("c", "", "1"), ("d", "1", None), ("e", "", None)]:
        found.note(path, then, now)
    assert found.changed() == ["b", "c"]
    assert (found.same, found.replaced, found.published, found.withdrawn) == (2, ["b"], ["c"], ["d"])
