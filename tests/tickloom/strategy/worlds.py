"""Markets for strategies, and strategies that do what a test tells them."""

from collections.abc import Callable

import numpy as np

from tickloom.strategy.engine import Engine, Result
from tickloom.strategy.feed import Bars, Trade
from tickloom.strategy.rules import Rules
from tickloom.strategy.strategy import Context, Strategy

HOUR_US = 3_600_000_000
FREE = Rules(10_000.0, 1.0, 0.0, 0.0, 0.0)
Bar = tuple[float, float, float, float]
Act = Callable[[Context], object]


def bars(*rows: Bar | float, trades: tuple[tuple[Trade, ...], ...] = ()) -> Bars:
    """Hourly bars of (open, high, low, close), or of one price."""
    whole = [row if isinstance(row, tuple) else (row,) * 4 for row in rows]
    o, h, low, c = (np.array(column, float) for column in zip(*whole, strict=True))
    ts = np.arange(len(whole), dtype=np.int64) * HOUR_US
    return Bars(o, h, low, c, ts, ts + HOUR_US, trades=trades)


class Script(Strategy):
    """Does `acts[bar]` at the close of that bar."""

    def __init__(self, acts: dict[int, Act]) -> None:
        self.acts = acts
        self.told: list[tuple[int, str, float]] = []

    def on_bar(self, ctx: Context) -> None:
        if act := self.acts.get(ctx.bar):
            act(ctx)

    def on_fill(self, ctx: Context, fill: object) -> None:
        self.told.append((ctx.bar, fill.tag, fill.price))  # type: ignore[attr-defined]


def play(market: Bars, acts: dict[int, Act], rules: Rules = FREE, **options: object) -> Result:
    return Engine(Script(acts), market, rules, **options).run()  # type: ignore[arg-type]


def prices(result: Result) -> list[tuple[int, int, float]]:
    """(bar, side, price) of each fill."""
    return [(fill.bar, fill.side, fill.price) for fill in result.fills]
