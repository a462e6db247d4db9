"""One strategy three times: by callbacks, with an object for every order and fill; compiled; by rules in SQL."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks.ours.ingest import versions
from services.backtest.domain.account import account_rules
from services.backtest.domain.metrics import buy_and_hold_return, metrics
from services.backtest.domain.prices import checked_prices
from services.backtest.kernels.engine import run_summary
from services.backtest.kernels.types import Signal
from services.features.kernels.ema import ema
from services.signals.domain.rules import Rules as SignalRules
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.signals import SignalsRequest
from tickloom.kernel import F64
from tickloom.strategy.compiled import LONG_ENTRY, LONG_EXIT, Account, Bar, CompiledStrategy
from tickloom.strategy.engine import Engine
from tickloom.strategy.feed import Bars
from tickloom.strategy.orders import BUY, Bracket
from tickloom.strategy.rules import Rules
from tickloom.strategy.strategy import Context, Strategy

__all__ = ["versions"]

_bars: dict[str, Any] = {}


def prepare(candles: str, n: int) -> None:
    """Keep the first candles in memory."""
    with np.load(candles) as file:
        _bars.update({name: file[name][:n] for name in file.files})


def _account(rule: dict[str, Any]) -> Rules:
    costs = {name: rule[name] for name in ("initial_cash", "commission_rate", "slippage_rate", "stop_loss_rate")}
    return account_rules(BacktestRequest.model_validate(costs))


class Cross(Strategy):
    """Buys where the fast average crosses above the slow one, in an upward trend; sells where it is below."""

    def __init__(self, rule: dict[str, Any]) -> None:
        self.rule = rule
        self.spread, self.bracket = rule["spread"], Bracket(stop_loss_rate=rule["stop_loss_rate"])
        self.was_above = True

    def on_start(self, ctx: Context) -> None:
        """Make the averages."""

        def average(window: int) -> Any:
            def of(bars: Bars) -> F64:
                return ema(bars.close, window)

            return ctx.indicator(of)

        self.fast, self.slow, self.trend = (average(self.rule[name]) for name in ("fast", "slow", "trend"))

    def on_bar(self, ctx: Context) -> None:
        """Leave or enter."""
        fast, slow, close = self.fast(), self.slow(), ctx.close()
        is_above = fast > slow
        if ctx.position:
            if fast < slow:
                ctx.flatten()
        elif is_above and not self.was_above and close > self.trend() and fast - slow >= self.spread * close:
            ctx.market(BUY, bracket=self.bracket)
        self.was_above = is_above


def events(rule: dict[str, Any]) -> dict[str, Any]:
    """Run the strategy by callbacks, bar by bar, up to the equity at each close and the round trips."""
    result = Engine(Cross(rule), _feed(), _account(rule)).run()
    return {"n_trades": len(result.performance.trips), "final_equity": float(result.performance.equity[-1])}


class CrossParameters(NamedTuple):
    """Windows of the averages in bars; the least gap between fast and slow at an entry, as a fraction of the close."""

    fast: int
    slow: int
    trend: int
    spread: float


class CrossState(NamedTuple):
    """The averages, and whether the fast one was above the slow one."""

    fast: float
    slow: float
    trend: float
    was_above: bool


def _start(_: CrossParameters) -> CrossState:
    return CrossState(0.0, 0.0, 0.0, True)


def _decide(bar: Bar, _account: Account, state: CrossState, parameters: CrossParameters) -> tuple[int, CrossState]:
    """Do what Cross does. An average is the mean of what there is until its window is full."""
    n, close = bar.number + 1, bar.close
    fast = state.fast + (close - state.fast) * (1.0 / n if n <= parameters.fast else 2.0 / (parameters.fast + 1))
    slow = state.slow + (close - state.slow) * (1.0 / n if n <= parameters.slow else 2.0 / (parameters.slow + 1))
    trend = state.trend + (close - state.trend) * (1.0 / n if n <= parameters.trend else 2.0 / (parameters.trend + 1))
    is_above = n >= parameters.slow and fast > slow
    is_strong = n >= parameters.trend and close > trend and fast - slow >= parameters.spread * close
    mask = LONG_EXIT if fast < slow else LONG_ENTRY if is_above and not state.was_above and is_strong else 0
    return mask, CrossState(fast, slow, trend, is_above)


cross = CompiledStrategy(_decide, _start, CrossParameters)


def _feed() -> Bars:
    opens = np.r_[_bars["ts_close"][:1] - 900_000_000, _bars["ts_close"][:-1]]
    return Bars(*(_bars[name] for name in ("open", "high", "low", "close")), opens, _bars["ts_close"])


def compiled(rule: dict[str, Any], times: int = 1) -> dict[str, Any]:
    """Run the strategy compiled into the loop over bars, up to all fills and the equity; so many times."""
    for _ in range(times):
        played = cross.run(_feed(), _account(rule), cross.of({name: rule[name] for name in CrossParameters._fields}))
    return {"n_trades": (played.fills.bar.size + 1) // 2, "final_equity": float(played.equity[-1])}


def by_rules(rule: dict[str, Any]) -> dict[str, Any]:
    """Run the same as a rule in SQL, on the engine of grids, up to all metrics."""
    close = _bars["close"]
    columns = {"close": close} | {name: ema(close, rule[name]) for name in ("fast", "slow", "trend")}
    request = SignalsRequest.model_validate(
        {
            "long_entry": "fast > slow AND prev_fast <= prev_slow AND close > trend "
            f"AND fast - slow >= {rule['spread']} * close",
            "long_exit": "fast < slow",
        }
    )
    signal = Signal(*SignalRules.of(request).changes([{}], columns, close.size)[0])
    prices = checked_prices("walk", *(_bars[name] for name in ("open", "high", "low", "close", "ts_close")))
    account = _account(rule)
    run = metrics(prices, account, *run_summary(prices, signal, account), buy_and_hold_return(prices, account))
    return {"n_trades": run["n_trades"], "final_equity": run["final_equity"]}
