"""Imbalance and run bars against their slow twin, whose other meanings are a peer's; and their guards."""

import gzip
import json
import zipfile

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bars.domain.rule import rule_of
from services.bars.kernels.information import GUARDS, NEVER, Expected, information_bar_ends
from tests.naive.information_bars import PEER, InformationBars, Meaning, ends, tick_rule
from tests.services.bars.made import arrays_of, trade_rows
from tickloom.contracts.bars import ImbalanceBars, RunBars

KINDS = [f"{measure}_{shape}" for measure in ("tick", "volume", "dollar") for shape in ("imbalance", "run")]


def spec_of(kind, **fields):
    return (RunBars if kind.endswith("run") else ImbalanceBars).model_validate({"kind": kind, **fields})


def amounts_of(kind, price, quantity):
    measure = kind.partition("_")[0]
    return [{"tick": 1, "volume": q, "dollar": p * q}[measure] for p, q in zip(price, quantity, strict=True)]


def kernel_ends(trades, spec):
    start = Expected(0.0, 0.0, 0.0, 0.0, NEVER)
    columns = (trades.price, trades.quantity, trades.side)
    return information_bar_ends(*columns, np.zeros(3, np.int64), start, rule_of(spec, 0, 0).tuning)


SPECS = st.builds(
    lambda kind, **fields: spec_of(kind, **fields),
    st.sampled_from(KINDS),
    expected_trades=st.integers(2, 12),
    bars_window=st.integers(1, 5),
    trades_window=st.integers(1, 50),
    floor=st.sampled_from([0.125, 0.5, 1.0]),
    cap=st.sampled_from([1.0, 2.0, 8.0]),
    clamp=st.sampled_from([1.25, 2.0, 100.0]),
)


@given(trade_rows(), SPECS)
def test_the_kernel_closes_where_its_slow_twin_does_and_fires_the_same_guards(rows, spec):
    meaning = Meaning(
        floor=spec.floor, cap=spec.cap, clamp=spec.clamp, imbalance_floor=getattr(spec, "imbalance_floor", 0.0)
    )
    twin = InformationBars(
        spec.kind.endswith("run"), spec.expected_trades, spec.bars_window, spec.trades_window, meaning
    )
    wanted = ends([r[4] for r in rows], amounts_of(spec.kind, [r[2] for r in rows], [r[3] for r in rows]), twin)
    got, left, _, fired = kernel_ends(arrays_of(rows), spec)
    assert got.tolist() == wanted
    assert dict(zip(GUARDS, fired.tolist(), strict=True)) == twin.fired
    assert left.tolist()[0] == len(rows) - (wanted[-1] + 1 if wanted else 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bar_in_the_hand(kind):
    """Five trades of 2 bought at 3, then sells: the first bar takes 4 trades, then E[T] = 4 and E[v; b = 1] = E[v]."""
    rows = [(i, i, 3, 2, 1 if i < 5 else -1) for i in range(30)]
    spec = spec_of(kind, expected_trades=4, trades_window=10**9, bars_window=10**6, cap=100.0)
    got, _, expected, _ = kernel_ends(arrays_of(rows), spec)
    # Level 4 of what a trade counts: one bought, then 5 sold are an imbalance of 4; a run of 4 takes 4 sells.
    assert got.tolist()[:2] == ([3, 9] if kind.endswith("imbalance") else [3, 8])
    assert expected.trades == pytest.approx(4, rel=1e-5)


def random_trades(n, seed, p_buy=0.5, sticky=0.0):
    rng = np.random.default_rng(seed)
    side = np.where(rng.random(n) < p_buy, 1, -1).astype(np.int8)
    for i in np.flatnonzero(rng.random(n) < sticky):
        side[i] = side[i - 1]
    rows = np.column_stack(
        [np.arange(n), np.arange(n), 10_000 + rng.integers(-5, 6, n).cumsum(), rng.integers(1, 9, n)]
    )
    return arrays_of([(*row, s) for row, s in zip(rows.tolist(), side.tolist(), strict=True)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p_buy", [0.5, 0.51, 0.9])
def test_bars_neither_collapse_to_one_trade_nor_stay_open_for_ever(kind, p_buy):
    trades = random_trades(60_000, 7, p_buy)
    got, _, expected, _ = kernel_ends(trades, spec_of(kind, expected_trades=200))
    lengths = np.diff(got, prepend=-1)
    assert 60_000 / 800 <= lengths.size <= 60_000 / 20
    assert lengths.max() <= 800
    assert 50 <= expected.trades <= 800


def test_without_guards_the_feedback_collapses_and_a_guard_that_holds_it_is_counted():
    trades = random_trades(60_000, 7, 0.51)
    loose = spec_of("tick_imbalance", expected_trades=200, floor=1e-6, clamp=1e6, imbalance_floor=0.0, cap=1e6)
    held = spec_of("tick_imbalance", expected_trades=200)
    n_loose, n_held = (kernel_ends(trades, spec)[0].size for spec in (loose, held))
    assert n_loose > 30_000  # Run 2 of BARS.md: the same rule in mlfinpy, 59,442 bars
    assert n_held < 3_000
    fired = dict(zip(GUARDS, kernel_ends(trades, held)[3].tolist(), strict=True))
    assert fired["imbalance_floor"] > 100


def test_a_market_that_turns_balanced_closes_its_bars_by_length():
    one_way = [(i, i, 100, 1, 1) for i in range(300)]
    balanced = [(300 + i, 300 + i, 100, 1, 1 - 2 * (i % 2)) for i in range(2_000)]
    got, _, _, fired = kernel_ends(
        arrays_of(one_way + balanced), spec_of("tick_imbalance", expected_trades=100, cap=5.0)
    )
    assert got.tolist() == [99, 199, 299, 799, 1299, 1799, 2299][: got.size]
    assert dict(zip(GUARDS, fired.tolist(), strict=True))["length_cap"] == got.size - 3 >= 3


def test_a_run_is_not_reset_by_a_flip():
    rows = [(i, i, 100, 1, -1 if i % 3 == 2 else 1) for i in range(300)]
    got, *_ = kernel_ends(arrays_of(rows), spec_of("tick_run", expected_trades=30, cap=100.0))
    assert set(np.diff(got).tolist()) <= {29, 30, 31}  # 20 bought of 30, never more than 2 in a row
    assert got.size == 10


# the peer -----------------------------------------------------------------------------------------------------------


def peer_inputs(shared_data, name):
    """Return prices and quantities, as floats."""
    if name.startswith("emini"):
        packed = (shared_data / "expected" / "mlfinpy" / "imbalance_sample_data_small.csv.gz").read_bytes()
        ticks = pl.read_csv(gzip.decompress(packed))
        return ticks["Price"].to_list(), [float(v) for v in ticks["Volume"]]
    days = ["BTCUSDT-trades-2024-08-08", "BTCUSDT-trades-2024-08-09"]
    price, quantity = [], []
    for day in days if name.startswith("btc") else ["NEXOUSDT-trades-2024-07-24"]:
        with zipfile.ZipFile(shared_data / "trades" / "vision_layout" / "spot" / f"{day}.zip") as archive:
            fields = [line.split(",") for line in archive.read(f"{day}.csv").decode().split()]
        price += [float(row[1]) for row in fields if row[0].isdigit()]
        quantity += [float(row[2]) for row in fields if row[0].isdigit()]
    return price, quantity


PEERS = pytest.mark.parametrize("name", ["emini_small", "btcusdt_20240808_09", "nexousdt_20240724"])
FEW = 6_000
"""Trades of a day that the slow twin reads in a moment."""


@PEERS
def test_the_slow_twin_with_the_peers_meanings_makes_the_peers_bars(shared_data, name):
    peers_bars_equal_the_twins(shared_data, name, FEW, 4_000)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@PEERS
def test_chaos_the_slow_twin_with_the_peers_meanings_makes_the_peers_bars_of_whole_days(shared_data, name):
    peers_bars_equal_the_twins(shared_data, name, 10**9, 10**9)


def peers_bars_equal_the_twins(shared_data, name, most, most_of_ema):
    """All 12 tables of the peer, to the trade; `most_of_ema` trades of those with a bar or two for each trade."""
    index = json.loads((shared_data / "expected" / "peer_mlfinpy_0.1.2" / "index.json").read_text())
    price, quantity = peer_inputs(shared_data, name)
    n_tables = 0
    for entry in index:
        table = entry["file"].rpartition("/")[2].removesuffix(".csv.gz")
        if not table.startswith(name) or not ("imbalance" in table or "_run_" in table):
            continue
        how, measure, shape, expected = table.removeprefix(f"{name}_").split("_")
        peer = pl.read_csv(gzip.decompress((shared_data / entry["file"]).read_bytes()))
        n = min(most_of_ema if (how, shape) == ("ema", "imbalance") else most, len(price))
        meaning = PEER if how == "ema" else Meaning(strict=True, windowed=True, waits=True, apart=True, fixed=True)
        bars_window = entry.get("num_prev_bars", 3)
        twin = InformationBars(shape == "run", int(expected), bars_window, entry["expected_imbalance_window"], meaning)
        got = ends(tick_rule(price[:n]), amounts_of(f"{measure}_{shape}", price[:n], quantity[:n]), twin)
        assert [i + 1 for i in got] == [tick for tick in peer["tick_num"] if tick <= n], table
        n_tables += 1
    assert n_tables == 12
