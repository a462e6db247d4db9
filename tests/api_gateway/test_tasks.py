"""Following, listing and cancelling tasks; artifacts; health."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import BestTrial, Progress, Trials
from tickloom.lake import decimals, open_lake
from tickloom.ledger import leases, ledger_url

DOWNLOAD = {"symbols": ["BTCUSDT"], "start_date": "2022-01", "end_date": "2022-03"}


def finish(task: str, stage: str = "download") -> Manifest:
    """Do a stage's work by hand: two tables and a page."""
    lease = leases.claim(ledger_url(), task, stage, "w", 30)
    assert lease is not None
    lake = open_lake()
    price = decimals(np.array([123456789, 1, 2], np.int64), 8)
    table = pa.table({"ts": np.arange(3), "price": price, "note": pa.array(["=cmd()", "-1", "x"])})
    files = (
        lake.add_table("BTCUSDT/2022-01-01.parquet", table),
        lake.add_table("BTCUSDT/2022-01-02.parquet", table),
        lake.add_bytes("report.html", b"<p>hello</p>"),
    )
    manifest = Manifest(
        id=lease.artifact_id,
        stage=stage,
        version=1,
        request=lease.request,
        inputs=(lease.input_artifact_id,) if lease.input_artifact_id else (),
        files=files,
    )
    lake.put_manifest(manifest)
    assert leases.commit(ledger_url(), lease, manifest)
    return manifest


@pytest.fixture
def artifact(gateway) -> str:
    task = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
    return finish(task).id


@pytest.mark.parametrize("route", ["/status/%s", "/artifacts/%s", "/artifacts/%s/data", "/artifacts/%s/files/x"])
@pytest.mark.parametrize("name", ["0" * 32, "f" * 64, "...", "%2e%2e%2e", "a%00b", "☃"])
def test_an_unknown_id_is_404_with_what_to_do_next(gateway, route, name):
    answer = gateway.get(route % name)
    assert answer.status_code == 404, answer.text
    assert answer.json()["next"]


def test_cancelling_is_final_twice_is_once_and_a_finished_task_stays(gateway, artifact):
    done = gateway.get("/tasks", params={"state": "SUCCESS"}).json()["tasks"][0]["task_id"]
    assert gateway.delete(f"/tasks/{done}").status_code == 409
    task = gateway.post("/submit_download", json=DOWNLOAD | {"data_type": "trades"}).json()["task_id"]
    for _ in range(2):
        answer = gateway.delete(f"/tasks/{task}")
        assert answer.status_code == 200
        assert answer.json()["state"] == "REVOKED"
    assert gateway.get(f"/status/{task}").json()["state"] == "REVOKED"
    assert gateway.delete(f"/tasks/{'0' * 32}").status_code == 404


def test_a_status_tells_of_a_search_what_is_finished_the_best_and_the_time_left(gateway):
    task = gateway.post("/submit_download", json=DOWNLOAD).json()["task_id"]
    before = gateway.get(f"/status/{task}").json()
    assert (before["seconds_left"], before["trials"], before["best"]) == (None, None, None)
    lease = leases.claim(ledger_url(), task, "download", "w", 30)
    best = BestTrial(symbol="BTCUSDT", parameters={"fast": 5}, objective="cagr", value=0.5)
    event = Progress(done=1, total=3, seconds_left=4.5, trials=Trials(done=40, total=64), best=best)
    assert leases.renew(ledger_url(), lease, 30, event)
    now = gateway.get(f"/status/{task}").json()
    expected = {"seconds_left": 4.5, "trials": {"done": 40, "total": 64}, "best": best.canonical()}
    assert expected.items() <= now.items()
    assert expected.items() <= now["stages"][0].items()
    leases.release(ledger_url(), lease)
    again = leases.claim(ledger_url(), task, "download", "w", 30)
    fresh = gateway.get(f"/status/{task}").json()
    assert (fresh["seconds_left"], fresh["trials"], fresh["best"]) == (None, None, None)
    assert leases.renew(ledger_url(), again, 30, event)
    gateway.delete(f"/tasks/{task}")
    ended = gateway.get(f"/status/{task}").json()
    assert (ended["seconds_left"], ended["trials"]) == (None, {"done": 40, "total": 64})


def test_lists_filter_and_page(gateway):
    made = [
        gateway.post("/submit_download", json=DOWNLOAD | {"start_date": f"2022-01-{day:02d}"}).json()["task_id"]
        for day in range(1, 8)
    ]
    gateway.delete(f"/tasks/{made[0]}")
    seen, cursor = [], None
    while True:
        page = gateway.get("/tasks", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [task["task_id"] for task in page["tasks"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert len(gateway.get("/tasks", params={"state": "REVOKED"}).json()["tasks"]) == 1
    assert gateway.get("/tasks", params={"kind": "pipeline"}).json()["tasks"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=100000", "state=HAPPY", "kind=x", "cursor=%ff", "cursor=AAAA"])
def test_a_bad_list_query_is_422(gateway, query):
    assert gateway.get(f"/tasks?{query}").status_code == 422


def test_an_artifact_is_invisible_until_its_stage_has_committed(gateway):
    task = gateway.post("/submit_download", json=DOWNLOAD).json()
    lake = open_lake()
    made = task["artifact_id"]
    lake.put_manifest(Manifest(id=made, stage="download", version=1, request={}, inputs=(), files=()))
    assert gateway.get(f"/artifacts/{made}").status_code == 404
    assert gateway.get(f"/artifacts/{made}/data").status_code == 404


def test_an_artifact_shows_its_manifest_and_where_it_comes_from(gateway, artifact):
    bars = {"spec": {"kind": "tick", "threshold": 10}, "input": artifact}
    task = gateway.post("/submit_bars", json=bars).json()["task_id"]
    shown = gateway.get(f"/artifacts/{finish(task, 'bars').id}").json()
    assert [step["id"] for step in shown["lineage"]] == [artifact]
    assert shown["lineage"][0]["rows"] == 6
    assert [file["name"] for file in shown["manifest"]["files"]][-1] == "report.html"


def test_files_come_by_name_and_no_other_way(gateway, artifact):
    page = gateway.get(f"/artifacts/{artifact}/files/report.html")
    assert page.text == "<p>hello</p>"
    assert "sandbox" in page.headers["content-security-policy"]
    for name in ("../../ledger.sqlite", "/etc/passwd", "%2e%2e/%2e%2e/ledger.sqlite", "BTCUSDT", "report.html/"):
        assert gateway.get(f"/artifacts/{artifact}/files/{name}").status_code == 404


def test_data_comes_as_json_csv_and_parquet_with_every_digit(gateway, artifact):
    url = f"/artifacts/{artifact}/data"
    rows = gateway.get(url, params={"file": "BTCUSDT/2022-01-01.parquet"}).json()
    assert rows[0] == {"ts": 0, "price": "1.23456789", "note": "=cmd()"}
    text = gateway.get(url, params={"format": "csv", "limit": 2}).text
    assert text.splitlines()[1] == '"BTCUSDT/2022-01-01.parquet",0,1.23456789,"\'=cmd()"'
    frame = pd.read_parquet(io.BytesIO(gateway.get(url, params={"format": "parquet", "file": "BTCUSDT/"}).content))
    assert len(frame) == 6
    assert str(frame["price"][0]) == "1.23456789"


def test_limit_counts_rows_over_all_files(gateway, artifact):
    assert len(gateway.get(f"/artifacts/{artifact}/data", params={"limit": 4}).json()) == 4
    assert gateway.get(f"/artifacts/{artifact}/data", params={"limit": 0}).status_code == 422
    assert gateway.get(f"/artifacts/{artifact}/data", params={"file": "ETH"}).status_code == 404


def test_an_artifact_removed_from_the_lake_is_made_again_when_asked_for(gateway, artifact):
    again = gateway.post("/submit_download", json=DOWNLOAD).json()
    assert again["state"] == "SUCCESS"
    assert not again["created"]
    open_lake().store.delete(f"manifests/{artifact[:2]}/{artifact}.json")
    again = gateway.post("/submit_download", json=DOWNLOAD).json()
    assert again["state"] == "PENDING"
    assert again["created"]


def test_health_says_the_gateway_is_up_and_readiness_which_parts_are_not(gateway):
    assert gateway.get("/healthz").json() == {"status": "ok"}
    ready = gateway.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["parts"]["ledger"] is True
    assert ready.json()["parts"]["broker"] is False


def test_unknown_routes_and_wrong_methods_are_problems(gateway):
    for answer in (gateway.get("/nothing"), gateway.put("/tasks")):
        assert answer.status_code in (404, 405)
        assert answer.headers["content-type"] == "application/problem+json"
