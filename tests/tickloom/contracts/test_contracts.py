"""What a request may say: strictly, and each thing in one way."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.tickloom.hostile import NAMES
from tickloom.contracts.artifact import FileEntry, Manifest, Part
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.bars import BarsRequest
from tickloom.contracts.base import Exact, Rate, Symbol
from tickloom.contracts.download import DownloadRequest, SourceFile, days
from tickloom.contracts.events import StageCall
from tickloom.contracts.features import FeaturesRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.contracts.stages import REQUESTS, STAGES
from tickloom.contracts.viz import VizRequest
from tickloom.identity import digest

SYMBOL: TypeAdapter[str] = TypeAdapter(Symbol)
EXACT: TypeAdapter[Decimal] = TypeAdapter(Exact)
RATE: TypeAdapter[float] = TypeAdapter(Rate)
GOOD: dict[str, dict[str, Any]] = {
    "download": {"symbols": ["BTCUSDT"], "start_date": "2022-01", "end_date": "2022-03"},
    "bars": {"spec": {"kind": "tick", "threshold": 5}},
    "features": {"features": [{"name": "sma", "timeperiod": 5}]},
    "signals": {"long_entry": "sma_5 > close"},
    "backtest": {},
    "viz": {},
}


def download(**changed: Any) -> DownloadRequest:
    return DownloadRequest.model_validate({**GOOD["download"], **changed})


# exact numbers ---------------------------------------------------------------------------------------------------


def dollar_bars(threshold: Any) -> str:
    return digest(BarsRequest.model_validate({"spec": {"kind": "dollar", "threshold": threshold}}).canonical())


@pytest.mark.parametrize("text", [1e6, "1000000", "1000000.0", "1e6", "1E+6", "+1000000.000", Decimal(10**6)])
def test_one_number_written_in_many_ways_is_one_request(text: Any) -> None:
    assert dollar_bars(text) == dollar_bars(1000000)


@pytest.mark.parametrize("other", [1000001, "1000000.000000000000000001", 999999.9999999999])
def test_another_number_is_another_request(other: Any) -> None:
    assert dollar_bars(other) != dollar_bars(1000000)


@given(units=st.integers(-(10**30), 10**30), places=st.integers(0, 18), zeros=st.integers(0, 5))
def test_an_exact_number_keeps_its_value_and_has_one_text(units: int, places: int, zeros: int) -> None:
    number = Decimal(units).scaleb(-places)
    text = format(number, "f")
    longer = text + ("" if "." in text or not zeros else ".") + "0" * zeros
    first, second = EXACT.dump_python(EXACT.validate_python(text)), EXACT.dump_python(EXACT.validate_python(longer))
    assert first == second
    assert Decimal(first) == number
    assert EXACT.dump_python(EXACT.validate_python(first)) == first
    assert "E" not in first.upper()


@given(st.floats(1, 1e15))
def test_a_float_stands_for_the_shortest_decimal_that_names_it(value: float) -> None:
    assert EXACT.validate_python(value) == Decimal(repr(value))


@pytest.mark.parametrize(
    "value",
    [
        *(True, False, None, [], {}, "", " ", "one", "0x10", "1_000", " 1", "1 ", "１", "1,5", "--1", "1e", ".", "NaN"),
        *("sNaN", "Infinity", "-Infinity", float("nan"), float("inf"), "1e31", "1e-19", "1e9999999999", "9" * 5000),
        *(10**400, "0.0000000000000000001", "1.0000000000000000001", "0." + "1" * 99, "\ud800"),
    ],
)
def test_what_is_no_number_or_has_no_exact_place_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        EXACT.validate_python(value)


def test_zero_has_no_sign() -> None:
    assert EXACT.dump_python(EXACT.validate_python("-0.0")) == "0"
    assert str(RATE.validate_python(-0.0)) == "0.0"


# strictness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_field_that_no_contract_knows_is_refused(stage: str) -> None:
    REQUESTS[stage].model_validate(GOOD[stage])
    for name in ("owner_id", "__class__", "spec2", "\ud800"):
        with pytest.raises(ValidationError):
            REQUESTS[stage].model_validate({**GOOD[stage], name: 1})


@pytest.mark.parametrize("value", [True, False, "0.1", float("nan"), float("inf"), -0.1, 1, None, [0.1], 10**400])
def test_a_rate_is_a_number_from_0_to_1_and_nothing_that_looks_like_one(value: Any) -> None:
    for field in ("commission_rate", "slippage_rate"):
        with pytest.raises(ValidationError):
            BacktestRequest.model_validate({field: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial_cash": True},
        {"initial_cash": "10000"},
        {"initial_cash": 0},
        {"initial_cash": 1e16},
        {"stop_loss_rate": 0},
        {"stop_loss_rate": True},
        {"stop_loss_rate": 1},
        {"stop_loss": {"kind": "feature"}},
        {"stop_loss": {"kind": "feature", "column": "atr_14", "multiple": 0}},
        {"stop_loss": {"kind": "feature", "column": "__class__"}},
        {"stop_loss": {"kind": "feature", "column": "atr_14"}, "stop_loss_rate": 0.02},
        {"sizing": {"kind": "fixed_fraction"}},
        {"sizing": {"kind": "fixed_fraction", "fraction": True}},
        {"sizing": {"kind": "nope"}},
        {"sizing": {"kind": "full_capital", "fraction": 0.5}},
        {"objective": "profit"},
    ],
)
def test_a_backtest_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BacktestRequest.model_validate(wrong)


def test_a_whole_number_is_a_number() -> None:
    whole = BacktestRequest.model_validate({"initial_cash": 1000, "commission_rate": 0})
    assert digest(whole.canonical()) == digest(
        BacktestRequest.model_validate({"initial_cash": 1000.0, "commission_rate": 0.0}).canonical()
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "tick", "threshold": True},
        {"kind": "tick", "threshold": 5.0},
        {"kind": "tick", "threshold": "5"},
        {"kind": "tick", "threshold": 0},
        {"kind": "tick", "threshold": 10**13},
        {"kind": "volume", "threshold": 0},
        {"kind": "dollar", "threshold": -1},
        {"kind": "dollar", "threshold": True},
        {"kind": "time", "interval": "7m"},
        {"kind": "time", "interval": "1h", "threshold": 1},
        {"kind": "time", "interval": "1h", "reset": "daily"},
        {"kind": "tick", "threshold": 5, "excess": "carry"},
        {"kind": "volume", "threshold": 1, "excess": "keep"},
        {"kind": "volume", "threshold": 1, "reset": True},
        {"kind": "dollar_run", "expected_trades": 1},
        {"kind": "dollar_run", "expected_trades": 100, "imbalance_floor": 1.0},
        {"kind": "tick_imbalance", "expected_trades": 100, "floor": 0.0},
        {"kind": "tick_imbalance", "expected_trades": 100, "floor": 1.5},
        {"kind": "tick_imbalance", "expected_trades": 100, "cap": 0.5},
        {"kind": "tick_imbalance", "expected_trades": 100, "clamp": 1.0},
        {"kind": "range", "size": 0},
        {"kind": "renko", "size": "-1"},
        {"kind": "nope", "threshold": 1},
        {"threshold": 1},
        None,
    ],
)
def test_bars_that_cannot_be_are_refused(spec: Any) -> None:
    with pytest.raises(ValidationError):
        BarsRequest.model_validate({"spec": spec})


def test_a_period_and_a_list_of_it_are_equal_requests_and_true_is_no_period() -> None:
    one, many = ({"features": [{"name": "sma", "timeperiod": period}]} for period in (20, [20]))
    assert FeaturesRequest.model_validate(one) == FeaturesRequest.model_validate(many)
    for wrong in (True, [True], 0, 100_001, "20", 20.0, [], [5, 5]):
        with pytest.raises(ValidationError):
            FeaturesRequest.model_validate({"features": [{"name": "sma", "timeperiod": wrong}]})


def test_a_grid_is_numbers_and_has_a_largest_size() -> None:
    grid = {"fast": list(range(100)), "slow": list(range(100))}
    rules = {"long_entry": "sma_{fast} > sma_{slow}"}
    assert SignalsRequest.model_validate(rules | {"parameters": grid}).n_combinations() == 10_000
    for wrong in ({"a": [True]}, {"a": ["1"]}, {"a": []}, {"A": [1]}, {"a b": [1]}, {"a": [float("nan")]}, {"a": 5}):
        with pytest.raises(ValidationError):
            SignalsRequest.model_validate({"long_entry": "x > {a}", "parameters": wrong})
    with pytest.raises(ValidationError, match="10,100 combinations"):
        SignalsRequest.model_validate(rules | {"parameters": {**grid, "fast": list(range(101))}})


def test_a_rule_that_is_wrong_is_told_of_by_its_field_and_parameters_only_once_the_rules_are_right() -> None:
    with pytest.raises(ValidationError) as caught:
        SignalsRequest.model_validate({"long_entry": "AVG(a) > {x}", "short_exit": "a", "parameters": {"y": [1]}})
    assert [error["loc"] for error in caught.value.errors()] == [("long_entry",), ("short_exit",)]
    with pytest.raises(ValidationError) as caught:
        SignalsRequest.model_validate({"long_entry": "a > {x}", "parameters": {"y": [1]}})
    assert [error["loc"] for error in caught.value.errors()] == [("parameters",)]


def test_parameters_of_a_strategy_are_its_own() -> None:
    assert SignalsRequest.model_validate({"strategy": "x", "parameters": {"a": [1]}}).n_combinations() == 1


def test_a_contract_cannot_be_changed_once_it_is_made() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        VizRequest().title = "other"  # type: ignore[misc]


# names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_no_symbol(name: str) -> None:
    with pytest.raises(ValidationError):
        SYMBOL.validate_python(name)


@pytest.mark.parametrize("name", ["BTCUSDT", "币安人生USDT", "1000SATS", "BTC-PERP", "btc_usd", "Ω", "A" * 32])
def test_a_name_of_letters_and_digits_of_any_script_is_a_symbol_and_round_trips(name: str) -> None:
    assert SYMBOL.validate_python(name) == name
    assert SYMBOL.validate_json(SYMBOL.dump_json(name)) == name


@given(st.text(max_size=40))
def test_a_symbol_is_never_a_path(name: str) -> None:
    try:
        symbol = SYMBOL.validate_python(name)
    except ValidationError:
        return
    assert 1 <= len(symbol) <= 32
    assert not set(symbol) & set("./\\%:;|<>&$`'\"\0\n\r\t ")
    assert symbol.isprintable()


@pytest.mark.parametrize("value", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", 0, None])
def test_an_id_is_64_hex_digits(value: Any) -> None:
    with pytest.raises(ValidationError):
        StageCall.model_validate({"artifact_id": value, "request": {}})
    with pytest.raises(ValidationError):
        FileEntry.model_validate({"name": "x", "sha256": value, "bytes": 1})


# days ------------------------------------------------------------------------------------------------------------


def test_a_month_stands_for_all_its_days() -> None:
    request = download(start_date="2024-02", end_date="2024-02")
    assert (request.first_day(), request.last_day()) == (date(2024, 2, 1), date(2024, 2, 29))
    assert download(start_date="2023-02", end_date="2023-02").last_day() == date(2023, 2, 28)
    assert len(days(date(2024, 2, 28), date(2024, 3, 1))) == 3


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2022-13",
            "2022-00",
            "2022-02-30",
            "2022-01-32",
            "2023-02-29",
            "2022",
            "22-01",
            "2022-1",
            "2022-01-01T00:00",
        ),
        *(
            "2022-01\n",
            " 2022-01",
            "２０２２-01",
            "0000-01",
            "0999-01",
            "-2022-01",
            "2022/01",
            "today",
            "",
            202201,
            None,
        ),
    ],
)
def test_a_day_that_is_not_in_the_calendar_is_refused(text: Any) -> None:
    for field in ("start_date", "end_date"):
        with pytest.raises(ValidationError):
            download(**{field: text})


def test_a_day_that_is_not_in_the_calendar_is_refused_also_where_only_one_is_given() -> None:
    with pytest.raises(ValidationError, match="not a day"):
        DownloadRequest.model_validate({"venue": "file", "files": {"X": "x.csv"}, "start_date": "2022-02-30"})


def test_time_runs_forwards_and_for_ten_years_at_most() -> None:
    assert download(start_date="2022-01-05", end_date="2022-01-05").first_day() == date(2022, 1, 5)
    with pytest.raises(ValidationError, match="before start_date"):
        download(start_date="2022-03", end_date="2022-02")
    with pytest.raises(ValidationError, match="ten years"):
        download(start_date="2010-01", end_date="2022-01")


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbols": []},
        {"symbols": ["BTCUSDT", "BTCUSDT"]},
        {"symbols": ["X"] * 51},
        {"symbols": "BTCUSDT"},
        {"venue": "nyse"},
        {"data_type": "klines"},
        {"interval": "1m"},
        {"files": {"X": "x.csv"}},
        {"venue": "file"},
        {"dataset": "../x"},
        {"dataset": "x" * 201},
        {"market": "options"},
    ],
)
def test_a_download_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        download(**wrong)


@pytest.mark.parametrize(
    "path",
    ["../x.csv", "a/../../x", "/etc/passwd", "a\\..\\b", "C:\\x", "a\0b", "", "x" * 257, "..", "a//b", "./x", "~/x"],
)
def test_a_source_file_lies_in_the_import_folder(path: str) -> None:
    with pytest.raises(ValidationError):
        SourceFile.model_validate({"path": path})


@pytest.mark.parametrize("path", ["x.csv", "trades/BTCUSDT 2022.csv", "币安/x..y.feather", ".hidden"])
def test_a_source_file_may_have_any_plain_name(path: str) -> None:
    assert SourceFile.model_validate({"path": path}).path == path


# documents -------------------------------------------------------------------------------------------------------


def test_a_document_carries_a_checksum_that_guards_all_its_fields() -> None:
    part = Part(files=(FileEntry(name="x", sha256="0" * 64, bytes=1),), facts={"a": {"b": [1, 2.5]}})
    assert Part.model_validate(part.canonical()) == part
    assert Part.model_validate_json(part.model_dump_json()) == part
    for changed in ({"facts": {}}, {"files": []}, {"checksum": "0" * 64}, {"checksum": None}):
        with pytest.raises(ValidationError, match="checksum"):
            Part.model_validate({**part.canonical(), **changed})


def test_a_manifest_finds_its_files_by_name_and_by_folder() -> None:
    files = tuple(FileEntry(name=name, sha256="0" * 64, bytes=1) for name in ("a/1", "a/2", "b/1"))
    manifest = Manifest(id="0" * 64, stage="bars", version=1, request={}, inputs=(), files=files)
    assert manifest.file("a/2") == files[1]
    assert manifest.file("a") is None
    assert manifest.under("a/") == [files[0], files[1]]
