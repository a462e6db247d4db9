"""The event-driven engine: feed, strategy, execution, risk and portfolio on one ordered stream of events.

Of a bar, first the orders are filled that arrived before it (at each fill `on_fill`), then its close is made known
(`on_bar`). Where the feed plays trades, each of them first fills orders, then is made known (`on_trade`).
"""

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

from tickloom.strategy.clock import Clock
from tickloom.strategy.execution import BarExecution, ExecutionHandler, Moment
from tickloom.strategy.feed import Bars
from tickloom.strategy.metrics import Metrics, metrics_of
from tickloom.strategy.orders import Fill
from tickloom.strategy.performance import Performance, PerformanceTracker, track
from tickloom.strategy.portfolio import Portfolio, PortfolioManager
from tickloom.strategy.risk import AccountRisk, RiskManager
from tickloom.strategy.rules import Rules
from tickloom.strategy.strategy import Context, Strategy

YEAR_US = 365 * 86_400_000_000

MakeExecution = Callable[[Rules, PortfolioManager, RiskManager, Callable[[Fill], None]], ExecutionHandler]


class Result(NamedTuple):
    """What a run came to, and of what bars and rules."""

    fills: list[Fill]
    performance: Performance
    portfolio: PortfolioManager
    bars: Bars
    rules: Rules

    def metrics(self) -> Metrics:
        """Return Sharpe ratio, drawdown and all other figures that a run of a grid has, by the same definitions."""
        return metrics_of(self.bars, self.rules, self.fills, self.performance)


class Engine:
    """Runs one strategy over one symbol. Each part can be another object of the same shape.

    latency_us  time from the event that a strategy is told of to the arrival of the orders and cancels that it sends
                there: against bars, what arrives within one waits for the next open; against trades, for the first
                trade from then on
    """

    def __init__(
        self, strategy: Strategy, bars: Bars, rules: Rules, *, latency_us: int = 0,
        risk: RiskManager | None = None, execution: MakeExecution = BarExecution,
        portfolio: PortfolioManager | None = None, tracker: PerformanceTracker = track,
    ) -> None:  # fmt: skip
        """Raises ValueError on a portfolio that was used before, or has another cash than the rules."""
        self.strategy, self.bars, self.rules = strategy, bars, rules
        self.portfolio = Portfolio(rules.initial_cash) if portfolio is None else portfolio
        if self.portfolio.fills or self.portfolio.initial_cash != rules.initial_cash:
            raise ValueError("portfolio: a run begins with the initial_cash of its rules, and without fills")
        self._tracker = tracker
        self.risk = risk or AccountRisk(rules)
        self.execution = execution(rules, self.portfolio, self.risk, self._filled)
        self._is_called = self._has_run = False
        self._clock = Clock(bars, latency_us)
        self.context = Context(bars, self.portfolio, self.execution, self._clock)

    def run(self) -> Result:
        """Play the feed from its first event to its last. Raises RuntimeError the second time."""
        if self._has_run:
            raise RuntimeError("run: an engine runs once, for its account and its strategy keep what they were told")
        self._has_run = True
        context, execution, on_bar = self.context, self.execution, self.strategy.on_bar
        self.strategy.on_start(context)
        low_high = zip(self.bars.low.tolist(), self.bars.high.tolist(), strict=True)
        plays_trades, watches_margin = bool(self.bars.trades), self.rules.maintenance_rate > 0.0
        for bar, (low, high) in enumerate(low_high):
            if low <= execution.lowest or high >= execution.highest or plays_trades:
                self._fill_within(bar)
            context.bar = bar
            if watches_margin:
                self._call_margin(context.close())
            on_bar(context)
        performance = self._tracker(self.portfolio.fills, self.bars.close, self.rules.initial_cash)
        return Result(self.portfolio.fills, performance, self.portfolio, self.bars, self.rules)

    def _call_margin(self, price: float) -> None:
        was_called, self._is_called = self._is_called, self.risk.is_short_of_margin(self.portfolio, price)
        if self._is_called and not was_called:
            self.strategy.on_margin_call(self.context)

    def _fill_within(self, bar: int) -> None:
        """Fill what a bar fills. Its close is not known yet: `context.bar` is still the bar before."""
        if self.bars.trades:
            self._play_trades(bar)
        else:
            self._match(self._moment(bar))
        self._clock.ts = self._clock.price = None
        self.execution.close_bar(bar, int(self.bars.ts_close[bar]))

    def _match(self, moment: Moment, *, is_trade: bool = False) -> None:
        self._clock.is_matching = True
        self.execution.match(moment, is_trade=is_trade)
        self._clock.is_matching = False

    def _play_trades(self, bar: int) -> None:
        moment = self._moment(bar)
        for trade in self.bars.trades[bar]:  # each may fill what was sent at the one before
            price = trade.price
            self._clock.tell(trade.ts)
            self._match(moment._replace(ts=trade.ts, open=price, high=price, low=price, close=price), is_trade=True)
            self._clock.price = price
            self.strategy.on_trade(self.context, trade)

    def _filled(self, fill: Fill) -> None:
        self.context.position, self._clock.price = fill.position, fill.price
        self.strategy.on_fill(self.context, fill)

    def _moment(self, bar: int) -> Moment:
        bars, volatility, span = self.bars, float("nan"), 0.0
        if bars.volatility.size and bar:
            volatility = float(bars.volatility[bar - 1])
            span = volatility * sqrt((int(bars.ts_close[bar]) - int(bars.ts_close[bar - 1])) / YEAR_US)
        volume = float(bars.volume[bar]) if bars.volume.size else 0.0
        opened, high, low, close = (float(column[bar]) for column in (bars.open, bars.high, bars.low, bars.close))
        path, ts = bars.inside[bar] if bars.inside else (), int(bars.ts_open[bar])
        return Moment(bar, ts, opened, high, low, close, volume, volatility, span, path, bars.inside_fills)
