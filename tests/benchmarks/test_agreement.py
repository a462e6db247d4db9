"""Ours beside other engines: what each differs in is pinned, on a few bars and on a year.

The peers' trades are those of benchmarks/agreement.json; `python -m benchmarks.agreement` makes them again.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.agreement import (
    KLINES,
    RUNS,
    STOPS,
    WORDS,
    apart,
    digest,
    example_table,
    explain,
    made,
    real_market,
    rows,
    table,
)
from benchmarks.compare import Disagreement
from benchmarks.examples import EXAMPLES, Example
from benchmarks.ours.grid import trades
from benchmarks.semantics import Costs, Semantics, Trade, walk
from tests.services.backtest.markets import Market, markets
from tests.services.backtest.markets import run as run_ours
from tickloom.strategy.rules import Rules

ROOT = Path(__file__).resolve().parents[2]
KEPT: dict[str, Any] = json.loads((ROOT / "benchmarks" / "agreement.json").read_text())
FILL, CLOSE = "backtesting.py, stop below the fill", "backtesting.py, stop below the close"
DIFFERS = {
    FILL: {"costs", "touch of the target"},
    CLOSE: {"costs", "gap at the entry", "touch of the target", "costs of a target"},
    "backtrader": {"entry bar", "touch of the target"},
    "vectorbt": {"entry bar", "stop or signal", "touch of the target", "costs of a target"},
    "NautilusTrader, bars": {
        "gap at the entry", "gap through the stop", "part of a cent",
        "stop and target", "touch of the target", "gap beyond the target",
    },
    "NautilusTrader, five trades a bar": {
        "gap through the stop", "part of a cent", "stop and target", "touch of the target", "gap beyond the target",
    },
}  # fmt: skip
"""The examples that each engine trades otherwise than ours."""
RATES = st.sampled_from([0.0, 1 / 1024, 1 / 64, 1 / 16])


def rates_of(example: Example) -> tuple[float, float, float]:
    return example.stop_loss_rate, example.take_profit_rate, example.slippage_rate


def ours_on(market: dict[str, Any], rule: dict[str, Any], folder: Path) -> list[list[Trade]]:
    np.savez(folder / "market.npz", **market)
    return made(trades(str(folder / "market.npz"), rule))


@pytest.fixture(scope="module")
def market(shared_data: Path) -> dict[str, Any]:
    if not (shared_data / KLINES).exists():
        pytest.skip(f"NO REAL DATA: {shared_data / KLINES} is missing")
    return real_market(shared_data)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_an_example_is_traded_as_the_switches_of_the_engine_say(run: Any, name: str, tmp_path: Path) -> None:
    example = EXAMPLES[name]
    theirs = [Trade(*trade) for trade in KEPT[run.name]["examples"][name]]
    walked = walk(rows(example.market()), example.masks, run.costs(*rates_of(example)), run.semantics)
    np.testing.assert_allclose(theirs, walked, rtol=1e-12)
    (ours,) = ours_on(example.market(), run.rule(*rates_of(example)), tmp_path)
    same = len(ours) == len(theirs) and np.allclose(theirs, ours, rtol=1e-12, atol=0)
    assert same is (name not in DIFFERS.get(run.name, set()))


@pytest.mark.parametrize("stop", STOPS)
def test_a_year_of_64_combinations_has_the_trades_of_backtesting_py(
    market: dict[str, Any], stop: str, tmp_path: Path
) -> None:
    kept, ours = KEPT[FILL][stop], ours_on(market, RUNS[0].rule(*STOPS[stop]), tmp_path)
    assert [len(found) for found in ours] == kept["n_trades"]
    assert [digest(found) for found in ours] == kept["times"]
    everything = [trade for found in ours for trade in found]
    assert sum(trade.entry_price for trade in everything) == pytest.approx(kept["entry_prices"], rel=1e-12)
    if STOPS[stop][1] == 0.0:
        # It has no slippage on sales; ours is a share of the price, so taking it off gives theirs.
        sales = sum(trade.exit_price for trade in everything) / (1 - 0.0005)
        assert sales == pytest.approx(kept["exit_prices"], rel=1e-12)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_year_is_traded_as_the_switches_of_the_engine_say(run: Any, stop: str, market: dict[str, Any]) -> None:
    kept, bars = KEPT[run.name][stop], rows(market)
    costs = run.costs(*STOPS[stop])
    assert len(kept["times"]) == len(market["masks"][:: run.every])
    for k in range(1, len(kept["times"]), 13 // run.every):
        walked = walk(bars, market["masks"][run.every * k].tolist(), costs, run.semantics)
        assert (len(walked), digest(walked)) == (kept["n_trades"][k], kept["times"][k])


def test_without_a_stop_every_engine_trades_when_ours_does() -> None:
    for run in RUNS:
        ours = KEPT["tickloom"]["no stop"]["times"][:: run.every]
        assert KEPT[run.name]["no stop"]["times"] == ours, run.name


@pytest.mark.parametrize("made_of", [table, example_table])
def test_the_page_has_the_tables_of_the_last_run(made_of: Any) -> None:
    assert "\n".join(made_of(KEPT)) in (ROOT / "docs" / "how-we-compare.md").read_text()


@pytest.mark.parametrize(
    ("switch", "name"),
    [
        ("exit_slips", "costs"),
        ("watches_entry_bar", "entry bar"),
        ("stop_before_signal", "stop or signal"),
        ("stop_from", "gap at the entry"),
        ("fills_at", "gap at the entry"),
        ("stop_gap_fills_at", "gap through the stop"),
        ("decimals", "part of a cent"),
        ("target_before_stop", "stop and target"),
        ("touch_fills_target", "touch of the target"),
        ("target_gap_fills_at", "gap beyond the target"),
        ("target_slips", "costs of a target"),
    ],
)
def test_each_switch_has_an_example_that_it_alone_changes(switch: str, name: str) -> None:
    """Without one, a switch could stand for anything."""
    example, plain = EXAMPLES[name], Semantics()
    stop, target, slippage = rates_of(example)
    bars, costs = rows(example.market()), Costs(slippage, stop, target)
    values = {getattr(run.semantics, switch) for run in RUNS} - {getattr(plain, switch)}
    assert len(values) == 1
    alone = plain._replace(**{switch: values.pop()})
    assert walk(bars, example.masks, costs, alone) != walk(bars, example.masks, costs, plain)


def test_every_switch_has_words_for_the_page() -> None:
    assert set(WORDS) == set(Semantics._fields)


@given(market=markets(), stop=RATES, target=RATES, slippage=st.sampled_from([0.0, 1 / 1024]))
def test_our_engine_makes_the_trades_of_the_walk(market: Market, stop: float, target: float, slippage: float) -> None:
    rules = Rules(10_000.0, 1 / 64, 0.001, slippage, stop, take_profit_rate=target)
    kept = run_ours(market, rules)[3]
    closed = kept.exit_bar >= 0
    columns = (kept.entry_bar, kept.exit_bar, kept.entry_fill, kept.exit_fill)
    ours = [Trade(*row) for row in zip(*(column[closed].tolist() for column in columns), strict=True)]
    bars = list(zip(*(column.tolist() for column in (market.open, market.high, market.low, market.close)), strict=True))
    walked = walk(bars, market.signal.tolist(), Costs(slippage, stop, target), Semantics())
    assert [trade[:2] for trade in ours] == [trade[:2] for trade in walked]
    np.testing.assert_allclose(np.array(ours), np.array(walked), rtol=1e-12)


def test_a_trade_that_is_not_explained_stops_the_run() -> None:
    found = [[Trade(2, 4, 100.0, 101.0), Trade(6, 7, 100.0, 99.0)]]
    explain("itself", found, found)
    for other in (Trade(6, 8, 100.0, 99.0), Trade(6, 7, 100.0, 99.0 * (1 + 1e-11)), Trade(6, 7, 100.001, 99.0)):
        with pytest.raises(Disagreement, match="a peer, mask 0: made"):
            explain("a peer", found, [[found[0][0], other]])
    with pytest.raises(Disagreement, match="made 2 trades, and its semantics say 1"):
        explain("a peer", found, [found[0][:1]])


def test_trades_at_other_times_and_at_other_prices_are_counted_apart() -> None:
    ours = [[Trade(2, 4, 100.0, 101.0), Trade(6, 7, 100.0, 99.0)], [Trade(1, 3, 50.0, 60.0)]]
    theirs = [[Trade(2, 4, 100.0, 101.0), Trade(6, 7, 100.0, 98.0)], [Trade(1, 2, 50.0, 60.0)]]
    assert apart(theirs, ours) == {"times": 1, "prices": 1}
