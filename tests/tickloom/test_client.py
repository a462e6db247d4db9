"""The Python client against a gateway on a real port."""

import io
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.probes import free_port
from tests.cli.gateway import ARTIFACTS, TASK, FakeGateway, serving, status
from tickloom import Client
from tickloom.client import NotInTime, RunFailed, UnknownStage, Unreachable
from tickloom.errors import InvalidRequest, RemoteProblem, UnknownFile
from tickloom.frames import frame_of
from tickloom.lake import decimals

PROBLEM = {"title": "x", "status": 503, "detail": "the exchange cannot be reached", "next": "use venue sim"}


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with serving(FakeGateway()) as fake:
        yield fake


def parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, store_decimal_as_integer=True)
    return sink.getvalue()


def equity(*values: float) -> bytes:
    us = [1_640_995_200_000_000 + i * 60_000_000 for i in range(len(values))]
    return parquet(ts=pa.array(us, pa.int64()), equity=list(values))


def test_a_busy_gateway_is_asked_again_with_the_same_key(gateway: FakeGateway) -> None:
    gateway.busy = 2
    run = Client(gateway.url).pipeline({"name": "x"})
    assert run.id == TASK
    keys = {headers["idempotency-key"] for _, _, headers, _ in gateway.submissions()}
    assert len(gateway.submissions()) == 3
    assert len(keys) == 1


def test_two_submissions_have_two_keys(gateway: FakeGateway) -> None:
    client = Client(gateway.url)
    client.submit("download", {"symbols": ["BTCUSDT"]})
    client.submit("bars", {"spec": {}}, input=TASK)
    keys = {headers["idempotency-key"] for _, _, headers, _ in gateway.submissions()}
    assert len(keys) == 2


def test_a_gateway_that_stays_busy_or_away_is_an_error_in_time(gateway: FakeGateway) -> None:
    gateway.busy = 1000
    begun = time.monotonic()
    with pytest.raises(RemoteProblem, match="too busy"):
        Client(gateway.url, patience_s=0.5).tasks()
    with pytest.raises(Unreachable, match="no gateway answers at http"):
        Client(f"http://127.0.0.1:{free_port()}", patience_s=0.5).tasks()
    assert time.monotonic() - begun < 5


def test_a_refusal_is_not_repeated_and_has_the_gateways_words(gateway: FakeGateway) -> None:
    with pytest.raises(RemoteProblem, match="spec: nonsense") as caught:
        Client(gateway.url).submit("bars", {"spec": "nonsense"})
    assert caught.value.status == 422
    assert "/docs" in caught.value.problem()["next"]
    assert len(gateway.submissions()) == 1


def test_the_token_is_sent_as_bearer(gateway: FakeGateway) -> None:
    Client(gateway.url, token="a-secret").tasks()
    assert gateway.requests[0][2]["authorization"] == "Bearer a-secret"
    gateway.requests.clear()
    Client(gateway.url).tasks()
    assert "authorization" not in gateway.requests[0][2]


def test_waiting_shows_each_status_and_returns_the_last(gateway: FakeGateway) -> None:
    gateway.statuses = [status("STARTED", at="bars"), status("RETRY", at="bars"), status()]
    seen = []
    ended = Client(gateway.url).run(TASK).wait(progress=lambda found: seen.append(found["state"]))
    assert seen == ["STARTED", "RETRY", "SUCCESS"]
    assert ended["state"] == "SUCCESS"


def test_waiting_survives_a_gateway_that_is_restarted() -> None:
    fake = FakeGateway(statuses=[status("STARTED", at="bars")])
    port = free_port()
    ended: list[str] = []
    with serving(fake, port):
        run = Client(fake.url).run(TASK)
        thread = threading.Thread(target=lambda: ended.append(run.wait()["state"]))
        thread.start()
        while not fake.requests:
            time.sleep(0.01)
    time.sleep(0.5)
    fake.statuses = [status()]
    with serving(fake, port):
        thread.join(20)
    assert ended == ["SUCCESS"]


def test_a_failed_task_raises_with_its_problem(gateway: FakeGateway) -> None:
    gateway.statuses = [status("FAILURE", at="download", error=PROBLEM)]
    with pytest.raises(RunFailed, match="failed in download: the exchange cannot be reached") as caught:
        Client(gateway.url).run(TASK).wait()
    assert caught.value.problem()["next"] == "use venue sim"
    gateway.statuses = [status("REVOKED", at="download")]
    with pytest.raises(RunFailed, match="was cancelled"):
        Client(gateway.url).run(TASK).wait()


def test_waiting_can_have_an_end(gateway: FakeGateway) -> None:
    gateway.statuses = [status("STARTED", at="bars")]
    with pytest.raises(NotInTime, match="is STARTED after 0 s"):
        Client(gateway.url).run(TASK).wait(timeout=0.3)


def test_equity_is_a_frame_indexed_by_utc_time(gateway: FakeGateway) -> None:
    gateway.files[ARTIFACTS["backtest"]] = {"equity/BTCUSDT.parquet": equity(10_000, 10_100)}
    frame = Client(gateway.url).run(TASK).equity()
    assert frame.index.tolist() == [pd.Timestamp("2022-01-01", tz="UTC"), pd.Timestamp("2022-01-01 00:01", tz="UTC")]
    assert frame["equity"].tolist() == [10_000, 10_100]
    assert "symbol" not in frame


def test_several_symbols_come_in_one_frame_that_says_which(gateway: FakeGateway) -> None:
    gateway.files[ARTIFACTS["backtest"]] = {
        "equity/BTCUSDT.parquet": equity(1.0, 2.0),
        "equity/ETHUSDT.parquet": equity(3.0),
        "grid.parquet": parquet(symbol=["BTCUSDT"], fast=[5], sharpe_ratio=[1.5]),
        "results.json": b'{"best": {"BTCUSDT": {}}}',
    }
    run = Client(gateway.url).run(TASK)
    assert run.equity()[["symbol", "equity"]].values.tolist() == [["BTCUSDT", 1], ["BTCUSDT", 2], ["ETHUSDT", 3]]
    assert run.equity("ETHUSDT")["equity"].tolist() == [3]
    assert run.grid()["sharpe_ratio"].tolist() == [1.5]
    assert run.results() == {"best": {"BTCUSDT": {}}}
    with pytest.raises(UnknownFile, match=r"equity/XRPUSDT\.parquet"):
        run.equity("XRPUSDT")
    with pytest.raises(UnknownFile):
        run.trades()


def test_exact_decimals_become_the_nearest_floats_and_times_become_timestamps(gateway: FakeGateway) -> None:
    table = parquet(ts_close=pa.array([1], pa.int64()), price=decimals(pa.array([123]).to_numpy(), 1), bars=[7])
    gateway.files[ARTIFACTS["bars"]] = {"BTCUSDT.parquet": table}
    frame = Client(gateway.url).data(ARTIFACTS["bars"], "BTCUSDT")
    assert frame.index[0] == pd.Timestamp("1970-01-01T00:00:00.000001Z")
    assert frame["price"].tolist() == [12.3]
    assert frame["bars"].tolist() == [7]


def test_a_report_is_saved_with_its_files_and_nowhere_else(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.files[ARTIFACTS["viz"]] = {"report.html": b"<html>", "png/equity BTC.png": b"PNG"}
    saved = Client(gateway.url).run(TASK).report(tmp_path / "out")
    assert saved == tmp_path / "out" / "report.html"
    assert saved.read_bytes() == b"<html>"
    assert (tmp_path / "out" / "png" / "equity BTC.png").read_bytes() == b"PNG"
    gateway.files[ARTIFACTS["viz"]] = {"../evil.html": b"<html>"}
    with pytest.raises(RemoteProblem, match="leads out"):
        Client(gateway.url).run(TASK).report(tmp_path / "out")
    assert not (tmp_path / "evil.html").exists()


def test_lists_are_read_page_by_page(gateway: FakeGateway) -> None:
    gateway.tasks = [status() | {"name": str(i)} for i in range(8)]
    client = Client(gateway.url)
    assert [task["name"] for task in client.tasks(limit=7)] == [str(i) for i in range(7)]
    assert len(client.tasks(limit=100)) == 8


def test_ids_and_files_that_cannot_be_are_refused_before_anything_is_sent(gateway: FakeGateway, tmp_path: Path) -> None:
    client = Client(gateway.url)
    with pytest.raises(InvalidRequest, match="not an id"):
        client.status("../tasks")
    with pytest.raises(InvalidRequest, match="cannot be read"):
        client.pipeline(tmp_path / "missing.yaml")
    with pytest.raises(UnknownStage, match="has no render stage"):
        client.run(TASK).artifact_id("render")
    assert [path for _, path, _, _ in gateway.requests] == [f"/status/{TASK}"]


def test_parts_tell_who_answers(gateway: FakeGateway) -> None:
    client = Client(gateway.url)
    gateway.parts["broker"] = False
    assert client.parts() == {"ledger": True, "broker": False}
    assert client.alive()
    assert not Client(f"http://127.0.0.1:{free_port()}").alive()


@pytest.mark.parametrize("kind", [pa.decimal64(18, 2), pa.decimal128(38, 2)])
def test_a_decimal_becomes_the_float_that_is_nearest_to_it(kind: pa.DataType) -> None:
    texts = ["41537.24", "16541.77", "0.10", "-0.07", "9999999999999.99"]
    table, sink = pa.table({"price": pa.array(map(Decimal, texts), kind)}), io.BytesIO()
    pq.write_table(table, sink, store_decimal_as_integer=True)
    assert frame_of(sink.getvalue())["price"].tolist() == [float(text) for text in texts]
