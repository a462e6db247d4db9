"""T04 with real processes, a real Redis and the simulator's refusals: what one is told, all of them heed."""

import subprocess
import sys
import threading

import pytest

from services.download.job import DownloadJob
from tests.processes import eventually, free_port, listens, process, redis_command
from tests.services.download.runs import PATIENCE, SMALL, call_of
from tickloom.http import Report
from tickloom.limiter import Limiter
from tickloom.settings import settings

PATH = "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01-0{}.zip"
FETCH = """
import sys
from pathlib import Path
import httpx
from services.download.adapters.fetch import Fetcher
from tickloom.limiter import Limiter
fetcher = Fetcher(httpx.Client(), Limiter(sys.argv[1], {}))
for n, url in enumerate(sys.argv[3:]):
    try:
        print(fetcher.fetch(url, fetcher.checksum(url), Path(sys.argv[2]) / str(n)).computed_sha256)
    except Exception as error:
        print(type(error).__name__)
"""


@pytest.fixture
def store(tmp_path):
    port = free_port()
    with process(redis_command(port, tmp_path / "redis"), tmp_path / "redis.log"):
        eventually(lambda: listens(port))
        yield f"redis://127.0.0.1:{port}/0"


def fetching(store, folder, exchange, fault, days):
    folder.mkdir()
    urls = [f"{exchange.address}/datasets/{SMALL},fault={fault}{PATH.format(day)}" for day in days]
    return subprocess.Popen([sys.executable, "-c", FETCH, store, str(folder), *urls], stdout=subprocess.PIPE, text=True)


def test_t04_a_429_to_one_process_keeps_all_of_them_waiting(store, exchange, tmp_path):
    started = [fetching(store, tmp_path / f"p{i}", exchange, "rate_limited,retry_after=1", [i + 1]) for i in range(2)]
    for one in started:
        assert [len(line) for line in one.communicate(timeout=100)[0].split()] == [64]
    refused = [when for when, _, status in exchange.asked if status == 429]
    assert len(refused) == 2 * 4  # the first two requests of each URL, and not one more
    for when in refused:
        # Some time for what was on its way when the refusal came.
        assert not [asked for asked, _, _ in exchange.asked if when + 0.4 < asked < when + 0.9]


def test_t04_after_a_418_to_one_process_no_other_one_asks_at_all(store, exchange, tmp_path):
    first = fetching(store, tmp_path / "first", exchange, "banned", [1, 2])
    assert first.communicate(timeout=60)[0].split() == ["ExchangeBanned"] * 2
    others = [fetching(store, tmp_path / f"p{i}", exchange, "banned", [3]) for i in range(2)]
    assert [other.communicate(timeout=60)[0].split() for other in others] == [["ExchangeBanned"]] * 2
    assert len(exchange.asked) == 1


def test_a_download_says_what_it_waits_for_and_can_be_cancelled_meanwhile(home, store, exchange, monkeypatch):
    monkeypatch.setenv("TICKLOOM_SIM_URL", exchange.address)
    monkeypatch.setenv("TICKLOOM_BROKER_URL", store)
    settings.cache_clear()
    host = exchange.address.removeprefix("http://")
    pause = Limiter(store, {}).pause(host, 60)
    told, over = [], []
    report = Report(lambda progress: told.append(progress.message))
    call = call_of(venue="sim", symbols=["BTCUSDT"], start_date="2024-01-05", end_date="2024-01-05", dataset=SMALL)

    def run():
        with pytest.raises(Exception, match="cancelled") as ended:
            DownloadJob(PATIENCE).run(call, report)
        over.append(ended)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: told)
    assert told == [f"waiting for {host}: asked to pause until {pause}"]
    report.cancelled.set()
    thread.join(10)
    assert over
    assert exchange.asked == []
