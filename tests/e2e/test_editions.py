"""The exchange replaces an archive behind a finished run: found, told, and made anew under another id (T11)."""

from tests.e2e.system import stage_of

# The first two requests (the CHECKSUM and the archive itself) get the old archive, the next ones the new.
REPUBLISHED = "fault=republished,republish_after=2,fault_on=aggTrades-2024-02-06"


def pipeline(dataset: str) -> dict:
    days = {"symbols": ["BTCUSDT"], "start_date": "2024-02-05", "end_date": "2024-02-06"}
    return {
        "download": days | {"dataset": dataset},
        "bars": {"spec": {"kind": "tick", "threshold": 20}},
    }


def test_t11_a_replaced_archive_makes_its_runs_stale_and_the_same_request_a_new_edition(system):
    dataset = "seed=9,trades_per_day=100"
    clean = system.done(system.post("/submit_pipeline", pipeline(dataset))["task_id"])
    body = pipeline(f"{dataset},{REPUBLISHED}")
    first = system.done(system.post("/submit_pipeline", body)["task_id"])
    assert first["stale"] is None

    found = system.cli("recheck", first["task_id"], "--follow")
    assert found.returncode == 0, found.stderr
    # two days of trades, and two of the official klines that they were held against
    assert "4 archives compared: 1 are other ones now" in found.stdout
    assert "BTCUSDT-aggTrades-2024-02-06.zip: replaced by the exchange since" in found.stderr

    status = system.http.get(f"/status/{first['task_id']}").json()
    assert status["state"] == "SUCCESS"
    assert status["stale"]["archives"] == ["BTCUSDT-aggTrades-2024-02-06.zip"]
    assert system.http.get(f"/status/{clean['task_id']}").json()["stale"] is None
    assert "SUCCESS, stale" in system.cli("ls", COLUMNS="200").stdout

    second = system.post("/submit_pipeline", body)
    assert second["created"]
    assert second["artifact_id"] != first["artifact_id"]
    second = system.done(second["task_id"])
    assert second["stale"] is None
    old, new, right = (system.files(stage_of(status, "download")["artifact_id"]) for status in (first, second, clean))
    same, replaced = "BTCUSDT/2024-02-05.parquet", "BTCUSDT/2024-02-06.parquet"
    assert old[same] == new[same] == right[same]
    assert new[replaced] == right[replaced] != old[replaced]
    assert system.files(second["artifact_id"]) == system.files(clean["artifact_id"])
    assert system.http.get(f"/artifacts/{first['artifact_id']}/data").status_code == 200
    assert system.post("/submit_pipeline", body)["task_id"] == second["task_id"]
