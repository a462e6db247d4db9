"""The same run on a folder with SQLite and on S3 with PostgreSQL: the same artifacts, byte for byte."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import obstore
from obstore.store import S3Store

from tests.processes import eventually, free_port, listens, process, redis_command, uvicorn_command, worker_command

PIPELINE = {
    "name": "backends",
    "download": {
        "venue": "sim",
        "dataset": "seed=3,trades_per_day=300",
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "start_date": "2022-01-28",
        "end_date": "2022-02-03",
    },
    "bars": {"spec": {"kind": "dollar", "threshold": 20000}},
    "features": {"features": [{"name": "sma", "timeperiod": [3, 5, 10, 20]}]},
    "signals": {
        "long_entry": "sma_{fast} > sma_{slow}",
        "long_exit": "sma_{fast} < sma_{slow}",
        "parameters": {"fast": [3, 5], "slow": [10, 20]},
    },
    "backtest": {"stop_loss_rate": 0.02},
    "viz": {},
}


@contextmanager
def system(home: Path, **changes: str) -> Iterator[httpx.Client]:
    """Run all parts as processes; yield a client of the gateway."""
    home.mkdir()
    ports = {part: free_port() for part in ("GATEWAY", "SERVICES", "REDIS", "SIM")}
    environment = {"TICKLOOM_HOME": str(home), "TICKLOOM_RAY_ADDRESS": "off", "TICKLOOM_VENUE": "sim"}
    environment |= {f"TICKLOOM_{part}_PORT": str(port) for part, port in ports.items()} | changes
    simulator = [sys.executable, "-m", "exchange_sim", "--port", str(ports["SIM"]), "--cache", str(home / "exchange")]
    with ExitStack() as stack:
        for name, command in {
            "redis": redis_command(ports["REDIS"], home / "redis"),
            "sim": simulator,
            "services": uvicorn_command("cli.embedded_services:app", ports["SERVICES"]),
            "gateway": uvicorn_command("api_gateway.app:app", ports["GATEWAY"]),
            "worker": worker_command(),
        }.items():
            stack.enter_context(process(command, home / f"{name}.log", environment))
        eventually(lambda: all(listens(port) for port in ports.values()), 60)
        yield stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{ports['GATEWAY']}", timeout=30))


def run(client: httpx.Client) -> dict[str, dict[str, str]]:
    """Run the pipeline to its end; return the SHA-256 of each file of each stage."""
    task = client.post("/submit_pipeline", json=PIPELINE).json()["task_id"]
    eventually(lambda: client.get(f"/status/{task}").json()["state"] not in ("PENDING", "STARTED", "RETRY"), 120, 0.3)
    status = client.get(f"/status/{task}").json()
    assert status["state"] == "SUCCESS", json.dumps(status["error"])
    made = {}
    for stage in status["stages"]:
        manifest = client.get(f"/artifacts/{stage['artifact_id']}").json()["manifest"]
        made[stage["stage"]] = {"id": manifest["id"]} | {file["name"]: file["sha256"] for file in manifest["files"]}
        name = manifest["files"][0]["name"]
        assert len(client.get(f"/artifacts/{manifest['id']}/files/{name}").content) == manifest["files"][0]["bytes"]
    return made


def test_a_run_on_s3_and_postgresql_makes_the_files_of_a_run_on_a_folder_and_sqlite(
    tmp_path, postgres_url, monkeypatch
):
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with process([sys.executable, "-m", "moto.server", "-p", str(port)], tmp_path / "s3.log"):
        eventually(lambda: listens(port), 60)
        httpx.put(f"{endpoint}/lake").raise_for_status()
        cloud = {"TICKLOOM_LAKE_URL": "s3://lake/a", "TICKLOOM_LAKE_S3_ENDPOINT": endpoint}
        with system(tmp_path / "cloud", **cloud, TICKLOOM_LEDGER_URL=postgres_url) as client:
            remote = run(client)
        with system(tmp_path / "local") as client:
            local = run(client)
        assert remote == local
        store = S3Store("lake", endpoint=endpoint, client_options={"allow_http": True})
        assert sum(len(batch) for batch in obstore.list(store, prefix="a/manifests")) == 6
    assert not (tmp_path / "cloud" / "lake").exists()
    assert not (tmp_path / "cloud" / "ledger.sqlite").exists()
