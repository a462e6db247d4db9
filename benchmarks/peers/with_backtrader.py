"""With backtrader: strategies as classes, orders through its broker. Runs in an environment of its own."""

from typing import Any

import backtrader as bt
import numpy as np


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"backtrader": bt.__version__}


class _Bars(bt.feed.DataBase):  # type: ignore[misc]
    """Bars of NumPy arrays."""

    params = (("bars", None),)

    def start(self) -> None:
        """Begin at the first bar."""
        super().start()
        self.rows = iter(zip(*(self.p.bars[name].tolist() for name in ("open", "high", "low", "close")), strict=True))
        self.days = iter((self.p.bars["ts_close"] / 86_400e6 + 719_163.0).tolist())

    def _load(self) -> bool:
        row = next(self.rows, None)
        if row is None:
            return False
        self.lines.open[0], self.lines.high[0], self.lines.low[0], self.lines.close[0] = row
        self.lines.datetime[0], self.lines.volume[0], self.lines.openinterest[0] = next(self.days), 1.0, 0.0
        return True


class _Trader(bt.Strategy):  # type: ignore[misc]
    """Sends a stop when an entry has been filled, as backtrader's documentation does, and keeps the fills."""

    params = (("stop_loss_rate", 0.0), ("take_profit_rate", 0.0))

    def __init__(self) -> None:
        self.guards: list[Any] = []
        self.fills: list[tuple[int, float]] = []

    def enter(self, side: int = 1) -> None:
        """Buy or sell at the next open for nearly all there is: how much is said before the price is known."""
        (self.buy if side > 0 else self.sell)(size=0.9 * self.broker.get_value() / self.data.close[0])

    def leave(self) -> None:
        """Sell at the next open."""
        for order in self.guards:
            self.cancel(order)
        self.close()

    def notify_order(self, order: Any) -> None:
        """Keep a fill; after an entry send its stop."""
        if order.status != order.Completed:
            return
        side, fill = 1 if order.isbuy() else -1, order.executed.price
        self.fills.append((len(self) - 1, fill))
        self.guards = []
        if len(self.fills) % 2:
            send = self.sell if side > 0 else self.buy
            arguments = {"size": abs(order.executed.size)}
            if stop := self.p.stop_loss_rate:
                self.guards.append(send(exectype=bt.Order.Stop, price=fill * (1.0 - side * stop), **arguments))
            if target := self.p.take_profit_rate:
                arguments["oco"] = self.guards[0] if self.guards else None
                self.guards.append(send(exectype=bt.Order.Limit, price=fill * (1.0 + side * target), **arguments))


class _Follow(_Trader):
    """Does at each close what a mask says."""

    params = (("mask", None),)

    def next(self) -> None:
        """Leave or enter."""
        mask = self.p.mask[len(self) - 1]
        side = 1 if self.position.size > 0 else -1 if self.position.size < 0 else 0
        if side and mask & (2 if side > 0 else 8):
            self.leave()
            side = 0
        if not side and (mask & 3 == 1 or mask & 12 == 4):
            self.enter(1 if mask & 3 == 1 else -1)


def _run(bars: dict[str, Any], costs: dict[str, Any], strategy: Any, **arguments: Any) -> Any:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(_Bars(bars=bars))
    cerebro.broker.set_cash(costs["initial_cash"])
    # With the check an order cannot be cancelled in the bar in which it was sent: a stop outlives its position.
    cerebro.broker.set_checksubmit(False)
    cerebro.broker.setcommission(costs["commission_rate"])
    if costs["slippage_rate"]:  # slip_out: also beyond the bar's high and low; else the bar's end is the worst price
        cerebro.broker.set_slippage_perc(costs["slippage_rate"], slip_open=True, slip_out=True)
    guards = {name: costs.get(name, 0.0) for name in ("stop_loss_rate", "take_profit_rate")}
    cerebro.addstrategy(strategy, **guards, **arguments)
    return cerebro.run()[0]


def trades(market: str, rule: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """Trade every mask; return the closed trades of each."""
    with np.load(market) as file:
        bars = {name: file[name] for name in file.files}
    found = []
    for mask in bars["masks"]:
        fills = _run(bars, rule, _Follow, mask=mask.tolist()).fills
        pairs = list(zip(fills[::2], fills[1::2], strict=False))
        found.append(
            {
                "entry_bar": [a[0] for a, _ in pairs],
                "exit_bar": [b[0] for _, b in pairs],
                "entry_price": [a[1] for a, _ in pairs],
                "exit_price": [b[1] for _, b in pairs],
            }
        )
    return found


class _Cross(_Trader):
    """Buys where the fast average crosses above the slow one, in an upward trend; sells where it is below."""

    params = (("rule", None),)

    def __init__(self) -> None:
        super().__init__()
        names = ("fast", "slow", "trend")
        self.fast, self.slow, self.trend = (bt.ind.EMA(self.data.close, period=self.p.rule[name]) for name in names)
        self.was_above = True

    def next(self) -> None:
        """Leave or enter."""
        fast, slow, close = self.fast[0], self.slow[0], self.data.close[0]
        is_above = fast > slow
        if self.position:
            if fast < slow:
                self.leave()
        elif is_above and not self.was_above and close > self.trend[0] and fast - slow >= self.p.rule["spread"] * close:
            self.enter()
        self.was_above = is_above


_bars: dict[str, Any] = {}


def prepare(candles: str, n: int) -> None:
    """Keep the first candles in memory."""
    with np.load(candles) as file:
        _bars.update({name: file[name][:n] for name in file.files})


def events(rule: dict[str, Any]) -> dict[str, Any]:
    """Run the strategy bar by bar, without observers and analyzers."""
    strategy = _run(_bars, rule, _Cross, rule=rule)
    return {"n_trades": (len(strategy.fills) + 1) // 2, "final_equity": strategy.broker.get_value()}
