"""Editions and stale artifacts through the gateway: asked for, told of, and submitted again."""

import pytest
from sqlalchemy import text

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.download import VERSION
from tickloom.identity import artifact_id
from tickloom.lake import open_lake
from tickloom.ledger import leases, ledger_url, transaction

DOWNLOAD = {"symbols": ["BTCUSDT"], "start_date": "2022-01-05", "end_date": "2022-01-05"}
PATH = "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2022-01-05.zip"
PIPELINE = {"download": DOWNLOAD, "bars": {"spec": {"kind": "tick", "threshold": 10}}}


def finish(task, stage, name="", changed=(), archives=PATH):
    """Do a stage's work by hand; `changed` is what a recheck finds."""
    lease = leases.claim(ledger_url(), task, stage, "w", 30)
    facts = {"changed": list(changed)} if name == "recheck" else {"archives": {archives: "a" * 64} if archives else {}}
    manifest = Manifest(
        id=lease.artifact_id,
        stage=name or stage,
        version=1,
        request=lease.request,
        inputs=(lease.input_artifact_id,) if lease.input_artifact_id else (),
        files=(open_lake().add_bytes("report.html", b"<html><body>hello</body></html>"),),
        facts=facts,
    )
    open_lake().put_manifest(manifest)
    assert leases.commit(ledger_url(), lease, manifest)
    return manifest


@pytest.fixture
def done(gateway):
    """A finished pipeline of two stages: its task, and the ids of its artifacts."""
    task = gateway.post("/submit_pipeline", json=PIPELINE).json()["task_id"]
    return task, [finish(task, stage).id for stage in ("download", "bars")]


def rechecked(gateway, artifact, *changed):
    answer = gateway.post(f"/artifacts/{artifact}/recheck")
    assert answer.status_code == 202
    finish(answer.json()["task_id"], "download", "recheck", changed)
    return answer.json()["task_id"]


def test_a_recheck_is_a_task_of_its_own_that_can_be_followed_and_listed(gateway, done):
    task = rechecked(gateway, done[1][1])
    status = gateway.get(f"/status/{task}").json()
    assert (status["kind"], status["state"], status["name"]) == ("recheck", "SUCCESS", "BTCUSDT 2022-01-05")
    assert [one["task_id"] for one in gateway.get("/tasks?kind=recheck").json()["tasks"]] == [task]
    assert gateway.get(f"/artifacts/{status['artifact_id']}").json()["manifest"]["inputs"] == [done[1][0]]


def test_while_a_recheck_is_under_way_it_is_the_answer_to_the_next(gateway, done):
    first, second = (gateway.post(f"/artifacts/{artifact}/recheck").json() for artifact in done[1])
    assert (first["created"], second["created"]) == (True, False)
    assert first["task_id"] == second["task_id"]


def test_what_was_made_of_a_replaced_archive_says_so_wherever_it_is_shown(gateway, done):
    task, (_, bars) = done
    assert gateway.get(f"/status/{task}").json()["stale"] is None
    rechecked(gateway, bars, PATH)
    status = gateway.get(f"/status/{task}").json()
    assert status["state"] == "SUCCESS"
    assert status["stale"]["archives"] == ["BTCUSDT-aggTrades-2022-01-05.zip"]
    assert status["stale"]["next"].startswith("submit the same request again")
    assert [stage["stale"] for stage in status["stages"]] == [status["stale"]] * 2
    assert status["warnings"] == [
        "made from an archive that the exchange has since replaced (BTCUSDT-aggTrades-2022-01-05.zip): submit again"
    ]
    assert gateway.get("/tasks?kind=pipeline").json()["tasks"] == [status]
    view = gateway.get(f"/artifacts/{bars}").json()
    assert view["stale"] == view["lineage"][0]["stale"] == status["stale"]
    page = gateway.get(f"/artifacts/{bars}/files/report.html")
    assert page.text.startswith('<html><body><p role="alert"')
    assert "Stale since 20" in page.text
    assert "sandbox" in page.headers["content-security-policy"]
    as_made = gateway.get(f"/artifacts/{bars}/files/report.html?as_made=true")
    assert as_made.content == b"<html><body>hello</body></html>"


def test_after_a_replacement_the_same_request_is_a_new_edition_and_the_old_one_stays(gateway, done):
    task, (download, bars) = done
    assert gateway.post("/submit_pipeline", json=PIPELINE).json()["task_id"] == task
    rechecked(gateway, bars, PATH)
    again = gateway.post("/submit_pipeline", json=PIPELINE).json()
    assert again["created"]
    assert again["artifact_id"] not in (download, bars)
    new = finish(again["task_id"], "download")
    assert new.request == gateway.get(f"/artifacts/{download}").json()["manifest"]["request"] | {"edition": 1}
    assert new.id == artifact_id("download", VERSION, new.request, [])
    finish(again["task_id"], "bars")
    assert gateway.get(f"/status/{again['task_id']}").json()["stale"] is None
    assert gateway.get(f"/artifacts/{bars}").json()["manifest"]["id"] == bars
    assert gateway.get(f"/artifacts/{download}").status_code == 200


def test_an_earlier_edition_can_be_asked_for_by_its_number_and_one_to_come_cannot(gateway, done):
    _, (download, bars) = done
    rechecked(gateway, bars, PATH)
    old = gateway.post("/submit_download", json=DOWNLOAD | {"edition": 0}).json()
    assert old["artifact_id"] == download
    refused = gateway.post("/submit_download", json=DOWNLOAD | {"edition": 2})
    assert refused.status_code == 422
    assert "the newest is 1" in refused.json()["detail"]
    for manifest in open_lake().store.names("manifests"):
        open_lake().store.delete(manifest[0])
    gone = gateway.post("/submit_download", json=DOWNLOAD | {"edition": 0})
    assert gone.status_code == 422
    assert "cannot be made again" in gone.json()["detail"]


def test_an_idempotency_key_stands_for_what_was_sent_also_after_a_replacement(gateway):
    key = {"idempotency-key": "k"}
    first = gateway.post("/submit_download", json=DOWNLOAD, headers=key).json()
    made = finish(first["task_id"], "download")
    rechecked(gateway, made.id, PATH)
    assert gateway.post("/submit_download", json=DOWNLOAD, headers=key).json()["task_id"] == first["task_id"]
    assert gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"] != first["task_id"]


def test_all_downloads_are_rechecked_but_for_those_that_are_stale(gateway, done):
    other = gateway.post("/submit_download", json=DOWNLOAD | {"symbols": ["ETHUSDT"]}).json()["task_id"]
    finish(other, "download")
    rechecked(gateway, done[1][0], PATH)
    tasks = gateway.post("/recheck").json()["tasks"]
    assert len(tasks) == 1
    assert gateway.get(tasks[0]["status_url"]).json()["name"] == "ETHUSDT 2022-01-05"
    assert gateway.post("/recheck?limit=0").status_code == 422


def test_a_submission_answered_with_an_old_download_has_it_looked_at_once_a_day(gateway, done):
    def rechecks():
        return len(gateway.get("/tasks?kind=recheck").json()["tasks"])

    gateway.post("/submit_pipeline", json=PIPELINE)
    assert rechecks() == 0
    with transaction(ledger_url()) as session:
        session.execute(text("UPDATE artifacts SET created = created - 90000000000"))
    for _ in range(2):
        assert gateway.post("/submit_pipeline", json=PIPELINE).json()["task_id"] == done[0]
    assert rechecks() == 1


def test_imports_have_no_archives_to_ask_for(gateway):
    task = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
    made = finish(task, "download", archives="")
    answer = gateway.post(f"/artifacts/{made.id}/recheck")
    assert answer.status_code == 422
    assert "SHA-256" in answer.json()["detail"]
    assert gateway.post(f"/artifacts/{'0' * 64}/recheck").status_code == 404


def test_bars_cannot_be_made_of_a_recheck(gateway, done):
    task = rechecked(gateway, done[1][0])
    answer = gateway.post("/submit_bars", json={"input": task, "spec": {"kind": "tick", "threshold": 10}})
    assert answer.status_code == 422
    found = gateway.get(f"/status/{task}").json()["artifact_id"]
    answer = gateway.post("/submit_bars", json={"input": found, "spec": {"kind": "tick", "threshold": 10}})
    assert "this one is of recheck" in answer.json()["detail"]
