"""How far a search is: its finished trials, the best so far. Told while batches run; none of it reaches the lake."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from services.backtest.adapters.finished import fresh
from tickloom.contracts.events import BestTrial, Trials
from tickloom.lake.journal import Journal

PERIOD_S = 0.25


class Search:
    """The trials of a run, by symbol and combo, as they finish: in any order, and some of them twice.

    parameters  of each combo
    """

    def __init__(self, objective: str, parameters: Sequence[Mapping[str, Any]], symbols: Sequence[str]) -> None:
        self._objective, self._parameters = objective, parameters
        self._order = {symbol: index for index, symbol in enumerate(symbols)}
        self._finished: dict[str, set[int]] = {symbol: set() for symbol in symbols}
        self._best: tuple[float, int, int] | None = None
        self._lock = threading.Lock()

    def take(self, symbol: str, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Count finished trials; return whether there was a new one among them."""
        is_new = False
        with self._lock:
            for row in rows:
                combo, value = int(row["combo"]), row[self._objective]
                is_new = is_new or combo not in self._finished[symbol]
                self._finished[symbol].add(combo)
                if value is not None:
                    place = (float(value), -self._order[symbol], -combo)
                    self._best = place if self._best is None else max(self._best, place)
        return is_new

    @property
    def trials(self) -> Trials:
        """How many are finished, of how many."""
        total = len(self._finished) * len(self._parameters)
        return Trials(done=sum(map(len, self._finished.values())), total=total)

    @property
    def best(self) -> BestTrial | None:
        """The best so far, of equals that of the first symbol and lowest combo; None while none has a value."""
        if self._best is None:
            return None
        value, place, combo = self._best
        symbol = list(self._order)[-place]
        parameters = dict(self._parameters[-combo])
        return BestTrial(symbol=symbol, parameters=parameters, objective=self._objective, value=value)

    @contextmanager
    def watching(self, journals: Sequence[tuple[str, Journal]], tell: Callable[[], None]) -> Iterator[None]:
        """Look into the journals of (symbol, batch) now and then, and tell of what is new in them."""
        over = threading.Event()

        def look() -> bool:
            with suppress(OSError):  # a lake that is away is the business of whoever works
                news = [self.take(symbol, (row for row, _ in fresh(journal))) for symbol, journal in journals]
                return any(news)
            return False

        def watch() -> None:
            while not over.wait(PERIOD_S):
                if look():
                    tell()

        look()  # what an earlier attempt has left
        thread = threading.Thread(target=watch, name="search", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
