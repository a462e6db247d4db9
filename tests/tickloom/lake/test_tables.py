"""Numbers that go into a table come out of it: exactly, or not at all."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tickloom.errors import CorruptFile, ExactnessLost
from tickloom.lake import (
    BYTES,
    DELTA,
    PLAIN,
    STEPS,
    WORDS,
    aggressor_sides,
    decimals,
    flags,
    floats,
    read_table,
    rescale,
    table_writer,
    times,
    units,
    write_table,
)

LARGEST = 10**18 - 1
I64 = st.integers(-(2**63), 2**63 - 1)
UNITS = st.lists(st.integers(-LARGEST, LARGEST), max_size=40)
SCALES = st.integers(0, 18)


def ints(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


def bytes_of(table: pa.Table) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        write_table(table, path)
        return path.read_bytes()


@given(values=UNITS, scale=SCALES)
@example([LARGEST, -LARGEST, 0], 18)
@example([LARGEST, -LARGEST, 0], 0)
def test_a_decimal_column_round_trips_exactly_and_means_the_numbers_it_should(values: list[int], scale: int) -> None:
    column = decimals(ints(values), scale)
    back, its_scale = units(read_table(bytes_of(pa.table({"x": column})))["x"])
    assert back.tolist() == values
    assert its_scale == scale
    assert column.to_pylist() == [Decimal(value).scaleb(-scale) for value in values]


@given(
    data=st.lists(
        st.tuples(I64, st.floats(allow_nan=False), st.text(max_size=3), st.booleans(), st.integers(-128, 127)),
        max_size=30,
    )
)
def test_every_kind_of_column_round_trips(data: list[tuple[int, float, str, bool, int]]) -> None:
    columns = list(zip(*data, strict=True)) or [()] * 5
    types = [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.int8()]
    table = pa.table({f"c{i}": pa.array(c, t) for i, (c, t) in enumerate(zip(columns, types, strict=True))})
    assert read_table(bytes_of(table)).equals(table)


@given(values=st.lists(I64, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_equal_tables_have_equal_bytes_however_they_are_cut_and_annotated(values: list[int], cuts: list[int]) -> None:
    table = pa.table({"i": pa.array(values, pa.int64()), "s": pa.array([str(v % 3) for v in values], pa.string())})
    edges = sorted({0, len(values), *(min(cut, len(values)) for cut in cuts)})
    pieces = [table.slice(a, b - a) for a, b in pairwise(edges)] or [table]
    cut = pa.concat_tables(pieces).replace_schema_metadata({"pandas": "left by another program"})
    assert cut.equals(table)
    assert bytes_of(cut) == bytes_of(table)


def test_equal_tables_have_equal_bytes_also_over_many_pages_and_row_groups() -> None:
    n = (1 << 20) + 5000
    rng = np.random.default_rng(7)
    numbers = pa.table({"id": np.arange(n), "price": decimals(rng.integers(1, 10**12, n), 8), "x": rng.normal(size=n)})
    texts = pa.table({"text": [rng.bytes(100).hex() for _ in range(30_000)]})  # pages end by size, not by rows
    for table in (numbers, texts):
        cut = pa.concat_tables([table.slice(0, 1), table.slice(1, 7_777), table.slice(7_778)])
        assert bytes_of(cut) == bytes_of(table)


def test_a_bit_that_flips_in_a_page_is_seen_without_knowing_the_files_digest() -> None:
    rng = np.random.default_rng(13)
    whole = bytes_of(pa.table({"x": rng.normal(size=5_000)}))
    for place in rng.integers(1_000, 35_000, 200):  # among the 40,000 bytes of the values
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(CorruptFile):
            read_table(bytes(damaged))


@pytest.mark.parametrize("value", [10**18, -(10**18), 2**63 - 1, -(2**63)])
def test_a_number_of_more_than_18_digits_is_refused(value: int) -> None:
    with pytest.raises(ExactnessLost, match="18 digits"):
        decimals(ints([1, value]), 2)


def test_units_of_one_chunk_are_the_columns_own_memory_and_cannot_be_written() -> None:
    values = ints([1, 2, 3])
    back, _ = units(decimals(values, 2))
    assert np.shares_memory(back, values)
    with pytest.raises(ValueError, match="read-only"):
        units(read_table(bytes_of(pa.table({"x": decimals(values, 2)})))["x"])[0][0] = 9


def test_units_of_a_slice_and_of_many_chunks_are_the_rows_that_they_show() -> None:
    column = decimals(ints(list(range(10))), 1)
    assert units(column.slice(3, 4))[0].tolist() == [3, 4, 5, 6]
    assert units(pa.chunked_array([column.slice(8), column.slice(0, 2)]))[0].tolist() == [8, 9, 0, 1]
    assert units(pa.chunked_array([], pa.decimal64(18, 5)))[1] == 5


def test_a_column_that_is_not_exact_has_no_units() -> None:
    with pytest.raises(TypeError, match="decimal128"):
        units(pa.array([Decimal("1.5")], pa.decimal128(18, 1)))
    with pytest.raises(TypeError, match="double"):
        units(pa.array([1.5]))
    with pytest.raises(ValueError, match="no nulls"):
        units(pa.array([Decimal("1.5"), None], pa.decimal64(18, 1)))


@given(values=st.lists(I64, max_size=20), scale=SCALES, wanted=st.integers(0, 40))
@example([-(2**63)], 0, 0)
@example([-(2**63)], 0, 1)
@example([-(2**63), 1], 0, 18)
@example([0, 0], 0, 40)
@example([10], 1, 0)
@example([2**63 - 1], 0, 1)
def test_rescaled_numbers_are_those_that_decimals_give_or_none(values: list[int], scale: int, wanted: int) -> None:
    exact = [Fraction(value, 10**scale) * 10**wanted for value in values]
    if all(x.denominator == 1 and abs(x) < 2**63 for x in exact) or (scale == wanted):
        assert rescale(ints(values), scale, wanted).tolist() == exact
    elif all(x == -(2**63) or (x.denominator == 1 and abs(x) < 2**63) for x in exact):
        pass  # the one number without a positive twin may be refused
    else:
        with pytest.raises(ExactnessLost):
            rescale(ints(values), scale, wanted)


@given(values=UNITS, scale=SCALES)
@example([2**53, 2**53 + 1, -(2**53) - 1, 2**54 + 2, 9007199254740993], 0)
@example([LARGEST, LARGEST - 1, 123456789012345678, -987654321098765433], 2)
@example([1, 3, 7, LARGEST], 18)
def test_a_float_is_the_double_nearest_to_the_decimal(values: list[int], scale: int) -> None:
    nearest = [float(Fraction(value, 10**scale)) for value in values]  # Fraction rounds once, to even
    assert floats(decimals(ints(values), scale)).tolist() == nearest
    assert floats(pa.chunked_array([decimals(ints(values), scale)])).tolist() == nearest


@pytest.mark.parametrize("scale", range(19))
def test_a_float_of_18_digits_is_rounded_once(scale: int) -> None:
    """Rounded twice, to a double and then by the division, one in four of these would be wrong."""
    values = np.random.default_rng(scale).integers(-LARGEST, LARGEST, 300)
    nearest = [float(Fraction(int(value), 10**scale)) for value in values]
    assert floats(decimals(values, scale)).tolist() == nearest


@given(values=st.lists(st.floats() | st.integers(-(2**53), 2**53), max_size=20))
def test_floats_of_other_columns_are_the_numbers_and_nan_for_null(values: list[float]) -> None:
    assume(all(isinstance(v, float) for v in values) or all(isinstance(v, int) for v in values))
    got = floats(pa.array([*values, None]))
    assert np.array_equal(got, np.array([*values, np.nan], np.float64), equal_nan=True)


def test_columns_come_in_the_order_they_are_asked_for_and_a_missing_one_is_named() -> None:
    data = bytes_of(pa.table({"a": [1], "b": [2], "c": [3]}))
    assert read_table(data, ["c", "a"]).column_names == ["c", "a"]
    with pytest.raises(CorruptFile, match="no column nope"):
        read_table(data, ["a", "nope"])


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all", b"PAR1" * 9])
def test_what_is_no_parquet_is_a_corrupt_file(data: bytes) -> None:
    with pytest.raises(CorruptFile):
        read_table(data)


PACKINGS = {"delta": DELTA, "steps": STEPS, "bytes": BYTES, "words": WORDS, "plain": PLAIN}


def packed(values: np.ndarray, path: Path) -> bytes:
    schema = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in PACKINGS])
    with table_writer(path, schema, PACKINGS) as writer:
        writer.write_table(pa.table(dict.fromkeys(PACKINGS, pa.array(values)), schema))
    return path.read_bytes()


@given(values=st.lists(st.booleans(), max_size=70), before=st.integers(0, 9))
def test_flags_come_back_as_sides_from_any_row_on(values: list[bool], before: int) -> None:
    column = flags(np.array(values, np.int8))
    assert column.to_pylist() == values
    sides = [-1 if value else 1 for value in values]
    assert aggressor_sides(read_table(bytes_of(pa.table({"x": column})))["x"]).tolist() == sides
    assert aggressor_sides(column.slice(before)).tolist() == sides[before:]
    halves = pa.chunked_array([column[:before], column[before:]])
    assert aggressor_sides(halves).tolist() == sides


def test_a_flag_that_is_missing_is_no_side() -> None:
    with pytest.raises(ValueError, match="no nulls"):
        aggressor_sides(pa.array([True, None]))


def test_a_column_of_a_row_group_is_one_page(tmp_path: Path) -> None:
    """Of every 20,000 rows pyarrow would make a page of its own, and the file a tenth larger."""
    rng = np.random.default_rng(3)
    values = (10 ** rng.normal(3, 0.7, 300_000)).astype(np.int64)
    schema = pa.schema([pa.field("bytes", pa.int64(), nullable=False)])
    with table_writer(tmp_path / "long.parquet", schema, PACKINGS) as writer:
        writer.write_table(pa.table({"bytes": values}, schema))
    with pq.ParquetWriter(
        tmp_path / "short.parquet",
        schema,
        compression="zstd",
        use_dictionary=False,
        column_encoding={"bytes": BYTES.encoding},
    ) as writer:
        writer.write_table(pa.table({"bytes": values}, schema))
    assert (tmp_path / "long.parquet").stat().st_size < 0.95 * (tmp_path / "short.parquet").stat().st_size


@given(values=st.lists(I64, max_size=60))
def test_every_packing_gives_back_what_went_in(values: list[int]) -> None:
    with TemporaryDirectory() as folder:
        found = read_table(packed(ints(values), Path(folder) / "t.parquet"))
    assert all(found[name].to_pylist() == values for name in PACKINGS)


@pytest.mark.parametrize("name", PACKINGS)
def test_a_bit_that_flips_in_a_page_of_any_packing_is_seen(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(17)
    schema = pa.schema([pa.field(name, pa.int64(), nullable=False)])
    with table_writer(tmp_path / "t.parquet", schema, PACKINGS) as writer:
        writer.write_table(pa.table({name: pa.array(rng.integers(0, 100, 5000))}, schema))
    whole = (tmp_path / "t.parquet").read_bytes()
    for _ in range(40):
        at = int(rng.integers(200, len(whole) - 700))
        broken = bytearray(whole)
        broken[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(CorruptFile):
            read_table(bytes(broken))


@given(values=st.lists(st.integers(-(2**62) // 1000, 2**62 // 1000), max_size=40), milliseconds=st.booleans())
def test_times_are_kept_as_timestamps_and_come_back_as_microseconds(values: list[int], milliseconds: bool) -> None:
    microseconds = ints(values) * 1000 if milliseconds else ints(values)
    table = pa.table({"ts": times(microseconds, milliseconds=milliseconds), "n": ints(values)})
    assert table["ts"].type == pa.timestamp("ms" if milliseconds else "us", tz="UTC")
    for found in (read_table(bytes_of(table)), read_table(bytes_of(table), ["ts"])):
        assert found["ts"].type == pa.int64()
        assert found["ts"].to_pylist() == microseconds.tolist()
