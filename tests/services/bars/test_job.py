"""The bars stage over artifacts of the download stage, in a real lake."""

import random
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from services.bars import job, remote
from services.bars.adapters.partitions import load_trades
from services.bars.domain import summary
from services.bars.domain.state import Bars
from tests.services.bars.runs import DAY_US, T0, call_of, columns, imported, run, run_several, write_trades
from tests.services.bars.specs import NAMED, SPECS, in_another_lake, made
from tickloom.contracts.bars import bars_of
from tickloom.errors import ExactnessLost, InvalidRequest, StageCancelled, UnknownArtifact
from tickloom.http import Report
from tickloom.lake import open_lake
from tickloom.settings import settings

SUMS = ("n_trades", "volume", "notional", "buy_volume", "buy_notional")


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: "-".join(map(str, s.values())))
def test_c4_sums_over_bars_and_residual_are_those_of_the_trades(source, spec):
    bars = run(source, **spec)
    for symbol, rows in (("AAA", made(1)), ("BBB", made(2, days=3))):
        facts, got = bars.facts["symbols"][symbol], columns(bars, symbol)
        exact = [(Decimal(p), Decimal(q), maker) for _, _, p, q, maker in rows]
        totals = {
            "n_trades": Decimal(len(rows)),
            "volume": sum(q for _, q, _ in exact),
            "notional": sum(p * q for p, q, _ in exact),
            "buy_volume": sum(q for _, q, maker in exact if not maker),
            "buy_notional": sum(p * q for p, q, maker in exact if not maker),
        }
        for name in SUMS:
            assert sum(map(Decimal, got[name])) == Decimal(facts[name])
            assert Decimal(facts[name]) + Decimal(facts["residual"][name]) == totals[name]
        assert facts["n_bars"] == len(got["ts_close"]) > 3
        assert got["ts_close"] == sorted(got["ts_close"])


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: "-".join(map(str, s.values())))
def test_c2_how_days_are_grouped_and_where_they_run_changes_no_byte(source, spec, monkeypatch, tmp_path):
    first = run(source, **spec)
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / "other"))
    settings.cache_clear()
    monkeypatch.setattr(job, "BATCH_ROWS", 1)  # a task for each day
    monkeypatch.setattr(job, "SMALL_ROWS", 0)  # on the pool of processes
    again = imported(data_type="trades", files={"AAA": "AAA.csv", "BBB": "BBB.csv"})
    assert again == source
    assert run(again, **spec) == first


def test_c1_a_longer_range_has_the_same_bars_at_its_beginning_and_builds_only_the_new_days(source, imports):
    short = imported(data_type="trades", files={"AAA": "AAA.csv"}, start_date="2024-01-05", end_date="2024-01-07")
    whole = imported(data_type="trades", files={"AAA": "AAA.csv"})
    for spec in SPECS:
        few, many = run(short, **spec), run(whole, **spec)
        names = [entry.name for entry in few.files if not goes_by_the_clock(spec) or "2024-01-07" not in entry.name]
        assert [e for e in many.files if e.name in names] == [e for e in few.files if e.name in names]
        bars, more = columns(few, "AAA"), columns(many, "AAA")
        assert all(more[name][: len(values)] == values for name, values in bars.items())


def goes_by_the_clock(spec):
    """Of these the last day of a file closes one bar less: nobody knows whether the day is over."""
    return spec["kind"] == "time" or spec.get("reset") == "daily"


def test_the_interval_in_which_an_imported_file_ends_is_not_closed(imports):
    minute = 60_000_000
    rows = [(i, T0 + i * minute, "100", "1", True) for i in range(65)]
    files = write_trades(imports, "AAA", rows)
    source = imported(data_type="trades", files=files)
    made = run(source, kind="time", interval="1h")
    assert columns(made, "AAA")["ts_close"] == [T0 + 60 * minute]
    assert made.facts["symbols"]["AAA"]["partial"]["n_trades"] == 5
    made = run(source, kind="tick", threshold=60, reset="daily")
    assert columns(made, "AAA")["n_trades"] == [60]
    archive = source.model_copy(update={"request": source.request | {"venue": "binance"}, "id": "a" * 64})
    made = run(open_lake().put_manifest(archive), kind="time", interval="1d")
    assert columns(made, "AAA")["ts_close"] == [T0 + DAY_US]
    assert made.facts["symbols"]["AAA"]["partial"] is None


def test_a_later_day_closes_what_the_end_of_the_data_left_open(imports):
    files = write_trades(imports, "AAA", made(1, days=2))
    one = imported(data_type="trades", files=files, start_date="2024-01-05", end_date="2024-01-05")
    assert run(one, kind="time", interval="1d").files == ()
    both = run(imported(data_type="trades", files=files), kind="time", interval="1d")
    assert columns(both, "AAA")["ts_close"] == [T0 + DAY_US]


def test_several_kinds_in_one_artifact_are_those_of_an_artifact_each(source, monkeypatch, tmp_path):
    several = run_several(source, NAMED)
    again = in_another_lake(monkeypatch, tmp_path / "other")
    for name, spec in NAMED.items():
        alone, chosen = run(again, **spec), bars_of(several, name)
        assert (chosen.files, chosen.facts) == (alone.files, alone.facts)
    assert {entry.name.split("/")[0] for entry in several.files} == set(NAMED)


def test_one_decode_feeds_every_kind_and_none_what_is_there(source, monkeypatch):
    read = []

    def load(lake, entry, scales, **options):
        read.append(entry.name)
        return load_trades(lake, entry, scales, **options)

    monkeypatch.setattr(remote, "load_trades", load)
    told = []
    run_several(source, {name: NAMED[name] for name in ("s0", "s1", "s6")}, told)
    assert sorted(read) == sorted(entry.name for entry in source.files if entry.rows)
    assert (told[-1].done, told[-1].total, told[-1].rows) == (10, 10, len(made(1)) + len(made(2, days=3)))
    read.clear()
    run(source, **NAMED["s1"])  # under another name, in another artifact
    run_several(source, {"a": NAMED["s0"], "b": NAMED["s6"]})
    assert read == []


def test_one_of_several_kinds_is_chosen_by_name(source):
    several = run_several(source, {"ticks": SPECS[0], "hours": SPECS[3]})
    assert bars_of(several, "hours").facts["kind"] == "time"
    only = run_several(source, {"ticks": SPECS[0]})
    assert bars_of(only, None).files == bars_of(several, "ticks").files
    with pytest.raises(ValueError, match=r"choose one by name: hours, ticks$"):
        bars_of(several, None)
    with pytest.raises(ValueError, match=r"none of them is called 'days': hours, ticks$"):
        bars_of(several, "days")
    with pytest.raises(ValueError, match="without a name: leave 'ticks' out"):
        bars_of(run(source, **SPECS[0]), "ticks")


def test_days_with_other_decimals_are_joined_on_the_finest(source):
    bars = run(source, kind="tick", threshold=17)
    facts = bars.facts["symbols"]["AAA"]
    assert (facts["price_scale"], facts["quantity_scale"], facts["notional_scale"]) == (3, 3, 6)
    table = open_lake().read_table(bars.under("AAA/")[0])
    assert str(table.schema.field("open").type) == "decimal64(18, 3)"


def test_the_bar_still_open_is_told_apart_and_never_among_the_bars(source):
    bars = run(source, kind="tick", threshold=17)
    partial = bars.facts["symbols"]["AAA"]["partial"]
    assert partial["is_partial"]
    assert partial["n_trades"] == len(made(1)) % 17
    assert partial["first_trade_id"] == columns(bars, "AAA")["last_trade_id"][-1] + 1


def test_a_threshold_that_is_never_reached_makes_no_bars_and_loses_nothing(source):
    bars = run(source, kind="dollar", threshold=10**9)
    facts = bars.facts["symbols"]["AAA"]
    assert (bars.files, facts["n_bars"], facts["residual"]["n_trades"]) == ((), 0, len(made(1)))


def test_a_guard_that_fires_is_in_the_facts_of_its_symbol(source):
    facts = run(source, kind="tick_imbalance", expected_trades=20, clamp=1.1).facts["symbols"]["AAA"]
    assert sorted(facts["guards"]) == ["cap", "clamp", "floor", "imbalance_floor", "length_cap"]
    assert 0 < facts["guards"]["clamp"] <= facts["n_bars"]
    assert "guards" not in run(source, kind="tick", threshold=17).facts["symbols"]["AAA"]


def test_renko_bars_say_how_many_bricks_they_completed(source):
    got = columns(run(source, kind="renko", size=2), "AAA")
    assert list(got)[-1] == "bricks"
    levels = np.cumsum(got["bricks"])
    assert len(levels) > 10
    assert 0 not in got["bricks"]


def test_the_columns_of_a_bar(source):
    bars = run(source, kind="time", interval="1d")
    got = columns(bars, "AAA")
    assert list(got) == [
        "ts_open", "ts_close", "first_trade_id", "last_trade_id", "open", "high", "low", "close", "volume", "notional",
        "vwap", "n_trades", "buy_volume", "buy_notional",
    ]  # fmt: skip
    assert got["ts_open"] == [T0 + day * DAY_US for day in range(6)]
    assert got["ts_close"] == [T0 + (day + 1) * DAY_US for day in range(6)]
    assert got["vwap"] == [
        float(Fraction(n) / Fraction(v)) for n, v in zip(got["notional"], got["volume"], strict=True)
    ]
    assert bars.facts["symbols"]["AAA"]["partial"]["n_trades"] == 120


def test_the_vwap_of_a_bar_is_rounded_once_and_of_one_trade_it_is_its_price(imports):
    rng, rows = random.Random(1), []
    for i in range(1500):
        price, quantity = f"{rng.randint(100, 6_000_000) / 100:.2f}", f"{rng.randint(1, 300_000) / 100_000:.5f}"
        rows.append((i, T0 + i, price, quantity, i % 2 == 0))
    rows += [(1500 + i, T0 + 2000 + i, "60000.37", "500000.00001", True) for i in range(3)]  # beyond 2**53 units
    source = imported(data_type="trades", files=write_trades(imports, "AAA", rows))
    got = columns(run(source, kind="tick", threshold=1), "AAA")
    assert got["vwap"] == [float(price) for price in got["high"]]
    got = columns(run(source, kind="tick", threshold=3), "AAA")
    for low, high, notional, volume, vwap in zip(
        *(got[name] for name in ("low", "high", "notional", "volume", "vwap")), strict=True
    ):
        assert vwap == float(Fraction(notional) / Fraction(volume))
        assert float(low) <= vwap <= float(high)


def test_progress_counts_days_and_trades(source):
    told = []
    run(source, told, kind="tick", threshold=17)
    assert (told[-1].done, told[-1].total, told[-1].rows) == (10, 10, len(made(1)) + len(made(2, days=3)))


def test_an_artifact_that_exists_is_the_answer_and_quality_travels_with_it(source, monkeypatch):
    first = run(source, kind="tick", threshold=17)
    monkeypatch.setattr(job, "_Run", None)
    assert run(source, kind="tick", threshold=17) == first
    assert first.facts["quality"] == source.facts["quality"]


def test_bars_that_do_not_hold_what_the_trades_held_are_not_published(source, monkeypatch):
    added = summary.added
    monkeypatch.setattr(summary, "added", lambda rows: {name: value + 1 for name, value in added(rows).items()})
    with pytest.raises(summary.NotConserved, match="n_trades of the source is"):
        run(source, kind="tick", threshold=17)
    assert open_lake().find(call_of(source, kind="tick", threshold=17).artifact_id) is None


@pytest.mark.parametrize("name", ["n_trades", "volume", "notional"])
def test_c4_bars_of_trades_with_a_wrong_sum_are_not_published(source, monkeypatch, name):
    sums = Bars.sums
    monkeypatch.setattr(Bars, "sums", lambda bars: {n: v + (n == name) for n, v in sums(bars).items()})
    with pytest.raises(summary.NotConserved, match=f"{name} of the source is"):
        run(source, kind="tick", threshold=17)


@pytest.mark.parametrize("name", ["volume", "notional", "buy_volume", "buy_notional"])
def test_c4_bars_of_klines_with_a_wrong_sum_are_not_published(imports, monkeypatch, name):
    minute = 60_000
    lines = [
        f"{T0 // 1000 + k * minute},10,12,9,11,{k}.5,{T0 // 1000 + k * minute + minute - 1},{k}.25,3,{k}.1,{k}.2,0\n"
        for k in range(1440)
    ]
    (imports / "k.csv").write_text("".join(lines))
    of = imported(data_type="klines", interval="1m", files={"AAA": "k.csv"})
    assert run(of, kind="time", interval="1h").facts["symbols"]["AAA"]["buy_notional"]
    sums = Bars.sums
    monkeypatch.setattr(Bars, "sums", lambda bars: {n: v + (n == name) for n, v in sums(bars).items()})
    with pytest.raises(summary.NotConserved, match=f"{name} of the source is"):
        run(of, kind="time", interval="4h")


def test_requests_that_cannot_be_carried_out_are_refused_by_name(source, imports):
    with pytest.raises(ExactnessLost, match="threshold"):
        run(source, kind="dollar", threshold="1e30")
    bars = run(source, kind="tick", threshold=17)
    with pytest.raises(InvalidRequest, match="input"):
        run(bars, kind="tick", threshold=17)
    call = call_of(source, kind="tick", threshold=18)
    with pytest.raises(UnknownArtifact):
        job.BarsJob().run(call.model_copy(update={"inputs": ("0" * 64,)}), Report())


def test_a_cancelled_run_publishes_nothing(source):
    call, report = call_of(source, kind="tick", threshold=17), Report()
    report.cancelled.set()
    with pytest.raises(StageCancelled):
        job.BarsJob().run(call, report)
    assert open_lake().find(call.artifact_id) is None


def test_of_aggregate_trades_ids_and_numbers_are_those_of_aggregates_which_the_download_opens(imports):
    lines = [f"{500 + i},100,1,{9000 + 3 * i},{9002 + 3 * i},{T0 // 1000 + i},true,true\n" for i in range(6)]
    (imports / "a.csv").write_text("".join(lines))
    source = imported(data_type="aggTrades", files={"AAA": "a.csv"})
    got = columns(run(source, kind="tick", threshold=3), "AAA")
    assert (got["first_trade_id"], got["last_trade_id"], got["n_trades"]) == ([500, 503], [502, 505], [3, 3])
    rows = open_lake().read_table(source.under("AAA/")[0]).to_pydict()
    assert rows["trade_id"][:3] == [500, 501, 502]
    assert (rows["first_id"][0], rows["last_id"][2]) == (9000, 9008)


def test_days_on_different_scales_join_exactly(imports):
    prices = [["100", "7"], ["100.25", "99.125"], ["0.00000001", "3"]]
    amounts = [["1", "2.5"], ["0.00001", "4"], ["3", "0.125"]]
    rows, pairs = [], []
    for day in range(3):
        for n in range(2):
            price, quantity = prices[day][n], amounts[day][n]
            pairs.append((Decimal(price), Decimal(quantity)))
            rows.append((10 * day + n, T0 + day * DAY_US + n, price, quantity, bool(n)))
    source = imported(symbols=["BTCUSDT"], data_type="trades", files=write_trades(imports, "BTCUSDT", rows))
    scales = [(e.facts["price_scale"], e.facts["quantity_scale"]) for e in source.under("BTCUSDT/")]
    assert scales == [(0, 1), (3, 5), (8, 3)]
    made = columns(run(source, kind="tick", threshold=2), "BTCUSDT")
    for bar in range(3):
        both = pairs[2 * bar : 2 * bar + 2]
        assert made["volume"][bar] == sum(quantity for _, quantity in both)
        assert made["notional"][bar] == sum(price * quantity for price, quantity in both)
        assert (made["open"][bar], made["close"][bar]) == (both[0][0], both[1][0])
