"""The features stage over a real lake."""

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from services.features.domain.errors import BarsIncomplete, BarsOutOfOrder, NotBars
from services.features.job import FeaturesJob
from services.features.kernels.atr import atr
from services.features.kernels.rsi import rsi
from services.features.kernels.zscore import zscore
from tests.services.features.bars import EVERY_FEATURE, bar_table, call_for, put_bars
from tickloom import fanout
from tickloom.contracts.artifact import Manifest
from tickloom.contracts.events import Progress, StageCall
from tickloom.contracts.features import FeaturesRequest
from tickloom.errors import CorruptFile, InvalidRequest, StageCancelled, UnknownArtifact
from tickloom.http import Report
from tickloom.lake import Lake, floats


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def run(lake: Lake, bars: Manifest | str, request: FeaturesRequest = EVERY_FEATURE) -> Manifest:
    return FeaturesJob(lake).run(call_for(bars, request), Report())


def table_of(lake: Lake, made: Manifest, symbol: str = "BTCUSDT") -> pa.Table:
    return lake.read_table(lake.entry(made, f"{symbol}.parquet"))


def test_a_symbol_keeps_its_bars_and_gains_a_column_for_each_feature(lake: Lake) -> None:
    bars = bar_table(300)
    out = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bars})))
    assert out.column_names == [*bars.column_names, *EVERY_FEATURE.columns()]
    for name in bars.column_names:
        kept = pa.types.is_integer(bars[name].type)
        assert out[name].type == (bars[name].type if kept else pa.float64())
        assert out[name].to_pylist() == [x if kept else float(x) for x in bars[name].to_pylist()], name
    high, low, close, volume = (floats(bars[name]) for name in ("high", "low", "close", "volume"))
    np.testing.assert_array_equal(floats(out["atr_14"]), atr(high, low, close, 14))
    np.testing.assert_array_equal(floats(out["rsi_14"]), rsi(close, 14))
    np.testing.assert_array_equal(floats(out["volume_zscore_15"]), zscore(volume, 15))


def test_values_are_missing_for_exactly_the_warm_up_that_the_file_declares(lake: Lake) -> None:
    made = run(lake, put_bars(lake, {"BTCUSDT.parquet": bar_table(100)}))
    out, facts = table_of(lake, made), made.files[0].facts
    assert facts["symbol"] == "BTCUSDT"
    assert list(facts["warmup"]) == list(facts["settled"]) == sorted(EVERY_FEATURE.columns())
    for name, warmup in facts["warmup"].items():
        assert [value is None for value in out[name].to_pylist()] == [i < warmup for i in range(100)], name
        assert facts["settled"][name] >= warmup
        assert not np.isnan(out[name].drop_null().to_numpy()).any()


@pytest.mark.parametrize("cut", [0, 1, 19, 20, 21, 150, 1029, 1043, 1999])
def test_no_column_at_a_bar_depends_on_bars_after_it(lake: Lake, cut: int) -> None:
    bars = bar_table(2000)
    whole = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bars})))
    prefix = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bars.slice(0, cut)})))
    assert prefix.equals(whole.slice(0, cut).combine_chunks())


def test_no_column_at_a_bar_changes_when_the_future_is_poisoned(lake: Lake) -> None:
    bars, cut = bar_table(500), 300
    wild = bar_table(500, seed=77)
    columns = {
        n: pa.chunked_array([bars[n].slice(0, cut).chunk(0), wild[n].slice(cut).chunk(0)]) for n in bars.column_names
    }
    whole = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bars})))
    poisoned = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": pa.table(columns)})))
    assert poisoned.slice(0, cut).equals(whole.slice(0, cut))
    assert not poisoned.equals(whole)


@pytest.mark.parametrize("skipped", [1, 37, 700])
def test_starting_the_data_later_changes_nothing_once_a_feature_has_settled(lake: Lake, skipped: int) -> None:
    bars = bar_table(3000)
    whole = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bars}))).slice(skipped)
    made = run(lake, put_bars(lake, {"BTCUSDT.parquet": bars.slice(skipped)}))
    later = table_of(lake, made)
    for name, settled in made.files[0].facts["settled"].items():
        ours, theirs = floats(later[name])[settled:], floats(whole[name])[settled:]
        assert ours.size > 1900
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=name)


def test_an_ema_has_not_settled_much_before_it_says_so(lake: Lake) -> None:
    request = FeaturesRequest.model_validate({"features": [{"name": "ema", "timeperiod": 50}]})
    bars = bar_table(3000)
    whole = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bars}), request)).slice(700)
    made = run(lake, put_bars(lake, {"BTCUSDT.parquet": bars.slice(700)}), request)
    half = made.files[0].facts["settled"]["ema_50"] // 2
    off = abs(floats(table_of(lake, made)["ema_50"])[half] / floats(whole["ema_50"])[half] - 1)
    assert off > 1e-12, "half the declared length is already exact: the declared one is too long"


def test_bars_in_one_file_or_in_many_give_the_same_bytes(lake: Lake) -> None:
    bars = bar_table(40_000)
    parts = {f"BTCUSDT/2022-01-0{day + 1}.parquet": bars.slice(day * 15_001, 15_001) for day in range(3)}
    one = run(lake, put_bars(lake, {"BTCUSDT.parquet": bars}))
    many = run(lake, put_bars(lake, parts))
    assert [entry.sha256 for entry in one.files] == [entry.sha256 for entry in many.files]


@pytest.mark.parametrize("small", [True, False])
def test_tasks_are_named_after_their_symbols_and_end_in_one_manifest(
    lake: Lake, small: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.features.job.SMALL_VALUES", 10**9 if small else 1)
    bars = put_bars(lake, {f"{symbol}.parquet": bar_table(60, i) for i, symbol in enumerate(["ETHUSDT", "BTCUSDT"])})
    seen: list[Progress] = []
    made = FeaturesJob(lake).run(call_for(bars), Report(seen.append))
    assert [entry.name for entry in made.files] == ["BTCUSDT.parquet", "ETHUSDT.parquet"]
    assert made == lake.manifest(made.id)
    assert {event.message for event in seen} == {"", "features BTCUSDT", "features ETHUSDT"}
    assert [event.done for event in seen] == [0, 1, 2, 2]
    assert seen[-1].rows == 120
    digests = {entry.name: entry.sha256 for entry in made.files}
    assert digests == {f"{s}.parquet": _sha(lake, s, i) for i, s in enumerate(["ETHUSDT", "BTCUSDT"])}


def _sha(lake: Lake, symbol: str, seed: int) -> str:
    return run(lake, put_bars(lake, {f"{symbol}.parquet": bar_table(60, seed)})).files[0].sha256


def test_two_requests_over_the_same_bars_are_two_computations(lake: Lake) -> None:
    bars = put_bars(lake, {"BTCUSDT.parquet": bar_table(60)})
    few = FeaturesRequest.model_validate({"features": [{"name": "sma", "timeperiod": 5}]})
    assert run(lake, bars).id != run(lake, bars, few).id
    assert table_of(lake, run(lake, bars, few)).column_names[-2:] == ["n_trades", "sma_5"]


def test_a_second_call_computes_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = put_bars(lake, {"BTCUSDT.parquet": bar_table(60)})
    first = run(lake, bars)
    monkeypatch.setattr("services.features.job.map_unordered", lambda *_, **__: pytest.fail("computed again"))
    assert run(lake, bars) == first
    lake.store.delete(f"manifests/{bars.id[:2]}/{bars.id}.json")
    assert run(lake, bars) == first, "an artifact that is there does not need its input any more"


def test_a_stage_that_was_cut_short_goes_on_with_the_symbols_left(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    bars = put_bars(lake, {f"{s}.parquet": bar_table(60, i) for i, s in enumerate(["AAA", "BBB", "CCC"])})
    report = Report(lambda event: report.cancelled.set() if event.done == 2 else None)
    with pytest.raises(StageCancelled):
        FeaturesJob(lake).run(call_for(bars), report)
    assert lake.find(call_for(bars).artifact_id) is None
    ran: list[str] = []

    def spy(tasks: list[fanout.Task], **options: object) -> object:
        ran.extend(task.name for task in tasks)
        return fanout.map_unordered(tasks, **options)

    monkeypatch.setattr("services.features.job.map_unordered", spy)
    resumed = run(lake, bars)
    assert ran == ["features CCC"]
    fresh = Lake(lake.url + "-fresh")
    put_bars(fresh, {f"{s}.parquet": bar_table(60, i) for i, s in enumerate(["AAA", "BBB", "CCC"])})
    assert run(fresh, bars) == resumed


def test_a_symbol_with_too_few_bars_gets_empty_columns_and_a_warning(lake: Lake) -> None:
    seen: list[Progress] = []
    bars = put_bars(lake, {"BTCUSDT.parquet": bar_table(14)})
    made = FeaturesJob(lake).run(call_for(bars), Report(seen.append))
    out = table_of(lake, made)
    assert out["sma_20"].null_count == out["rsi_14"].null_count == 14
    assert out["ema_12"].null_count == 11
    (warning,) = seen[-1].warnings
    names = "sma_20, rsi_14, atr_14, bbands_upper_20, bbands_middle_20 and 5 more"
    assert warning == f"BTCUSDT has 14 bars, too few for any value of {names}"


def test_a_symbol_that_closed_no_bar_is_left_out_with_a_warning(lake: Lake) -> None:
    seen: list[Progress] = []
    bars = put_bars(lake, {"BTCUSDT.parquet": bar_table(60)}, facts={"symbols": {"BTCUSDT": {}, "DOGEUSDT": {}}})
    made = FeaturesJob(lake).run(call_for(bars), Report(seen.append))
    assert [entry.name for entry in made.files] == ["BTCUSDT.parquet"]
    assert made.facts["symbols"] == ["BTCUSDT"]
    assert made.facts["without_bars"] == ["DOGEUSDT"]
    assert tuple(made.facts["columns"]) == EVERY_FEATURE.columns()
    assert seen[-1].warnings == ("DOGEUSDT has no bars: there are no features of it",)


def test_a_file_without_rows_gives_a_table_without_rows(lake: Lake) -> None:
    out = table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bar_table(5).slice(0, 0)})))
    assert out.num_rows == 0
    assert out.column_names[-1] == "volume_zscore_15"


def test_bars_that_run_backwards_are_refused_and_leave_nothing(lake: Lake) -> None:
    bars = bar_table(50)
    backwards = pa.concat_tables([bars.slice(25), bars.slice(0, 25)])
    made = put_bars(lake, {"BTCUSDT.parquet": backwards})
    with pytest.raises(BarsOutOfOrder, match="run backwards in time at row 25"):
        run(lake, made)
    assert lake.find(call_for(made).artifact_id) is None


def test_bars_that_share_a_microsecond_are_in_order(lake: Lake) -> None:
    bars = bar_table(30)
    bars = bars.set_column(1, "ts_close", pa.array(np.repeat(np.arange(15), 2)))
    assert table_of(lake, run(lake, put_bars(lake, {"BTCUSDT.parquet": bars}))).num_rows == 30


def test_bars_without_volume_are_refused_by_name(lake: Lake) -> None:
    with pytest.raises(BarsIncomplete, match="the bars of BTCUSDT have no column volume"):
        run(lake, put_bars(lake, {"BTCUSDT.parquet": bar_table(30).drop_columns(["volume"])}))


def test_an_input_that_is_not_bars_is_refused(lake: Lake) -> None:
    with pytest.raises(NotBars, match="it was made by the download stage"):
        run(lake, put_bars(lake, {"BTCUSDT.parquet": bar_table(3)}, stage="download"))
    with pytest.raises(NotBars, match="it holds no bars"):
        run(lake, put_bars(lake, {}))
    with pytest.raises(UnknownArtifact):
        run(lake, "0" * 64)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"request": {"features": []}}, "features: "),
        ({"request": {"features": [{"name": "sma", "timeperiod": [5, 5]}]}}, "asked for more than once: sma_5"),
        ({"request": {"features": [{"name": "sma", "timeperiod": 0}]}}, "features.0.sma.timeperiod.0: "),
        ({"request": {"features": [{"name": "magic", "timeperiod": 5}]}}, "features.0: "),
        ({"inputs": ()}, "inputs: "),
        ({"artifact_id": "0" * 64}, "artifact_id: "),
    ],
)
def test_a_call_that_contradicts_itself_is_refused(lake: Lake, change: dict[str, object], reason: str) -> None:
    call = call_for(put_bars(lake, {"BTCUSDT.parquet": bar_table(30)}))
    with pytest.raises(InvalidRequest, match=reason):
        FeaturesJob(lake).run(StageCall.model_validate(call.model_dump() | change), Report())


def test_a_damaged_file_of_bars_is_named_and_nothing_is_made(lake: Lake) -> None:
    bars = put_bars(lake, {"BTCUSDT.parquet": bar_table(300)})
    path = lake.path(bars.files[0])
    assert path is not None
    damaged = bytearray(path.read_bytes())
    damaged[200] ^= 1
    path.chmod(0o644)
    path.write_bytes(damaged)
    with pytest.raises(CorruptFile):
        run(lake, bars)
    assert lake.find(call_for(bars).artifact_id) is None


def test_eight_threads_that_ask_at_once_get_one_answer(lake: Lake) -> None:
    bars = put_bars(lake, {f"{s}.parquet": bar_table(200, i) for i, s in enumerate(["AAA", "BBB"])})
    made: list[Manifest] = []
    threads = [threading.Thread(target=lambda: made.append(run(lake, bars))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 8
    assert all(one == made[0] for one in made)


def test_of_several_kinds_of_bars_one_is_chosen_by_name(lake: Lake) -> None:
    tables = {"fast/BTCUSDT/1.parquet": bar_table(300), "slow/BTCUSDT/1.parquet": bar_table(200, 1)}
    facts = {"bars": {name: {"kind": "tick", "symbols": {"BTCUSDT": {}}} for name in ("fast", "slow")}}
    several = put_bars(lake, tables, facts=facts)
    alone = put_bars(lake, {"BTCUSDT/1.parquet": tables["slow/BTCUSDT/1.parquet"]})
    chosen = run(lake, several, EVERY_FEATURE.model_copy(update={"bars": "slow"}))
    assert table_of(lake, chosen).equals(table_of(lake, run(lake, alone)))
    with pytest.raises(InvalidRequest, match="choose one by name: fast, slow"):
        run(lake, several)
