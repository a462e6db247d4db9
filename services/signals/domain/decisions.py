"""Signals of an installed strategy: what its `decide` says at each close, for every set of parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.signals.kernels.masks import Changes, mask_changes
from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT, InstalledStrategy, SignalsRequest
from tickloom.errors import BadRequest, InvalidRequest
from tickloom.kernel import F64
from tickloom.rules.binding import Combination
from tickloom.rules.grid import combinations
from tickloom.strategy.compiled import CompiledStrategy
from tickloom.strategy.loop import Market
from tickloom.strategy.registry import load
from tickloom.strategy.rules import Rules

COLUMNS = ("close", "high", "low", "open", "ts_close")
ALL = LONG_ENTRY | LONG_EXIT | SHORT_ENTRY | SHORT_EXIT
NO_CASH = Rules(initial_cash=0.0, fraction=1.0, commission_rate=0.0, slippage_rate=0.0, stop_loss_rate=0.0)


class StrategyFailed(BadRequest):
    """An installed strategy did not do what a strategy does."""

    next_step = "correct the strategy's package and install it anew; `as_callbacks` lets a debugger stop in `decide`"

    def __str__(self) -> str:
        return f"strategy {self.args[0]}: {self.args[1]}"


@dataclass(frozen=True)
class Decisions:
    """The strategy of one request: only its name and digest travel to the tasks, which load it themselves."""

    strategy: InstalledStrategy

    @classmethod
    def of(cls, request: SignalsRequest, strategy: InstalledStrategy) -> "Decisions":
        """Load the strategy and hold the grid against it.

        Raises InvalidRequest, StrategyNotAllowed, UnknownStrategy, StrategyChanged, StrategyFailed.
        """
        if strategy.source is None:
            raise InvalidRequest("strategy.source", "is needed: the gateway fills it in when it accepts a request")
        decisions, grid = cls(strategy), combinations(request.parameters)
        loaded = decisions._loaded()
        for combination in grid:
            loaded.of(dict(combination))
        return decisions

    def columns(self, _grid: Sequence[Combination], known: Sequence[str]) -> list[str]:
        """Return the columns that a bar is made of, sorted."""
        return [*COLUMNS, *({"volume"} & set(known))]

    def changes(self, grid: Sequence[Combination], columns: Mapping[str, F64], n_bars: int) -> list[Changes]:
        """Return the changes of each parameter set's signal mask over columns of (n_bars,). Raises StrategyFailed."""
        loaded, nothing = self._loaded(), np.empty(0)
        close, high, low, opened = (np.require(columns[name], np.float64, ["C", "W"]) for name in COLUMNS[:4])
        volume = np.require(columns.get("volume", nothing), np.float64, ["C", "W"])
        market = Market(opened, high, low, close, columns["ts_close"].astype(np.int64), volume, nothing, nothing)
        changes = []
        for combination in grid:
            try:
                mask = loaded.play(market, NO_CASH, loaded.of(dict(combination))).masks
            except BadRequest:
                raise
            except Exception as error:  # it is not our code: whatever it raises is told to whoever asked for it
                raise StrategyFailed(self.strategy.name, f"{type(error).__name__}: {str(error)[:1000]}") from error
            if (wrong := mask & ~np.int8(ALL)).any():
                bar = int(np.flatnonzero(wrong)[0])
                raise StrategyFailed(self.strategy.name, f"decided {mask[bar]} at bar {bar} of {n_bars}: no mask")
            changes.append(mask_changes(mask))
        return changes

    def _loaded(self) -> CompiledStrategy[Any, Any]:
        name = self.strategy.name
        made = load(name, self.strategy.source).made
        if not isinstance(made, CompiledStrategy):
            raise StrategyFailed(name, "sends orders of its own, in your own process; a stage runs a CompiledStrategy")
        if made.reads_account:
            reason = "decides by the account, which only the backtest knows; run it by CompiledStrategy.run"
            raise StrategyFailed(name, reason)
        return made
