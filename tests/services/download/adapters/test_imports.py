"""Klines from files of other programs, and the door that they come through."""

import gzip
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.download.adapters import imports
from services.download.domain.errors import FileChanged, FileMissing, FileOutside, FileUnreadable

ROWS = "10,12,9.5,11,5.5"
T0 = 1_704_412_800


def text_of(file, symbol="BTCUSDT"):
    text, layout = imports.klines_text(file, file.name, symbol)
    return text.decode().splitlines(), [column.name for column in layout.columns]


def csv(tmp_path, text, name="k.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize(
    "stamp",
    [
        f"{T0}",
        f"{T0}000",
        f"{T0}000000",
        f"{T0}000000000",
        "2024-01-05 00:00:00",
        "2024-01-05T00:00:00",
        "2024-01-05 00:00",
        "2024-01-05",
        "2024-01-05T00:00:00Z",
        "2024-01-05T00:00:00.000+0000",
        "2024-01-05 00:00:00+00:00",
        "2024-01-05T02:00:00+0200",
        "2024-01-05 12-AM",
        "2024/01/05 00:00:00",
    ],
)
def test_every_spelling_of_a_moment_is_the_same_moment(tmp_path, stamp):
    (line,), _ = text_of(csv(tmp_path, f"date,open,high,low,close,volume\n{stamp},{ROWS}\n"))
    assert line == f"{T0}000000,{ROWS}"


@pytest.mark.parametrize("stamp", ["yesterday", "05.01.2024", "2024-13-01", "0", "12", f"{T0}.5"])
def test_a_moment_that_is_not_understood_is_refused(tmp_path, stamp):
    with pytest.raises(FileUnreadable):
        text_of(csv(tmp_path, f"date,open,high,low,close,volume\n{stamp},{ROWS}\n"))


def test_times_in_two_units_are_refused(tmp_path):
    with pytest.raises(FileUnreadable, match="more than one unit"):
        text_of(csv(tmp_path, f"date,open,high,low,close,volume\n{T0}000,{ROWS}\n{T0 + 60}000000,{ROWS}\n"))


def test_columns_are_found_by_the_names_that_programs_give_them(tmp_path):
    header = "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,x"
    lines, names = text_of(csv(tmp_path, f"{header}\n{T0},{ROWS},9,60.5,7,zzz\n"))
    assert names == ["ts_open", "open", "high", "low", "close", "volume", "notional", "n_trades"]
    assert lines == [f"{T0}000000,{ROWS},60.5,7"]


def test_a_line_about_the_vendor_before_the_header_is_passed_over(tmp_path):
    lines, _ = text_of(
        csv(tmp_path, f"Times are UTC,https://vendor.example\ndate,open,high,low,close,volume\n{T0},{ROWS}\n")
    )
    assert lines == [f"{T0}000000,{ROWS}"]


def test_the_volume_is_that_of_the_base_currency_or_nothing(tmp_path):
    file = csv(tmp_path, f"date,open,high,low,close,volume_btc,volume\n{T0},10,12,9.5,11,5.5,60\n")
    assert text_of(file, "BTCUSD")[0] == [f"{T0}000000,{ROWS}"]
    with pytest.raises(FileUnreadable, match="not clear which column"):
        text_of(file, "ETHUSD")


@pytest.mark.parametrize("missing", ["date", "open", "close", "volume"])
def test_a_file_without_a_needed_column_is_refused_by_name(tmp_path, missing):
    names = [n if n != missing else "x" for n in ("date", "open", "high", "low", "close", "volume")]
    with pytest.raises(FileUnreadable, match="volume" if missing == "volume" else "no column is"):
        text_of(csv(tmp_path, f"{','.join(names)}\n{T0},{ROWS}\n"))


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(FileUnreadable, match="two columns"):
        text_of(csv(tmp_path, f"date,open,Open,high,low,close,volume\n{T0},1,{ROWS}\n"))


def test_an_empty_cell_is_refused(tmp_path):
    with pytest.raises(FileUnreadable, match="no value"):
        text_of(csv(tmp_path, f"date,open,high,low,close,volume\n{T0},10,,9,11,5\n"))


@pytest.mark.parametrize("data", [b"", b"\x00\x01", b"date\n", b"\x1f\x8b\x08garbage"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.feather"])
def test_a_file_that_is_something_else_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileUnreadable):
        text_of(tmp_path / name)


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=20))
def test_a_float_becomes_the_shortest_text_that_reads_back_as_it(tmp_path_factory, values):
    file = tmp_path_factory.mktemp("f") / "k.feather"
    times = pl.Series([T0 * 1_000_000 + i for i in range(len(values))]).cast(pl.Datetime("us", "UTC"))
    pl.DataFrame({"date": times, **dict.fromkeys(("open", "high", "low", "close", "volume"), values)}).write_ipc(file)
    lines, _ = text_of(file)
    for line, value in zip(lines, values, strict=True):
        assert Decimal(line.split(",")[1]) == Decimal(repr(value))


@pytest.mark.parametrize("name", ["k.csv.gz", "k.parquet", "k.feather"])
def test_every_kind_of_file_gives_the_same_text(tmp_path, name):
    prices = {"open": [10.25], "high": [12.0], "low": [9.5], "close": [11.0]}
    frame = pl.DataFrame({"date": [T0], **prices, "volume": [5.5]})
    file = tmp_path / name
    if name.endswith("gz"):
        file.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        (frame.write_parquet if name.endswith("parquet") else frame.write_ipc)(file)
    assert text_of(file)[0] == [f"{T0}000000,10.25,12.0,9.5,11.0,5.5"]


@pytest.mark.parametrize(
    "path", ["../secret.csv", "/etc/passwd", "a/../../secret.csv", "link.csv", "dir/secret.csv", "a\0b"]
)
def test_s14_no_path_leads_out_of_the_import_folder(tmp_path, path):
    root = tmp_path / "imports"
    root.mkdir()
    (tmp_path / "secret.csv").write_text("secret")
    (root / "link.csv").symlink_to(tmp_path / "secret.csv")
    (root / "dir").symlink_to(tmp_path)
    with pytest.raises(FileOutside):
        imports.resolve(root, path)


def test_a_link_inside_the_folder_is_followed_and_a_missing_file_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    assert imports.resolve(tmp_path, "b.csv") == (tmp_path / "a.csv").resolve()
    with pytest.raises(FileMissing, match=r"c\.csv"):
        imports.resolve(tmp_path, "c.csv")


def test_a_file_that_changed_since_submission_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(FileChanged, match="at submission"):
        imports.check_sha256(tmp_path / "a.csv", "a.csv", "0" * 64)
