"""Whatever an exchange does wrong, a task ends: repaired and on record, or with an error that has a name.

`stall` and `slow` are tested with less patience in tests/services/download/test_job.py: here they would take a minute.
"""

import pytest

from tests.services.download.test_job import NAMED, REPAIRED

DAY = {"symbols": ["BTCUSDT"], "start_date": "2024-01-05", "end_date": "2024-01-05"}
SLOW = {"stall", "slow"}
HERE = [fault for fault in (*REPAIRED, "id_gap", "id_hole", "microseconds", *NAMED) if fault not in SLOW]
PATIENT = ("always_down", "banned,retry_after=1")  # tried for a while before they end


def request_of(fault: str) -> dict:
    return DAY | {"dataset": "trades_per_day=100" + (f",fault={fault}" if fault else "")}


def host_of(fault, system, rayless):
    """A ban holds for all that the host is asked: it must not meet the other faults."""
    return rayless if fault in PATIENT else system


@pytest.fixture(scope="module")
def sent(system, rayless):
    """All faults at once: fault -> task_id."""
    faults = [fault for fault in ("", *HERE) if fault != "banned"]
    return {fault: host_of(fault, system, rayless).post("/submit_download", request_of(fault)) for fault in faults}


@pytest.mark.parametrize("fault", [fault for fault in HERE if fault not in NAMED])
def test_a_fault_that_can_be_repaired_ends_in_success_and_is_on_record(system, sent, fault):
    manifest = system.manifest(system.done(sent[fault]["task_id"])["artifact_id"])
    quality = manifest["facts"]["quality"]
    assert quality["verified"] == 1
    if fault in REPAIRED:
        assert REPAIRED[fault](quality)
        clean = system.files(system.done(sent[""]["task_id"])["artifact_id"])
        assert system.files(manifest["id"])["BTCUSDT/2024-01-05.parquet"] == clean["BTCUSDT/2024-01-05.parquet"]


def test_missing_ids_come_from_rest_and_a_true_hole_is_counted(system, sent):
    clean, filled, holed = (
        system.manifest(system.done(sent[fault]["task_id"])["artifact_id"]) for fault in ("", "id_gap", "id_hole")
    )
    day = "BTCUSDT/2024-01-05.parquet"
    assert system.files(filled["id"])[day] == system.files(clean["id"])[day]
    assert [one["by"] for one in filled["facts"]["corrections"]["BTCUSDT"]] == ["rest"]
    assert filled["facts"]["quality"]["ids_missing"] == 0 < filled["facts"]["quality"]["ids_filled"]
    quality = holed["facts"]["quality"]
    assert quality["id_gaps"] == 1
    assert quality["ids_missing"] == quality["ids_unknown"] == filled["facts"]["quality"]["ids_filled"]


@pytest.mark.parametrize("fault", [fault for fault in NAMED if fault != "banned"])
def test_a_fault_that_cannot_be_repaired_ends_in_a_named_error_and_no_artifact(system, rayless, sent, fault):
    where = host_of(fault, system, rayless)
    status = where.ended(sent[fault]["task_id"])
    assert status["state"] == "FAILURE"
    error = status["error"]
    assert error["type"] == f"urn:tickloom:problem:{NAMED[fault].code()}"
    assert "BTCUSDT" in error["detail"]
    assert len(error["next"]) > 10
    assert where.http.get(f"/artifacts/{sent[fault]['artifact_id']}").status_code == 404


def test_an_exchange_that_cannot_be_reached_is_named_with_the_way_out(rayless):
    body = DAY | {"venue": "binance"}
    status = rayless.ended(rayless.post("/submit_download", body)["task_id"])
    assert status["state"] == "FAILURE"
    assert status["error"]["type"] == "urn:tickloom:problem:exchange-unreachable"
    assert "make up VENUE=sim" in status["error"]["next"]
    assert "127.0.0.1" in status["error"]["detail"]


def test_an_exchange_that_bans_us_is_left_alone_and_named(rayless, sent):
    rayless.ended(sent["always_down"]["task_id"])
    status = rayless.ended(rayless.post("/submit_download", request_of("banned,retry_after=1"))["task_id"])
    assert status["error"]["type"] == "urn:tickloom:problem:exchange-banned"
    assert status["error"]["retryable"] is False
    assert "until" in status["error"]["detail"]
