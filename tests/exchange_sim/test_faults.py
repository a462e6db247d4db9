"""Every fault does what its name says, and nothing else: beside it the archive is the clean one."""

import csv
import hashlib
import io
import zipfile
import zlib
from itertools import pairwise

import pytest

from exchange_sim.faults import FAULTS
from tests.exchange_sim.conftest import SMALL
from tests.exchange_sim.reading import get_text, get_zip, read_text, url

WHERE = ("spot", "daily", "trades", "BTCUSDT", "2024-03-05")
AGGS = ("spot", "daily", "aggTrades", "BTCUSDT", "2024-03-05")
BARS = ("spot", "daily", "klines", "BTCUSDT", "2024-03-05")


def broken(fault: str) -> str:
    return f"{SMALL},fault={fault}"


def lines(client, fault: str = "", where=WHERE, **options) -> list[str]:
    return get_text(client, *where, dataset=broken(fault) if fault else SMALL, **options).splitlines()


@pytest.fixture(params=[WHERE, AGGS, BARS], ids=["trades", "aggTrades", "klines"])
def where(request):
    return request.param


def interval(where) -> dict[str, str]:
    return {"interval": "5m"} if where is BARS else {}


def test_rows_duplicated_repeats_a_block(sim, where):
    clean, seen = lines(sim, "", where, **interval(where)), lines(sim, "rows_duplicated", where, **interval(where))
    assert len(seen) == len(clean) + max(1, len(clean) // 50)
    assert list(dict.fromkeys(seen)) == clean


def test_rows_shuffled_keeps_every_row(sim, where):
    clean, seen = lines(sim, "", where, **interval(where)), lines(sim, "rows_shuffled", where, **interval(where))
    assert seen != clean
    assert sorted(seen) == sorted(clean)


def test_id_gap_leaves_a_block_out(sim, where):
    clean, seen = lines(sim, "", where, **interval(where)), lines(sim, "id_gap", where, **interval(where))
    gone = max(1, len(clean) // 50)
    begin = len(clean) // 3
    assert seen == clean[:begin] + clean[begin + gone :]


def test_id_gap_hits_every_day_of_a_month(sim):
    where = ("spot", "monthly", "trades", "BTCUSDT", "2024-03")
    ids = [int(line.partition(",")[0]) for line in lines(sim, "id_gap", where)]
    assert sum(after - before > 1 for before, after in pairwise(ids)) == 31


def test_id_hole_is_a_gap_that_rest_has_too(sim, where):
    assert lines(sim, "id_hole", where, **interval(where)) == lines(sim, "id_gap", where, **interval(where))
    if where is BARS:
        return
    endpoint, name = {"trades": ("historicalTrades", "id"), "aggTrades": ("aggTrades", "a")}[where[2]]
    ids = [int(line.partition(",")[0]) for line in lines(sim, "id_hole", where)]
    asked = {"symbol": "BTCUSDT", "fromId": ids[0], "limit": 1000}
    known = {
        fault: [row[name] for row in sim.get(f"/datasets/{broken(fault)}/api/v3/{endpoint}", params=asked).json()]
        for fault in ("id_hole", "id_gap")
    }
    assert len(known["id_hole"]) == len(known["id_gap"]) == 1000
    assert known["id_hole"][: len(ids)] == ids[:1000]
    assert known["id_gap"] == list(range(ids[0], ids[0] + 1000))


def test_rows_changed_have_another_quantity_and_nothing_else(sim, where):
    clean, seen = lines(sim, "", where, **interval(where)), lines(sim, "rows_changed", where, **interval(where))
    column = 5 if where is BARS else 2
    changed = [n for n, (a, b) in enumerate(zip(clean, seen, strict=True)) if a != b]
    assert changed == list(range(len(clean) // 3, len(clean) // 3 + max(1, len(clean) // 50)))
    for n in changed:
        row = seen[n].split(",")
        assert row[column] == ("777777777.00000000" if where is BARS else "777.00000000")
        row[column] = clean[n].split(",")[column]
        assert ",".join(row) == clean[n]


def test_a_day_can_be_cut_short_and_a_month_can_lack_one(sim):
    clean = lines(sim)
    assert lines(sim, "day_cut_short") == clean[: len(clean) - len(clean) // 5]
    month = ("spot", "monthly", "trades", "BTCUSDT", "2024-03")
    second = lines(sim, "", ("spot", "daily", "trades", "BTCUSDT", "2024-03-02"))
    assert lines(sim, "day_missing", month) == [line for line in lines(sim, "", month) if line not in set(second)]
    assert lines(sim, "day_missing") == clean


def test_sentinel_rows_are_void_rows_beside_the_clean_ones(sim):
    clean, seen = lines(sim, "", AGGS), lines(sim, "sentinel_rows", AGGS)
    sentinels = [line.split(",") for line in seen if line not in set(clean)]
    assert len(sentinels) == 3
    assert all(row[1:5] == ["0.00000000", "0.00000000", "-1", "-1"] for row in sentinels)
    assert [line for line in seen if line.split(",")[3] != "-1"] == clean
    assert lines(sim, "sentinel_rows", WHERE) == lines(sim, "", WHERE)  # trades have none


def test_voided_rows_are_void_where_they_stand(sim):
    clean, seen = lines(sim, "", AGGS), lines(sim, "voided_rows", AGGS)
    changed = [i for i, (a, b) in enumerate(zip(clean, seen, strict=True)) if a != b]
    assert changed == [0, len(clean) // 2, len(clean) - 1]
    for i in changed:
        (number, *then), (same, *now) = clean[i].split(","), seen[i].split(",")
        assert (same, now[:4], now[4:]) == (number, ["0.00000000", "0.00000000", "-1", "-1"], then[4:])
    assert lines(sim, "voided_rows", WHERE) == lines(sim, "", WHERE)  # trades have none


def test_bad_row_has_one_nan_for_a_price(sim, where):
    clean, seen = lines(sim, "", where, **interval(where)), lines(sim, "bad_row", where, **interval(where))
    (changed,) = [n for n, (a, b) in enumerate(zip(clean, seen, strict=True)) if a != b]
    assert seen[changed].split(",")[1] == "NaN"
    assert seen[changed].split(",")[2:] == clean[changed].split(",")[2:]


def test_foreign_rows_are_the_first_of_the_next_day(sim):
    after = lines(sim, "", ("spot", "daily", "trades", "BTCUSDT", "2024-03-06"))[:3]
    assert lines(sim, "foreign_rows") == lines(sim) + after


def test_wrong_columns_cuts_one_line_short(sim):
    widths = [len(row) for row in csv.reader(lines(sim, "wrong_columns"))]
    assert sorted(set(widths)) == [6, 7]
    assert widths.count(6) == 1


@pytest.mark.parametrize("market", ["spot", "um"])
@pytest.mark.parametrize(("fault", "digits"), [("microseconds", 16), ("milliseconds", 13)])
@pytest.mark.parametrize("day", ["2024-03-05", "2025-03-05"])
def test_the_unit_of_time_can_be_forced(sim, market, fault, digits, day):
    rows = lines(sim, fault, (market, "daily", "trades", "BTCUSDT", day))
    assert {len(line.split(",")[4]) for line in rows if line[0].isdigit()} == {digits}


def test_a_header_can_be_forced_and_left_out(sim):
    seen = lines(sim, "header_present")
    assert seen[0] == "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match"
    assert seen[1:] == lines(sim)
    futures = ("um", "daily", "trades", "BTCUSDT", "2024-03-05")
    assert lines(sim, "header_absent", futures) == lines(sim, "", futures)[1:]


def test_line_ends_bom_and_an_empty_file(sim):
    clean = get_text(sim, *WHERE)
    assert get_text(sim, *WHERE, dataset=broken("crlf")) == clean.replace("\n", "\r\n")
    assert get_text(sim, *WHERE, dataset=broken("bom")) == "\ufeff" + clean
    assert get_text(sim, *WHERE, dataset=broken("empty_member")) == ""


def test_a_truncated_zip_and_a_flipped_bit_cannot_be_read(sim):
    clean = get_zip(sim, url(*WHERE))
    cut = get_zip(sim, url(*WHERE, dataset=broken("zip_truncated")))
    assert cut == clean[: len(cut)]
    assert len(cut) < len(clean)
    with pytest.raises(zipfile.BadZipFile):
        read_text(cut)
    flipped = get_zip(sim, url(*WHERE, dataset=broken("bit_flip")))
    assert sum((a ^ b).bit_count() for a, b in zip(clean, flipped, strict=True)) == 1
    with pytest.raises((zipfile.BadZipFile, zlib.error)):
        read_text(flipped)


def test_trailing_junk_follows_a_whole_zip(sim):
    clean = get_zip(sim, url(*WHERE))
    assert get_zip(sim, url(*WHERE, dataset=broken("trailing_junk"))) == clean + b"\x5a" * 64


def test_members_that_should_not_be_there(sim):
    with zipfile.ZipFile(io.BytesIO(get_zip(sim, url(*WHERE, dataset=broken("stray_member"))))) as zipped:
        assert zipped.namelist() == ["BTCUSDT-trades-2024-03-05.csv", "BTCUSDT-stray.csv"]
    with zipfile.ZipFile(io.BytesIO(get_zip(sim, url(*WHERE, dataset=broken("traversal_member"))))) as zipped:
        assert zipped.namelist() == ["../../BTCUSDT-trades-2024-03-05.csv"]


def test_a_zip_bomb_is_a_thousand_times_its_size(sim):
    body = get_zip(sim, url(*WHERE, dataset=broken("zip_bomb")))
    with zipfile.ZipFile(io.BytesIO(body)) as zipped:
        assert zipped.infolist()[0].file_size == 256 * 2**20
    assert len(body) < 256 * 2**20 / 900


def test_checksums_can_be_wrong_missing_or_anothers(sim):
    name = "BTCUSDT-trades-2024-03-05.zip"
    right = hashlib.sha256(get_zip(sim, url(*WHERE))).hexdigest()
    wrong = sim.get(url(*WHERE, dataset=broken("checksum_wrong")) + ".CHECKSUM").text
    assert wrong.endswith(f"  {name}")
    assert len(wrong) == 64 + 2 + len(name)
    assert not wrong.startswith(right)
    other = sim.get(url(*WHERE, dataset=broken("checksum_other")) + ".CHECKSUM").text
    assert other == f"{right}  OTHER{name}"
    assert sim.get(url(*WHERE, dataset=broken("checksum_missing")) + ".CHECKSUM").status_code == 404
    for fault in ("checksum_wrong", "checksum_other", "checksum_missing"):
        assert sim.get(url(*WHERE, dataset=broken(fault))).content == sim.get(url(*WHERE)).content


def test_not_found_is_404_for_archives_alone(sim):
    for suffix in ("", ".CHECKSUM"):
        assert sim.get(url(*WHERE, dataset=broken("not_found")) + suffix).status_code == 404
    assert sim.get(f"/datasets/{broken('not_found')}/api/v3/exchangeInfo").status_code == 200


@pytest.mark.parametrize(("fault", "status"), [("rate_limited", 429), ("server_error", 503)])
def test_passing_faults_end_after_two_requests_of_each_url(fresh_sim, fault, status):
    client = fresh_sim()
    address = url(*WHERE, dataset=broken(fault))
    answers = [client.get(address) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [status, status, 200, 200]
    assert answers[2].content == client.get(url(*WHERE)).content
    assert client.get(address + ".CHECKSUM").status_code == status
    assert answers[0].headers.get("retry-after") == ("1" if fault == "rate_limited" else None)


def test_republished_replaces_one_row_and_the_checksum_after_some_requests(fresh_sim, where):
    client, n = fresh_sim(), {"trades": 2, "aggTrades": 2, "klines": 5}[where[2]]
    address = url(*where, dataset=f"{SMALL},fault=republished,republish_after=3", **interval(where))
    clean = get_zip(client, url(*where, **interval(where)))
    old = client.get(address + ".CHECKSUM").text.split()[0]
    before = client.get(address)
    assert hashlib.sha256(before.content).hexdigest() == old == client.get(address + ".CHECKSUM").text.split()[0]
    rows = [list(csv.reader(io.StringIO(read_text(content)))) for content in (before.content, clean)]
    (changed,) = [pair for pair in zip(*rows, strict=True) if pair[0] != pair[1]]
    assert [i for i, cells in enumerate(zip(*changed, strict=True)) if cells[0] != cells[1]] == [n]
    after = client.get(address)
    assert after.content == clean
    assert after.headers["etag"] != before.headers["etag"]
    assert client.get(address + ".CHECKSUM").text.split()[0] == hashlib.sha256(clean).hexdigest()


def test_the_time_to_wait_can_be_chosen(fresh_sim):
    address = url(*WHERE, dataset=f"{SMALL},fault=rate_limited,retry_after=7")
    assert fresh_sim().get(address).headers["retry-after"] == "7"


def test_lasting_faults_last(sim):
    for _ in range(4):
        banned = sim.get(url(*WHERE, dataset=broken("banned")))
        assert (banned.status_code, banned.headers["retry-after"]) == (418, "120")
        assert sim.get(url(*WHERE, dataset=broken("always_down"))).status_code == 503
    moved = sim.get(url(*WHERE, dataset=broken("redirect")))
    assert moved.status_code == 302
    assert moved.headers["location"].startswith("http://127.0.0.2")
    assert moved.headers["location"].endswith(WHERE[-1] + ".zip")


@pytest.mark.parametrize(("fault", "status"), [("banned", 418), ("always_down", 503), ("redirect", 302)])
def test_rest_is_refused_as_archives_are(sim, fault, status):
    assert sim.get(f"/datasets/{broken(fault)}/api/v3/exchangeInfo").status_code == status
    assert sim.get(f"/datasets/{broken(fault)},fault_on=trades/api/v3/exchangeInfo").status_code == 200


def test_a_fault_stays_on_the_archives_it_is_on(sim):
    dataset = f"{SMALL},fault=id_gap,fault_on=2024-03-05"
    assert get_text(sim, *WHERE, dataset=dataset) != get_text(sim, *WHERE)
    assert get_text(sim, *WHERE, dataset=dataset) == get_text(sim, *WHERE, dataset=broken("id_gap"))
    other = (*WHERE[:4], "2024-03-06")
    assert get_zip(sim, url(*other, dataset=dataset)) == get_zip(sim, url(*other))


def test_every_fault_is_in_the_documentation(repository_docs):
    for fault in FAULTS:
        assert f"`{fault}`" in repository_docs
