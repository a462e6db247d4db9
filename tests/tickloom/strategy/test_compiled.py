"""A strategy in numba's subset: inside the compiled loop and as Python callbacks it is one strategy."""

import subprocess
import sys
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.tickloom.strategy.worlds import HOUR_US
from tickloom.errors import InvalidRequest
from tickloom.kernel import F64
from tickloom.strategy.compiled import (
    LONG_ENTRY,
    LONG_EXIT,
    SHORT_ENTRY,
    SHORT_EXIT,
    TAGS,
    Account,
    Bar,
    CompiledStrategy,
    Played,
    market_of,
)
from tickloom.strategy.engine import Engine, Result
from tickloom.strategy.examples import CrossParameters, ema_cross
from tickloom.strategy.feed import Bars
from tickloom.strategy.rules import (
    BY_FRACTION,
    BY_NOTIONAL,
    BY_RISK,
    BY_VOLATILITY,
    NO_IMPACT,
    SQUARE_ROOT,
    VOLUME_SHARE,
    Rules,
)


class Choices(NamedTuple):
    """What `erratic` is made of; every number comes of the random rules."""

    weight: float
    band: float
    patience: int
    shorts: bool


class Memory(NamedTuple):
    mean: float
    waits: int
    was_in: bool
    recent: F64


def remembers_nothing(p: Choices) -> Memory:
    return Memory(nan, 0, False, np.zeros(4))


def erratic(bar: Bar, account: Account, state: Memory, p: Choices) -> tuple[int, Memory]:
    """Depends on all it is given: averages, a buffer, the fill of its entry, and whether it was thrown out."""
    mean = bar.close if bar.number == 0 else state.mean + p.weight * (bar.close - state.mean)
    state.recent[bar.number % 4] = bar.high - bar.low
    is_in = account.position != 0.0
    waits = p.patience if state.was_in and not is_in else max(state.waits - 1, 0)
    mask, reach = 0, p.band * mean + 0.1 * state.recent.mean()
    if bar.close > mean + reach:
        mask |= LONG_ENTRY | SHORT_EXIT
    elif bar.close < mean - reach:
        mask |= LONG_EXIT | (SHORT_ENTRY if p.shorts else 0)
    if is_in and abs(bar.close - account.entry_price) > 4 * reach:
        mask |= LONG_EXIT if account.position > 0.0 else SHORT_EXIT
    if waits > 0 or account.cash < -1e6 or bar.volume == 0.0 or bar.ts % 7 == 0:
        mask &= LONG_EXIT | SHORT_EXIT
    return mask, Memory(mean, waits, is_in, state.recent)


strategy = CompiledStrategy(erratic, remembers_nothing, Choices)


def random_bars(rng: np.random.Generator) -> Bars:
    n = int(rng.integers(1, 200))
    opened = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, n)))
    close = opened * np.exp(rng.normal(0, 0.02, n))
    high = np.maximum(opened, close) * (1 + rng.exponential(0.01, n))
    low = np.minimum(opened, close) * (1 - rng.exponential(0.01, n).clip(0, 0.5))
    ts = np.cumsum(rng.integers(1, 4, n)) * HOUR_US
    volume = np.where(rng.random(n) < 0.9, rng.exponential(500.0, n), 0.0)
    known = rng.random() < 0.8
    nothing = np.empty(0)
    flow = (volume, rng.exponential(0.5, n)) if known else (nothing, nothing)
    return Bars(opened, high, low, close, ts - HOUR_US, ts, *flow)


def random_rules(rng: np.random.Generator, *, knows_flow: bool) -> Rules:
    def maybe(*values: float) -> float:
        return float(rng.choice([0.0, *values]))

    sizings = [(BY_FRACTION, 1.0), (BY_FRACTION, 0.3), (BY_NOTIONAL, 3e3), (BY_RISK, 0.01), (BY_VOLATILITY, 0.4)]
    sizing, size = sizings[int(rng.integers(4 + knows_flow))]
    limit_bars, leverage = int(rng.choice([0, 0, 1, 2, 5])), float(rng.choice([1.0, 1.0, 10.0, 25.0]))
    impact = int(rng.choice([NO_IMPACT, VOLUME_SHARE, SQUARE_ROOT])) if knows_flow else NO_IMPACT
    multiple = float(rng.choice([0.0, 0.0, 0.5, 2.0]))
    stop = 0.0 if multiple else 0.02 if sizing == BY_RISK else maybe(0.005, 0.03)
    return Rules(
        10_000.0, size, maybe(0.001), maybe(0.0005, 0.01), stop, stop_multiple=multiple,
        take_profit_rate=maybe(0.01, 0.05), trailing_rate=maybe(0.01, 0.04), maker_rate=maybe(0.0002),
        limit_rate=maybe(0.003, 0.02) if limit_bars else 0.0, limit_bars=limit_bars, lot_step=maybe(0.1, 5.0),
        min_notional=maybe(2_900.0), leverage=leverage,
        maintenance_rate=float(rng.choice([0.005, 0.03])) if leverage > 1 else maybe(0.05),
        sizing=sizing, impact_kind=impact, impact=0.3, impact_cap=0.05,
    )  # fmt: skip


def random_choices(rng: np.random.Generator) -> Choices:
    return Choices(
        float(rng.uniform(0.02, 0.5)), float(rng.choice([0.0, 0.003, 0.02])), int(rng.integers(0, 5)),
        bool(rng.random() < 0.7),
    )  # fmt: skip


def world(seed: int) -> tuple[Bars, Rules, Choices, F64]:
    rng = np.random.default_rng(seed)
    bars = random_bars(rng)
    unit = np.where(rng.random(bars.n_bars) < 0.9, rng.exponential(2.0, bars.n_bars), nan)
    return bars, random_rules(rng, knows_flow=bars.volume.size > 0), random_choices(rng), unit


def told(played: Played) -> list[tuple[object, ...]]:
    fills = played.fills._replace(tag=[TAGS[tag] for tag in played.fills.tag])  # type: ignore[arg-type]
    return list(zip(*(column.tolist() if isinstance(column, np.ndarray) else column for column in fills), strict=True))


def told_of(result: Result) -> list[tuple[object, ...]]:
    return [(f.bar, f.side, f.quantity, f.price, f.fee, f.is_maker, f.tag, f.position, f.cash) for f in result.fills]


@pytest.mark.parametrize("block", range(5))
def test_c6_five_hundred_random_strategies_fill_alike_compiled_and_as_callbacks(block: int) -> None:
    seen: set[object] = set()
    n_fills = 0
    for seed in range(100 * block, 100 * block + 100):
        bars, rules, choices, unit = world(seed)
        played = strategy.run(bars, rules, choices, stop_unit=unit)
        result = Engine(strategy.as_callbacks(rules, choices, stop_unit=unit), bars, rules).run()
        assert told(played) == told_of(result), f"seed {seed}: {rules} {choices}"
        np.testing.assert_array_equal(played.equity, result.performance.equity)
        assert (played.cash, played.position) == (result.portfolio.cash, result.portfolio.position)
        seen |= {TAGS[tag] for tag in played.fills.tag}
        n_fills += played.fills.bar.size
    assert n_fills > 1000
    assert seen == set(TAGS)


def test_c1_what_is_decided_and_filled_never_changes_with_later_bars() -> None:
    for seed in range(200):
        bars, rules, choices, unit = world(seed)
        whole = strategy.run(bars, rules, choices, stop_unit=unit)
        cut = seed * bars.n_bars // 200
        head = strategy.run(bars.head(cut), rules, choices, stop_unit=unit[:cut])
        np.testing.assert_array_equal(head.masks, whole.masks[:cut])
        np.testing.assert_array_equal(head.equity, whole.equity[:cut])
        assert told(head) == [row for row in told(whole) if row[0] < cut]  # type: ignore[operator]


def test_a_run_that_fills_more_than_there_was_room_for_keeps_every_fill() -> None:
    n = 5_000
    close = np.where(np.arange(n) % 2, 101.0, 99.0)
    ts = np.arange(n, dtype=np.int64) * HOUR_US
    bars = Bars(close, close, close, close, ts, ts + HOUR_US)
    rules = Rules(10_000.0, 1.0, 0.0, 0.0, 0.0)
    played = strategy.run(bars, rules, Choices(0.1, 0.0, 0, True))
    assert played.fills.bar.size > n // 2
    assert played.equity[-1] == played.cash + played.position * 101.0
    assert strategy.play(market_of(bars), rules, Choices(0.1, 0.0, 0, True), keeps_curve=False).equity.size == 0


def test_the_example_trades_and_protects_itself() -> None:
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.004, 20_000)))
    opened = np.r_[close[:1], close[:-1]]
    ts = np.arange(close.size, dtype=np.int64) * HOUR_US
    bars = Bars(opened, np.maximum(opened, close), np.minimum(opened, close), close, ts, ts + HOUR_US)
    rules = Rules(10_000.0, 1.0, 0.001, 0.0005, 0.02)
    played = ema_cross.run(bars, rules, CrossParameters())
    result = Engine(ema_cross.as_callbacks(rules, CrossParameters()), bars, rules).run()
    assert told(played) == told_of(result)
    assert {TAGS[tag] for tag in played.fills.tag} == {"market", "signal", "stop"}
    slower = ema_cross.run(bars, rules, CrossParameters(slow=60))
    assert told(slower) != told(played)


def test_parameters_are_checked_by_name_and_kind() -> None:
    assert ema_cross.of({"fast": 5}) == CrossParameters(fast=5)
    assert ema_cross.of({"gap_rate": 1}).gap_rate == 1.0
    with pytest.raises(InvalidRequest, match="no such parameter; it has: fast, slow, trend, gap_rate"):
        ema_cross.of({"fats": 5})
    with pytest.raises(InvalidRequest, match="is no int"):
        ema_cross.of({"fast": 5.5})
    with pytest.raises(InvalidRequest, match="is no int"):
        ema_cross.of({"fast": True})
    whole = {"weight": 0.1, "band": 0.1, "patience": 1}
    assert strategy.of(whole | {"shorts": 1}).shorts is True
    with pytest.raises(InvalidRequest, match="has no value"):
        strategy.of({"weight": 0.1})
    with pytest.raises(InvalidRequest, match="is no bool"):
        strategy.of(whole | {"shorts": 2})


def test_bars_with_their_trades_are_refused_for_they_would_not_be_looked_at() -> None:
    bars, rules, choices, _ = world(3)
    with pytest.raises(ValueError, match="have their trades"):
        strategy.run(replace(bars, inside=((1.0,),) * bars.n_bars), rules, choices)


def test_whether_a_strategy_reads_the_account_is_read_from_its_code() -> None:
    assert strategy.reads_account
    assert not ema_cross.reads_account


def test_parameters_that_are_no_numbers_are_refused_where_the_strategy_is_made() -> None:
    class Names(NamedTuple):
        symbol: str

    with pytest.raises(TypeError, match="int, float and bool"):
        CompiledStrategy(erratic, remembers_nothing, Names)


MODULE = """
from typing import NamedTuple
from tickloom.strategy.compiled import CompiledStrategy, LONG_ENTRY
from {helper} import LEAST

class Parameters(NamedTuple):
    x: float = 1.0

class State(NamedTuple):
    n: int

def start(p):
    return State(0)

def decide(bar, account, state, p):
    return (LONG_ENTRY if state.n >= LEAST else 0), State(state.n + 1)

mine = CompiledStrategy(decide, start, Parameters)
"""
RUN = """
import numpy as np
from numba.core import event
from tickloom.strategy.feed import Bars
from tickloom.strategy.rules import Rules
from plugin import mine, Parameters

ts = np.arange(9, dtype=np.int64)
price = np.full(9, 100.0)
with event.install_recorder("numba:compile") as compiled:
    played = mine.run(Bars(price, price, price, price, ts, ts), Rules(1e4, 1.0, 0.0, 0.0, 0.0), Parameters())
print(played.fills.bar.tolist(), len(compiled.buffer) > 0)
"""


def ran(folder: Path, code: str) -> str:
    """What a new process prints that finds the plug-in in `folder`, and the compiled code of the ones before it."""
    root = str(Path(__file__).parents[3])
    environment = {"PYTHONPATH": f"{root}:{folder}", "NUMBA_CACHE_DIR": str(folder / "cache"), "PATH": ""}
    command = [sys.executable, "-B", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


def test_a_strategy_of_another_package_is_compiled_once_and_again_when_what_it_uses_changes(tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(MODULE.format(helper="plugin_numbers"))
    (tmp_path / "plugin_numbers.py").write_text("LEAST = 3\n")

    def run() -> str:
        return ran(tmp_path, RUN)

    assert run() == "[4] True"
    assert run() == "[4] False"
    (tmp_path / "plugin_numbers.py").write_text("LEAST = 5\n")
    assert run() == "[6] True"
    (tmp_path / "plugin.py").write_text(MODULE.format(helper="plugin_numbers").replace("state.n + 1", "state.n + 2"))
    assert run() == "[4] True"
    renamed = MODULE.format(helper="plugin_numbers").replace("State", "Memory")
    (tmp_path / "plugin.py").write_text(renamed)
    assert run() == "[6] True"
    assert run() == "[6] False"


def test_a_strategy_that_was_typed_at_a_prompt_runs_and_is_never_taken_for_another(tmp_path: Path) -> None:
    (tmp_path / "plugin_numbers.py").write_text("LEAST = 3\n")
    (tmp_path / "plugin.py").write_text("")
    module = MODULE.format(helper="plugin_numbers")
    body = module + RUN.replace("from plugin import mine, Parameters\n", "")
    assert ran(tmp_path, body) == "[4] True"
    assert ran(tmp_path, body.replace("State(state.n + 1)", "State(state.n + 2)")) == "[3] True"
