"""venue file: real and made files through the whole stage."""

import gzip
import shutil
from decimal import Decimal
from hashlib import sha256
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import polars as pl
import pytest

from services.download.adapters import texts
from services.download.domain import errors
from tests.services.download.runs import Stage, partitions
from tests.services.download.sources import trade, zipped
from tickloom.lake import read_table
from tickloom.settings import settings


@pytest.fixture
def real(shared_data, home, monkeypatch):
    monkeypatch.setenv("TICKLOOM_IMPORT_DIR", str(shared_data))
    settings.cache_clear()
    return shared_data


def test_the_klines_of_a_real_feather_file_are_imported_to_the_last_digit(real):
    path = "klines/binance_spot/BTC_USDT-15m-2023.feather"
    run = Stage().run(venue="file", data_type="klines", interval="15m", files={"BTCUSDT": path})
    (entry,) = run.under("BTCUSDT/")
    assert (entry.name, entry.rows) == ("BTCUSDT/2023-01-01.parquet", 34994)
    gaps = run.facts["quality"]
    assert gaps["time_gaps"] == 1
    table = Stage().lake.read_table(entry)
    frame = pl.read_ipc(real / path)
    for name in ("open", "high", "low", "close", "volume"):
        assert table.column(name).to_pylist() == [Decimal(repr(v)) for v in frame[name]]
    assert table.column("ts_open").to_pylist() == frame["date"].dt.epoch("us").to_list()
    assert entry.facts["volume"] == "36595192.08953"


@pytest.mark.parametrize(
    ("symbol", "path", "interval", "rows"),
    [
        ("BTCUSDT", "klines/binance_spot/BTCUSDT_15m_2020-10_2021-01_12col.csv.gz", "15m", 8809),
        ("BTCUSDT", "klines/binance_spot/btcusdt_day_2020.csv", "1d", 366),
        ("BTCUSDT", "klines/vision_zip/BTCUSDT-1m/BTCUSDT-1m-2025-06-05.zip", "1m", 1440),
        ("BTCEUR", "klines/bitvavo/BTC-EUR_1h_2021-12_2023-12.csv.gz", "1h", 17706),
        ("BTCUSD", "klines/coinbase/BTCUSD_1h_2017-07_2019-10.csv.gz", "1h", 20111),
        ("BTCUSD", "klines/bitstamp/btcusd_min_2020-01-01.csv", "1m", 1440),
    ],
)
def test_real_files_of_many_vendors_are_understood(real, symbol, path, interval, rows):
    run = Stage().run(venue="file", data_type="klines", interval=interval, files={symbol: path})
    assert run.facts["symbols"][symbol]["rows"] == rows
    assert run.facts["quality"]["dropped"] == {"sentinel": 0, "other_day": 0, "duplicate": 0}


def test_klines_whose_open_lies_outside_of_low_and_high_are_refused(real):
    files = {"XBTUSD": "klines/bitmex/XBTUSD_1m_2019.parquet"}
    with pytest.raises(errors.BadRow, match=r"row 116: open or close lies outside of low and high \(open [\d.]+, high"):
        Stage().run(venue="file", data_type="klines", interval="1m", files=files)


def klines_csv(*rows):
    return "\n".join(["date,open,high,low,close,volume", *rows]) + "\n"


@pytest.mark.parametrize(
    ("kind", "text", "error", "says"),
    [
        (
            "klines",
            klines_csv("1704412800000,1,2,0.5,1.5,0.30000000000000004", "1704412860000,1,2,0.5,1.5,123456.789"),
            errors.DoesNotFit,
            "the volume 123456.789 (the kline of 2024-01-05T00:01:00Z) needs more than 18 digits beside "
            "0.30000000000000004 (the kline of 2024-01-05T00:00:00Z)",
        ),
        (
            "klines",
            klines_csv("1704412800000,1,200,0.12345678901234567,1.5,1"),
            errors.DoesNotFit,
            "the price 200 (the kline of 2024-01-05T00:00:00Z) needs more than 18 digits beside 0.12345678901234567",
        ),
        (
            "klines",
            klines_csv("1704412800000,1,2,0.5,1.5,1", "1704412860000,3,2,0.5,1.5,1"),
            errors.BadRow,
            "f.csv, row 2: open or close lies outside of low and high (open 3, high 2, low 0.5, close 1.5)",
        ),
        (
            "klines",
            klines_csv("1704412800000,1,2,0,1.5,1"),
            errors.BadRow,
            "f.csv, row 1: low is not positive (0)",
        ),
        ("klines", klines_csv("1704412800000,1,2,nan,1.5,1"), errors.BadRow, "f.csv, row 1: a field is not a number"),
        (
            "trades",
            trade(1, price="1000000.5") + trade(2, price="0.000000000000001"),
            errors.DoesNotFit,
            "the price 1000000.5 (trade 1) needs more than 18 digits beside 0.000000000000001 (trade 2)",
        ),
        ("trades", trade(1) + trade(2, price="x"), errors.BadRow, "f.csv, line 2: a field is not a number"),
    ],
)
def test_a_value_that_cannot_be_kept_is_named_with_its_row_for_the_user_to_correct(imports, kind, text, error, says):
    (imports / "f.csv").write_text(text)
    fields = {"data_type": "trades"} if kind == "trades" else {"data_type": "klines", "interval": "1m"}
    with pytest.raises(error) as refused:
        Stage().run(venue="file", files={"BTCUSDT": "f.csv"}, **fields)
    sent = ForkingPickler.loads(ForkingPickler.dumps(refused.value)).problem()
    assert says in sent["detail"]
    assert (sent["status"], sent["next"]) == (422, "correct the file, or take a better one, and submit again")


def test_the_coinbase_file_takes_the_base_volume_and_the_right_hour(real):
    files = {"BTCUSD": "klines/coinbase/BTCUSD_1h_2017-07_2019-10.csv.gz"}
    run = Stage().run(
        venue="file", data_type="klines", interval="1h", files=files, start_date="2019-10-17", end_date="2019-10-17"
    )
    row = Stage().lake.read_table(run.under("BTCUSD/")[0]).slice(9).to_pylist()[0]
    assert (row["ts_open"], row["close"]) == (1571302800000000, Decimal("8035.88"))
    assert row["volume"] == Decimal("61.25")


def kline(opened, step=60_000):
    return f"{opened},100,101,99,100.5,2,{opened + step - 1},201,3,1,100.5,0\n"


@pytest.mark.parametrize("off_ms", [0, 25_000])
def test_klines_that_open_off_their_interval_have_no_good_grade(imports, off_ms):
    (imports / "k.csv").write_text("".join(kline(1_704_412_800_000 + off_ms + 60_000 * i) for i in range(100)))
    stage = Stage()
    run = stage.run(venue="file", data_type="klines", interval="1m", files={"BTCUSDT": "k.csv"})
    (certificate,) = stage.certificates(run)
    grades = {check["name"]: check["grade"] for check in certificate["checks"]}
    assert (grades.pop("alignment"), set(grades.values())) == ("F" if off_ms else "A", {"A"})


@pytest.mark.parametrize(("ts", "year"), [(99_999_000_000_000, 5138), (1_704_412_800, 1970), (4_102_444_800_000, 2100)])
@pytest.mark.parametrize("kind", ["trades", "shuffled", "klines"])
def test_t07_a_time_of_an_impossible_year_is_refused(imports, ts, year, kind):
    good = 4_102_444_799_000 if year == 2100 else 1_704_412_800_000
    if kind == "klines":
        ask, rows = {"data_type": "klines", "interval": "1m"}, [kline(good), kline(ts)]
    else:
        ask, rows = {"data_type": "trades"}, [trade(2, good), trade(3 if kind == "trades" else 1, ts)]
    (imports / "t.csv").write_text("".join(rows))
    with pytest.raises(errors.BadRow, match=f"line 2: its time lies in the year {year}"):
        Stage().run(venue="file", files={"BTCUSDT": "t.csv"}, **ask)


def test_an_archive_of_trades_is_imported_like_one_that_was_downloaded(imports):
    (imports / "BTCUSDT-trades-2024-01-05.zip").write_bytes(zipped({"x.csv": (trade(1) + trade(2)).encode()}))
    (imports / "t.csv").write_text(trade(1) + trade(2))
    ask = {"venue": "file", "data_type": "trades"}
    runs = [Stage().run(**ask, files={"BTCUSDT": name}) for name in ("BTCUSDT-trades-2024-01-05.zip", "t.csv")]
    assert partitions(runs[0]) == partitions(runs[1])


def test_only_the_days_asked_for_are_imported(imports):
    day_ms = 86_400_000
    t0 = 1704412800000
    (imports / "t.csv").write_text("".join(trade(i, t0 + i * day_ms) for i in range(4)))
    run = Stage().run(
        venue="file", data_type="trades", files={"BTCUSDT": "t.csv"}, start_date="2024-01-06", end_date="2024-01-07"
    )
    assert list(partitions(run)) == ["BTCUSDT/2024-01-06.parquet", "BTCUSDT/2024-01-07.parquet"]
    assert run.facts["quality"]["dropped"]["other_day"] == 2


def test_a_pinned_file_that_changed_is_refused_and_the_unchanged_one_is_taken(imports):
    (imports / "t.csv").write_text(trade(1))
    pinned = sha256(trade(1).encode()).hexdigest()
    ask = {"venue": "file", "data_type": "trades"}
    files = {"BTCUSDT": {"path": "t.csv", "sha256": pinned}}
    assert Stage().run(**ask, files=files).facts["quality"]["verified"] == 1
    (imports / "t.csv").write_text(trade(2))
    files = {"BTCUSDT": {"path": "t.csv", "sha256": pinned.replace(pinned[0], "0" if pinned[0] != "0" else "1")}}
    with pytest.raises(errors.FileChanged):
        Stage().run(**ask, files=files)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("t.xlsx", b"x", errors.FileUnreadable),
        ("t.parquet", b"x", errors.FileUnreadable),
        ("t.zip", b"x", errors.BadArchive),
        ("t.csv", b"a,b\n1,2\n", errors.BadHeader),
        ("t.csv", b"", errors.NothingThere),
    ],
)
def test_trades_in_a_file_that_cannot_hold_them_are_refused_by_name(imports, name, data, error):
    (imports / name).write_bytes(data)
    with pytest.raises(error):
        Stage().run(venue="file", data_type="trades", files={"BTCUSDT": name})


@pytest.mark.parametrize("kind", ["trades", "plain klines", "klines"])
@pytest.mark.parametrize("damage", ["cut short", "a byte changed", "not gzipped", "a wrong sum"])
def test_a_gzipped_file_that_is_damaged_is_refused_by_name(imports, kind, damage):
    times = range(1704412800000, 1704412800000 + 60_000 * 3000, 60_000)
    text = {
        "trades": "".join(trade(i) for i in range(1, 3000)),
        "plain klines": "".join(f"{t},1,2,0.5,1.5,10,{t + 59999},15,3,5,7,0\n" for t in times),
        "klines": "date,open,high,low,close,volume\n" + "".join(f"{t},1,2,0.5,1.5,10\n" for t in times),
    }[kind].encode()
    packed = bytearray(gzip.compress(text))
    if damage == "cut short":
        del packed[-20:]
    elif damage == "not gzipped":
        packed = bytearray(text)
    else:
        packed[len(packed) // 2 if damage == "a byte changed" else -6] ^= 0xFF
    (imports / "f.csv.gz").write_bytes(packed)
    fields = {"data_type": "trades"} if kind == "trades" else {"data_type": "klines", "interval": "1m"}
    with pytest.raises(errors.FileUnreadable, match=r"f.csv.gz.*it is damaged"):
        Stage().run(venue="file", files={"BTCUSDT": "f.csv.gz"}, **fields)


def test_a_gzipped_file_that_grows_out_of_all_proportion_is_refused(imports):
    line = b"1704412800000,1,2,0.5,1.5,1\n"
    (imports / "bomb.csv.gz").write_bytes(gzip.compress(b"date,open,high,low,close,volume\n" + line * 2_000_000))
    with pytest.raises(errors.ZipBomb, match=r"bomb.csv.gz: its [\d,]+ bytes unpack to more than"):
        Stage().run(venue="file", data_type="klines", interval="1m", files={"BTCUSDT": "bomb.csv.gz"})
    (imports / "bomb.csv.gz").write_bytes(gzip.compress(trade(1).encode() * 500_000))
    with pytest.raises(errors.ZipBomb):
        Stage().run(venue="file", data_type="trades", files={"BTCUSDT": "bomb.csv.gz"})


def test_a_table_of_more_text_than_is_read_at_once_is_refused_before_it_is_read(imports, monkeypatch):
    monkeypatch.setattr(texts, "MAX_TABLE", 1000)
    text = "date,open,high,low,close,volume\n" + "1704412800000,1,2,0.5,1.5,1\n" * 100
    (imports / "long.csv").write_text(text)
    with pytest.raises(errors.FileUnreadable, match=r"more than 1,000 bytes of text: divide it"):
        Stage().run(venue="file", data_type="klines", interval="1m", files={"BTCUSDT": "long.csv"})


def test_a_file_outside_of_the_folder_is_refused(imports, tmp_path):
    (tmp_path / "secret.csv").write_text(trade(1))
    (imports / "link.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(errors.FileOutside):
        Stage().run(venue="file", data_type="trades", files={"BTCUSDT": "link.csv"})


def test_what_is_stored_can_be_read_by_other_programs(imports):
    (imports / "t.csv").write_text(trade(1))
    run = Stage().run(venue="file", data_type="trades", files={"BTCUSDT": "t.csv"})
    path = Stage().lake.path(run.under("BTCUSDT/")[0])
    assert isinstance(path, Path)
    copy = shutil.copy(path, imports / "copy.parquet")
    assert pl.read_parquet(copy)["price"].to_list() == [Decimal("100.5")]
    assert read_table(path).num_rows == 1
