"""Strategies that are compiled: what is decided at the close of a bar, as one function within numba's subset.

    class Parameters(NamedTuple):
        weight: float = 0.1

    class State(NamedTuple):
        mean: float

    def start(parameters: Parameters) -> State:
        return State(nan)

    def decide(bar: Bar, account: Account, state: State, parameters: Parameters) -> tuple[int, State]:
        mean = bar.close if bar.number == 0 else state.mean + parameters.weight * (bar.close - state.mean)
        return LONG_ENTRY if bar.close > mean else LONG_EXIT, State(mean)

    reversal = CompiledStrategy(decide, start, Parameters)

`decide` is given what is known at the close and nothing else, so it cannot look ahead. What it returns is a mask as of
the signals stage, traded by the same rules: entries, stops and sizes are those of the account's `Rules`.
"""

import hashlib
from collections.abc import Callable
from dis import get_instructions
from typing import Any, Generic, NamedTuple, TypeVar, get_type_hints

import numpy as np

from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.errors import InvalidRequest
from tickloom.kernel import F64, I8, inlined_borrowing, plain
from tickloom.strategy.feed import Bars
from tickloom.strategy.loop import TAGS, Account, Bar, Fills, Market, loop_of, new_fills
from tickloom.strategy.rules import Rules, check_risk
from tickloom.strategy.signals import Follower
from tickloom.strategy.strategy import Context

__all__ = [
    "LONG_ENTRY", "LONG_EXIT", "SHORT_ENTRY", "SHORT_EXIT", "TAGS", "Account", "Bar", "CompiledStrategy", "Fills",
    "Played", "market_of",
]  # fmt: skip

State = TypeVar("State", bound=tuple[Any, ...])
Parameters = TypeVar("Parameters", bound=tuple[Any, ...])
Decide = Callable[[Bar, Account, State, Parameters], tuple[int, State]]


class Played(NamedTuple):
    """What a run came to.

    fills         in order; `TAGS[fills.tag[k]]` says what fill k was
    equity, masks (n_bars,): cash + position * close, and what was decided, at each close; (0,) where not asked for
    cash, position  after the last bar
    """

    fills: Fills
    equity: F64
    masks: I8
    cash: float
    position: float


class CompiledStrategy(Generic[State, Parameters]):
    """A strategy by one function, compiled into a loop over bars of its own.

    decide      (bar, account, state, parameters) -> (mask, state after the bar); within numba's subset. It makes no
                array; it may write to arrays that `start` put into the state
    start       parameters -> the state before the first bar; plain Python
    parameters  a NamedTuple of int, float and bool

    reads_account says whether `decide` touches the account: if it does not, its decisions are signals.

    It is compiled at the first run, and found on disk by every later process until its file, or a kernel or constant
    that it uses, changes. What has no file (a prompt, a notebook's cell) is compiled in each process.
    """

    def __init__(
        self, decide: Decide[State, Parameters], start: Callable[[Parameters], State], parameters: type[Parameters]
    ) -> None:
        self.decide, self.start, self.parameters = plain(decide), start, parameters
        self._kinds = _numbers_of(parameters)
        self.reads_account = _reads(self.decide, 1)
        self._play: Callable[..., Any] | None = None

    def of(self, values: dict[str, Any]) -> Parameters:
        """Return the parameters of these values, defaults filled in. Raises InvalidRequest on one that does not fit."""
        known = ", ".join(self._kinds) or "none"
        for name, value in values.items():
            kind = self._kinds.get(name)
            if kind is None:
                raise InvalidRequest(f"parameters.{name}", f"the strategy has no such parameter; it has: {known}")
            if value != kind(value) or (isinstance(value, bool) and kind is not bool):
                raise InvalidRequest(f"parameters.{name}", f"{value} is no {kind.__name__}")
        defaults: dict[str, Any] = getattr(self.parameters, "_field_defaults", {})
        for name in self._kinds:
            if name not in values and name not in defaults:
                raise InvalidRequest(f"parameters.{name}", "has no value, and the strategy no default for it")
        return self.parameters(**{name: kind((defaults | values)[name]) for name, kind in self._kinds.items()})

    def run(self, bars: Bars, rules: Rules, parameters: Parameters, *, stop_unit: F64 | None = None) -> Played:
        """Play all bars in the compiled loop. stop_unit (n_bars,): see `Rules.stop_multiple`."""
        return self.play(market_of(bars, stop_unit), rules, parameters)

    def play(self, market: Market, rules: Rules, parameters: Parameters, *, keeps_curve: bool = True) -> Played:
        """Do what `run` does, over arrays that are made once for many runs.

        Raises ValueError on rules with sizes by risk and no stop.
        """
        check_risk(rules)
        if self._play is None:
            self._play = loop_of(inlined_borrowing(self.decide), _name_of(self.decide))
        n, room = market.close.size, market.close.size // 4 + 64
        equity, masks = np.empty(n if keeps_curve else 0), np.empty(n if keeps_curve else 0, np.int8)
        while True:
            fills, state = new_fills(room), _floats(self.start(parameters))
            ended = self._play(market, rules, state, parameters, fills, equity, masks)
            if ended.n_fills <= room:
                break
            room = ended.n_fills  # the loop is certain: played again, it fills the same
        kept = Fills._make(column[: ended.n_fills] for column in fills)
        return Played(kept, equity, masks, ended.cash, ended.position)

    def as_callbacks(self, rules: Rules, parameters: Parameters, *, stop_unit: F64 | None = None) -> "Deciding":
        """Return the same strategy for the event-driven engine: its fills are the same to the last bit.

        It is plain Python, for a debugger, and for `on_fill` and orders of your own in a subclass.
        """
        return Deciding(self.decide, _floats(self.start(parameters)), parameters, rules, stop_unit)


class Deciding(Follower):
    """Asks `decide` at each close and follows it by orders."""

    def __init__(
        self, decide: Decide[Any, Any], state: Any, parameters: Any, rules: Rules, stop_unit: F64 | None = None
    ) -> None:
        super().__init__(rules, stop_unit)
        self._decide, self._state, self._parameters = decide, state, parameters

    def on_bar(self, ctx: Context) -> None:
        bar = Bar(ctx.bar, ctx.ts, ctx.open(), ctx.high(), ctx.low(), ctx.close(), ctx.volume())
        account = Account(ctx.cash, ctx.position, ctx.entry_price)
        mask, self._state = self._decide(bar, account, self._state, self._parameters)
        self.follow(ctx, mask)


def market_of(bars: Bars, stop_unit: F64 | None = None) -> Market:
    """Return the bars as the loop reads them: arrays of one kind are one compiled loop.

    Raises ValueError on bars with their trades: the loop would not look at them, and fill otherwise than `Engine`.
    """
    if bars.trades or bars.inside:
        raise ValueError("bars: have their trades; a compiled strategy fills against bars, as_callbacks against trades")
    unit = np.empty(0) if stop_unit is None else stop_unit
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume, bars.volatility, unit)
    opened, high, low, close, volume, volatility, unit = (np.require(c, np.float64, ["C", "W"]) for c in columns)
    ts_close = np.require(bars.ts_close, np.int64, ["C", "W"])
    return Market(opened, high, low, close, ts_close, volume, volatility, unit)


def _reads(function: Callable[..., Any], argument: int) -> bool:
    """Return whether the code of a function touches one of its arguments."""
    name = function.__code__.co_varnames[argument]
    touched = (step.argval for step in get_instructions(function))  # of two at once it is a tuple
    return any(name in found if isinstance(found, tuple) else name == found for found in touched)


def _numbers_of(kind: type[tuple[Any, ...]]) -> dict[str, type]:
    """Return the fields of a NamedTuple of numbers. Raises TypeError on another."""
    hints = get_type_hints(kind)
    if not hasattr(kind, "_fields") or any(hints[name] not in (int, float, bool) for name in hints):
        raise TypeError(f"{kind.__name__}: the parameters are a NamedTuple of int, float and bool")
    return hints


def _floats(state: Any) -> Any:
    """Return the state with whole numbers in fields of floats as floats: the loop has one type for all bars."""
    hints = get_type_hints(type(state))
    return type(state)(*(float(v) if hints.get(n) is float else v for n, v in zip(state._fields, state, strict=True)))


def _name_of(decide: Callable[..., Any]) -> str:
    """Return the name of the loop on disk: two scripts may both have a function of one name."""
    where = hashlib.sha256(decide.__code__.co_filename.encode()).hexdigest()[:12]
    return f"{decide.__module__}.{decide.__qualname__}.{where}".replace("<", "").replace(">", "")
