"""Trials that get the trades of the bars they need, and of no others.

A trial runs by the usual guess first and notes the bars whose order decides. Those are opened and it runs again, which
may need other bars, until it needs none. What it has opened only grows, so this ends. Which bars other trials opened
does not matter: a bar is open to the trial that asked for it.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from services.backtest.kernels.engine import run_full, run_summary
from services.backtest.kernels.inside import ALONE, CLOSED, SEALED, Inside
from services.backtest.kernels.types import Curve, Outcome, Prices, Signal, Trades
from tickloom.errors import CorruptFile
from tickloom.kernel import F64, I64
from tickloom.strategy.rules import Rules

BUDGET: Final = 16_000_000
"""Trades that one trial may have opened: 128 MB. Bars beyond it are guessed, and counted as such."""

Read = Callable[[Sequence[int]], list[F64]]
"""Bars to the prices of each one's trades, in the order of their ids."""


class Resolved(NamedTuple):
    """A trial as it is, and as it would be by the usual guess inside every bar; `daily` as in `run_summary`."""

    outcome: Outcome
    daily: F64
    guess: Outcome
    guess_daily: F64

    @property
    def is_moved(self) -> bool:
        """Whether the guess would have given another account."""
        same = self.outcome.n_trades == self.guess.n_trades and self.outcome.cash == self.guess.cash
        return not (same and np.array_equal(self.daily, self.guess_daily))


class Opener:
    """Runs trials over one symbol's bars, opening bars where that decides; without `read` it guesses."""

    def __init__(
        self,
        prices: Prices,
        read: Read | None = None,
        n_trades: I64 | None = None,
        *,
        fills: bool = False,
        budget: int = BUDGET,
    ) -> None:
        """Take the bars, and a reader of their trades.

        n_trades  (n_bars,) of each bar, at most
        fills     stops fill at the trade that reached them, see docs/backtest.md
        """
        self.prices, self.has_trades = prices, read is not None and n_trades is not None
        self._read, self._n_trades, self._budget = read, n_trades, budget
        self._spans: dict[int, tuple[int, int]] = {}
        self._size, self._used, self._opened = 0, 0, list[int]()
        n_bars = prices.close.size if self.has_trades else 0
        closed = np.full(n_bars, CLOSED, np.int64)
        self._inside = Inside(fills, closed, np.zeros(n_bars, np.int64), np.empty(0), np.empty(n_bars, np.int64))
        if not self.has_trades:
            self._inside = ALONE._replace(fills=fills)

    def run(self, signal: Signal, rules: Rules) -> Resolved:
        """Run one trial. The result depends on the trial and on the bars' trades alone."""
        self._forget()
        guess, guess_daily = run_summary(self.prices, signal, rules, self._inside)
        outcome, daily = guess, guess_daily
        while outcome.n_wanted:
            self._open(self._inside.wanted[: outcome.n_wanted].tolist())
            outcome, daily = run_summary(self.prices, signal, rules, self._inside)
        return Resolved(outcome, daily, guess, guess_daily)

    def summary(self, signal: Signal, rules: Rules) -> tuple[Outcome, F64]:
        """Run one trial and leave the guess aside."""
        return self.run(signal, rules)[:2]

    def full(self, signal: Signal, rules: Rules) -> tuple[Outcome, F64, Curve, Trades]:
        """Run one trial and keep its curve and its trades."""
        self.run(signal, rules)
        return run_full(self.prices, signal, rules, self._inside)

    def _forget(self) -> None:
        """Close the bars of the trial before; their trades are kept for whoever asks again."""
        if self._opened or self._used > self._budget:
            self._inside.begin[:] = CLOSED
        self._opened, self._used = [], 0

    def _open(self, bars: Sequence[int]) -> None:
        """Open bars to this trial, as far as its budget goes, and seal the others."""
        assert self._n_trades is not None
        total = self._used + np.cumsum(self._n_trades[bars])
        n_open = int(np.searchsorted(total, self._budget, "right"))
        self._used = int(total[-1])
        self._opened += bars[:n_open]
        self._inside.begin[bars[n_open:]] = SEALED
        missing = [bar for bar in bars[:n_open] if bar not in self._spans]
        if self._size + int(self._n_trades[missing].sum()) > self._budget:
            self._spans, self._size, missing = {}, 0, self._opened
        self._load(missing)
        for bar in self._opened:
            self._inside.begin[bar], self._inside.end[bar] = self._spans[bar]

    def _load(self, bars: Sequence[int]) -> None:
        """Read the trades of bars, behind those that are there."""
        assert self._read is not None
        paths = self._read(bars) if bars else []
        size = self._size + sum(path.size for path in paths)
        if size > self._inside.price.size:
            price = np.empty(max(size, 2 * self._inside.price.size))
            price[: self._size] = self._inside.price[: self._size]
            self._inside = self._inside._replace(price=price)
        for bar, path in zip(bars, paths, strict=True):
            _check(self.prices, bar, path)
            begin, self._size = self._size, self._size + path.size
            self._inside.price[begin : self._size] = path
            self._spans[bar] = begin, self._size


def _check(prices: Prices, bar: int, path: F64) -> None:
    """Raise CorruptFile where the trades are not those that the bar was made of."""
    made = (path[0], path.max(), path.min(), path[-1]) if path.size else ()
    if made != (prices.open[bar], prices.high[bar], prices.low[bar], prices.close[bar]):
        raise CorruptFile(f"the trades of bar {bar}", "their first, highest, lowest and last price are not the bar's")
