"""Thresholds of days from a request to the table: what the download recorded of earlier days, and nothing later."""

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from services.bars import job
from tests.naive import target as naive
from tests.services.bars.runs import DAY_US, T0, columns, drawn_trades, imported, run, run_several, write_trades
from tickloom.lake import open_lake
from tickloom.settings import settings


def made(days=6, first_hour=0):
    """Days of more and more trades, each with decimals of its own: (id, us, price, quantity, buyer is maker)."""
    rng = random.Random(3)

    def times(day):
        late = first_hour * 3_600_000_000 if day == 0 else 0
        return [late + 1, *sorted(rng.randrange(late, DAY_US) for _ in range(60 + 40 * day))]

    def drawn(day):
        return f"{rng.uniform(90, 110):.{1 + day % 3}f}", f"{rng.uniform(0.1, 2):.{3 - day % 3}f}"

    return drawn_trades(rng, map(times, range(days)), drawn)


def in_units(rows):
    """Return trades as the slow twin takes them, prices and quantities in thousandths."""
    return [(i, ts, int(Decimal(p) * 1000), int(Decimal(q) * 1000), -1 if m else 1) for i, ts, p, q, m in rows]


@pytest.fixture
def source(imports):
    return imported(data_type="trades", files=write_trades(imports, "AAA", made()))


@pytest.mark.parametrize(("kind", "scale"), [("tick", 0), ("volume", 3), ("dollar", 6)])
def test_bars_are_those_of_the_slow_twin_that_reads_all_trades_of_the_days_before(source, kind, scale):
    got = columns(run(source, kind=kind, target_bars_per_day=7, target_days=3), "AAA")
    closed, _ = naive.bars(in_units(made()), kind, 7, 3, DAY_US)
    assert got["last_trade_id"] == [bar.trades[-1][0] for bar, _ in closed]
    assert got["threshold"][0] is None
    for found, (_, exact) in zip(got["threshold"][1:], closed[1:], strict=True):
        assert float(exact / 10**scale) <= found <= float(exact / 10**scale) + 1.01
    assert 4 < len(closed) / 6 < 10


def test_the_first_day_is_one_bar_that_midnight_closes_unless_a_threshold_is_given(source):
    got = columns(run(source, kind="volume", target_bars_per_day=7), "AAA")
    assert (got["ts_close"][0], got["n_trades"][0]) == (T0 + DAY_US, 61)
    got = columns(run(source, kind="volume", target_bars_per_day=7, threshold=20), "AAA")
    assert got["ts_close"][1] < T0 + DAY_US
    assert got["threshold"][:2] == [20.0, 20.0]


def test_half_a_first_day_makes_no_threshold(imports):
    rows = made(days=4, first_hour=13)
    bars = run(
        imported(data_type="trades", files=write_trades(imports, "AAA", rows)), kind="tick", target_bars_per_day=10
    )
    got = columns(bars, "AAA")
    assert got["ts_close"][:2] == [T0 + DAY_US, T0 + 2 * DAY_US]
    assert got["threshold"][:3] == [None, None, 11.0]  # 101 trades on the second day


def test_a_day_that_an_exchanges_ids_show_to_be_half_there_makes_no_threshold(imports):
    rows = [row for row in made(days=5) if not T0 + 2 * DAY_US <= row[1] < T0 + 2.6 * DAY_US]
    source = imported(data_type="trades", files=write_trades(imports, "AAA", rows))
    archive = source.model_copy(update={"request": source.request | {"venue": "binance"}, "id": "a" * 64})
    of_file, of_exchange = (
        columns(run(of, kind="tick", target_bars_per_day=1, target_days=1), "AAA")
        for of in (source, open_lake().put_manifest(archive))
    )
    n_half = sum(T0 + 2 * DAY_US <= row[1] < T0 + 3 * DAY_US for row in rows)
    assert 0 < n_half < 100
    assert float(n_half) in of_file["threshold"]
    assert float(n_half) not in of_exchange["threshold"]


def test_the_threshold_of_each_day_is_in_its_files_facts_as_exact_text(source):
    bars = run(source, kind="dollar", target_bars_per_day=7, target_days=1)
    rows = made()
    entries = bars.under("AAA/")
    assert "threshold" not in entries[0].facts
    for entry in entries[1:]:
        day = (int(entry.name[-10:-8]) - 5) * DAY_US + T0
        before = [row for row in rows if day - DAY_US <= row[1] < day]
        exact = Fraction(sum(Decimal(p) * Decimal(q) for _, _, p, q, _ in before)) / 7
        published = Fraction(Decimal(entry.facts["threshold"]))
        assert exact <= published < exact + Fraction(1, 10**4)  # the day before had 4 decimal places together
        table = open_lake().read_table(entry).to_pydict()
        assert set(table["threshold"]) == {float(published)}


@pytest.mark.parametrize("excess", ["drop", "carry", "split"])
def test_c1_a_longer_range_has_the_same_bars_at_its_beginning(source, imports, excess):
    """The days to come have finer decimals than those before: they move no threshold and no bar."""
    for days in (2, 4):
        end = f"2024-01-{4 + days:02}"
        short = imported(data_type="trades", files={"AAA": "AAA.csv"}, start_date="2024-01-05", end_date=end)
        few = columns(run(short, kind="volume", target_bars_per_day=7, excess=excess), "AAA")
        many = columns(run(source, kind="volume", target_bars_per_day=7, excess=excess), "AAA")
        assert len(few["close"]) > 4
        for name, values in few.items():
            assert many[name][: len(values)] == values, name


def test_c1_trades_of_later_days_change_nothing_before_them(source, imports):
    first = columns(run(source, kind="dollar", target_bars_per_day=7), "AAA")
    poisoned = [(i, ts, p, str(Decimal(q) * 1000) if ts >= T0 + 4 * DAY_US else q, m) for i, ts, p, q, m in made()]
    write_trades(imports, "poisoned", poisoned)
    other = imported(data_type="trades", files={"AAA": "poisoned.csv"})
    again = columns(run(other, kind="dollar", target_bars_per_day=7), "AAA")
    before = sum(ts <= T0 + 4 * DAY_US for ts in first["ts_close"])
    for name, values in first.items():
        assert again[name][:before] == values[:before]
    assert again["close"] != first["close"]


def test_c2_of_several_kinds_at_once_and_one_day_a_task_every_byte_is_the_same(source, monkeypatch, tmp_path):
    specs = {
        "ticks": {"kind": "tick", "target_bars_per_day": 7},
        "carried": {"kind": "volume", "target_bars_per_day": 7, "excess": "carry", "microstructure": True},
        "split": {"kind": "dollar", "target_bars_per_day": 7, "excess": "split", "reset": "daily"},
    }
    first = run_several(source, specs)
    monkeypatch.setenv("TICKLOOM_HOME", str(tmp_path / "other"))
    settings.cache_clear()
    monkeypatch.setattr(job, "BATCH_ROWS", 1)
    assert run_several(imported(data_type="trades", files={"AAA": "AAA.csv"}), specs) == first
    for name, spec in specs.items():
        alone = run(source, **spec)
        assert [e.sha256 for e in alone.under("AAA/")] == [e.sha256 for e in first.under(f"{name}/AAA/")]


def test_bars_follow_the_market_when_it_grows(source):
    by_target = run(source, kind="tick", target_bars_per_day=8, target_days=1, reset="daily")
    per_day = [entry.rows for entry in by_target.under("AAA/")]
    assert per_day[0] == 1
    assert all(8 <= rows <= 15 for rows in per_day[1:])
