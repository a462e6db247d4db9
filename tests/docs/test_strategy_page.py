"""The examples of the pages on strategies run as they stand there."""

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

from tests.tickloom.strategy.worlds import HOUR_US
from tickloom.strategy.engine import Engine
from tickloom.strategy.feed import Bars
from tickloom.strategy.rules import Rules

DOCS = Path(__file__).resolve().parents[2] / "docs"


def code_of(page: Path, block: int) -> str:
    """One of the page's programs."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[block]


def market_of(seed: int) -> Bars:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0.001, 0.01, 500)))
    opened, ts = np.r_[close[:1], close[:-1]], np.arange(500, dtype=np.int64) * HOUR_US
    return Bars(opened, np.maximum(opened, close), np.minimum(opened, close), close, ts, ts + HOUR_US)


def test_the_strategy_on_the_page_trades() -> None:
    page: dict[str, object] = {}
    exec(code_of(DOCS / "howto-write-a-strategy.md", 0), page)  # our own page, in our own tests
    market = market_of(3)
    breakout = page["Breakout"]()  # type: ignore[operator]
    result = Engine(breakout, market, Rules(10_000.0, 1.0, 0.001, 0.0005, 0.0)).run()
    assert {fill.tag for fill in result.fills} == {"stop", "trailing_stop"}
    assert breakout.n_fills == len(result.fills) > 10
    assert page["run"](market) == result.performance.equity[-1]  # type: ignore[operator]


def test_the_compiled_strategy_on_the_page_trades_as_its_callbacks_do(tmp_path: Path) -> None:
    page = DOCS / "howto-compile-a-strategy.md"
    (tmp_path / "strategy_of_the_page.py").write_text(code_of(page, 0))
    sys.path.insert(0, str(tmp_path))
    try:
        module = vars(import_module("strategy_of_the_page"))
    finally:
        sys.path.remove(str(tmp_path))
    scope = module | {"bars": market_of(4)}
    exec(code_of(page, 1), scope)
    callbacks = module["reversal"].as_callbacks(scope["rules"], module["Parameters"](span=100))
    result = Engine(callbacks, scope["bars"], scope["rules"]).run()
    assert [fill.price for fill in result.fills] == scope["played"].fills.price.tolist()
    assert {fill.tag for fill in result.fills} == {"market", "signal", "stop"}
