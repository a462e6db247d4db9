"""How the tests read what the simulator serves: plain csv and Decimal, none of the simulator's own code."""

import csv
import hashlib
import io
import zipfile
from decimal import Decimal

from starlette.testclient import TestClient

from tests.exchange_sim.conftest import SMALL
from tests.naive.exchange_sim import Trade


def url(market: str, period: str, kind: str, symbol: str, day: str, interval: str = "", dataset: str = SMALL) -> str:
    tree = "spot" if market == "spot" else f"futures/{market}"
    folder = f"{symbol}/{interval}" if interval else symbol
    prefix = f"/datasets/{dataset}" if dataset else ""
    return f"{prefix}/data/{tree}/{period}/{kind}/{folder}/{symbol}-{interval or kind}-{day}.zip"


def get_zip(client: TestClient, address: str) -> bytes:
    """Fetch an archive and hold it against its CHECKSUM."""
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.text[:300])
    checksum = client.get(address + ".CHECKSUM")
    name = address.rpartition("/")[2]
    assert checksum.content == f"{hashlib.sha256(answer.content).hexdigest()}  {name}".encode()
    return answer.content


def read_text(zipped: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert len(archive.namelist()) == 1
        return archive.read(archive.namelist()[0]).decode()


def get_text(client: TestClient, *where: str, **options: str) -> str:
    return read_text(get_zip(client, url(*where, **options)))


def get_rows(client: TestClient, *where: str, **options: str) -> list[list[str]]:
    """Return the rows of an archive without its header."""
    rows = list(csv.reader(io.StringIO(get_text(client, *where, **options))))
    return rows if rows[0][0].isdigit() else rows[1:]


def get_trades(client: TestClient, market: str, symbol: str, day: str, dataset: str = SMALL) -> list[Trade]:
    period = "daily" if len(day) == 10 else "monthly"
    rows = get_rows(client, market, period, "trades", symbol, day, dataset=dataset)
    unit = 1000 if int(rows[0][4]) >= 10**14 else 1
    return [(int(r[0]), Decimal(r[1]), Decimal(r[2]), int(r[4]) // unit, r[5].lower() == "true") for r in rows]
