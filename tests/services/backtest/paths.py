"""Markets whose bars were made of trades, drawn by Hypothesis, and runs that see them."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from services.backtest.domain.inside import BUDGET, Opener
from services.backtest.kernels.types import Curve, Outcome, Trades
from tests.naive import backtest as naive
from tests.naive import inside as naive_inside
from tests.services.backtest.markets import Market, busy_markets, changes, volatility_naively
from tickloom.kernel import F64
from tickloom.strategy.rules import Rules

Path = list[float]
YEAR_US = 365 * 86_400_000_000


@dataclass(frozen=True)
class Traded:
    """A market, and the prices of each bar's trades in their order."""

    market: Market
    paths: tuple[Path, ...]

    def head(self, n_bars: int) -> "Traded":
        return Traded(self.market.head(n_bars), self.paths[:n_bars])

    def read(self, bars: Sequence[int]) -> list[F64]:
        return [np.array(self.paths[bar]) for bar in bars]

    def opener(self, *, fills: bool = False, budget: int = BUDGET) -> Opener:
        n_trades = np.array([len(path) for path in self.paths])
        return Opener(self.market.prices(), self.read, n_trades, fills=fills, budget=budget)


def of_paths(market: Market, paths: Sequence[Path]) -> Traded:
    """The bars that these trades make, with the market's times, volume and signal."""
    o, h, low, c = (np.array([f(p) for p in paths], float) for f in (lambda p: p[0], max, min, lambda p: p[-1]))
    return Traded(replace(market, open=o, high=h, low=low, close=c), tuple(paths))


@st.composite
def traded_markets(draw: st.DrawFn) -> Traded:
    """A few trades a bar, each some eighths from the one before, so that bars reach several levels at once."""
    market = draw(busy_markets())
    steps = st.lists(st.integers(-40, 40), min_size=1, max_size=7)
    paths, last = [], 800
    for _ in range(market.close.size):
        path = []
        for step in draw(steps):
            last = min(max(last + step, 400), 1600)
            path.append(last / 8)
        paths.append(path)
    return of_paths(market, paths)


def run_traded(traded: Traded, rules: Rules, *, fills: bool = False) -> tuple[Outcome, F64, Curve, Trades]:
    return traded.opener(fills=fills).full(changes(traded.market.signal), rules)


def run_traded_naively(traded: Traded, rules: Rules, *, fills: bool = False) -> naive.Account:
    """The twin that walks through the trades of every bar."""
    market = traded.market
    columns = (market.open.tolist(), market.high.tolist(), market.low.tolist(), market.close.tolist())
    years = [ts / YEAR_US for ts in market.ts_close.tolist()]
    span = [0.0, *((b - a) / YEAR_US for a, b in pairwise(market.ts_close.tolist()))]
    with naive.decimals() if rules.impact_kind else nullcontext():
        return naive_inside.run(
            list(zip(*columns, strict=True)), market.signal.tolist(), rules._asdict(), list(traded.paths), fills=fills,
            volume=None if market.volume is None else market.volume.tolist(),
            volatility=volatility_naively(market.close.tolist(), years, 8), span=span,
            unit=None if market.unit is None else market.unit.tolist(),
        )  # fmt: skip
