"""Real archives come in through the same door, and nothing else does."""

import hashlib
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.exchange_sim.conftest import make_client
from tests.exchange_sim.reading import url

NAME = "NEXOUSDT-trades-2024-07-24.zip"
WHERE = ("spot", "daily", "trades", "NEXOUSDT", "2024-07-24")


def write_zip(path: Path, text: str) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(path.stem + ".csv", text)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "real"


@pytest.fixture
def client(tmp_path, folder):
    folder.mkdir()
    return make_client(tmp_path / "cache", {"real": folder})


@pytest.mark.parametrize("layout", ["spot", "spot/daily/trades/NEXOUSDT", "data/spot/daily/trades/NEXOUSDT"])
def test_a_folder_may_be_flat_or_binances_own_tree(client, folder, layout):
    body = write_zip(folder / layout / NAME, "1,1.20000000,2.50000000,3.00000000,1721779217795,True,True\n")
    answer = client.get(url(*WHERE, dataset="real"))
    assert (answer.status_code, answer.content) == (200, body)
    assert client.get(url(*WHERE, dataset="real"), headers={"Range": "bytes=5-9"}).content == body[5:10]
    checksum = client.get(url(*WHERE, dataset="real") + ".CHECKSUM").text
    assert checksum == f"{hashlib.sha256(body).hexdigest()}  {NAME}"
    (symbol,) = client.get("/datasets/real/api/v3/exchangeInfo").json()["symbols"]
    steps = {rule["filterType"]: rule for rule in symbol["filters"]}
    assert (symbol["symbol"], symbol["baseAsset"]) == ("NEXOUSDT", "NEXO")
    assert (steps["PRICE_FILTER"]["tickSize"], steps["LOT_SIZE"]["stepSize"]) == ("0.10000000", "0.10000000")


def test_futures_lie_in_usdm(client, folder):
    body = write_zip(folder / "usdm" / "BTCUSDT-trades-2024-08-08.zip", "1,2,3,6,1723161256322,false\n")
    assert client.get(url("um", "daily", "trades", "BTCUSDT", "2024-08-08", dataset="real")).content == body
    assert client.get(url("spot", "daily", "trades", "BTCUSDT", "2024-08-08", dataset="real")).status_code == 404
    assert client.get("/datasets/real/api/v3/exchangeInfo?symbol=BTCUSDT").status_code == 200


def test_a_checksum_that_came_with_the_archive_is_served_as_it_is(client, folder):
    write_zip(folder / "spot" / NAME, "1\n")
    (folder / "spot" / (NAME + ".CHECKSUM")).write_text("f" * 64 + f"  {NAME}")
    assert client.get(url(*WHERE, dataset="real") + ".CHECKSUM").text == "f" * 64 + f"  {NAME}"


def test_a_changed_file_has_another_checksum(client, folder):
    write_zip(folder / "spot" / NAME, "1\n")
    before = client.get(url(*WHERE, dataset="real") + ".CHECKSUM").text
    write_zip(folder / "spot" / NAME, "1,2\n")
    assert client.get(url(*WHERE, dataset="real") + ".CHECKSUM").text != before


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "..%252fsecret.txt", "spot/../../secret.txt",
        "spot/daily/trades/NEXOUSDT/../../../../../secret.txt", "/etc/passwd", "spot/daily/trades/..%2f..%2fx/x.zip",
        "spot/daily/trades/..%2f/..%2f-trades-2024-07-24.zip",
        "spot/daily/trades/NEXOUSDT/NEXOUSDT-trades-2024-07-24.zip%00",
        "spot/daily/trades/NEXOUSDT/notes.txt", "..\\secret.txt", "spot/daily/trades/%c0%ae%c0%ae/secret.txt",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(client, folder, path):
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "notes.txt").write_text("secret")
    answer = client.get(f"/datasets/real/data/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")


def test_a_link_out_of_the_folder_is_not_followed(client, folder):
    outside = folder.parent / "outside.zip"
    write_zip(outside, "1\n")
    (folder / "spot").mkdir()
    (folder / "spot" / NAME).symlink_to(outside)
    assert client.get(url(*WHERE, dataset="real")).status_code == 404
    assert client.get("/datasets/real/api/v3/exchangeInfo").json()["symbols"] == []


def test_names_of_any_script_are_found(client, folder):
    body = write_zip(folder / "spot" / "币安人生USDT-trades-2026-01-01.zip", "1,1,1,1,1767225600000000,True,True\n")
    symbol = quote("币安人生USDT")
    assert client.get(url("spot", "daily", "trades", symbol, "2026-01-01", dataset="real")).content == body


def test_a_folder_has_no_rest_history(client):
    answer = client.get("/datasets/real/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1h"})
    assert (answer.status_code, answer.json()["code"]) == (400, -1020)


def test_the_real_archives_come_in_through_the_same_door(tmp_path, shared_data):
    folder = shared_data / "trades" / "vision_layout"
    client = make_client(tmp_path, {"real": folder})
    archives = sorted(folder.rglob("*.zip"))
    assert archives
    for path in archives:
        symbol, kind, day = path.stem.split("-", 2)
        market = "spot" if path.parent.name == "spot" else "um"
        address = url(market, "daily", kind, symbol, day, dataset="real")
        assert client.get(address).content == path.read_bytes()
        checksum = client.get(address + ".CHECKSUM").text
        assert checksum == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
    symbols = client.get("/datasets/real/api/v3/exchangeInfo").json()["symbols"]
    assert [symbol["symbol"] for symbol in symbols] == ["BTCUSDT", "NEXOUSDT", "XRPETH"]
    steps = {rule["filterType"]: rule for rule in symbols[1]["filters"]}
    assert (steps["PRICE_FILTER"]["tickSize"], steps["LOT_SIZE"]["stepSize"]) == ("0.00100000", "0.01000000")
