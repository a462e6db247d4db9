"""With NautilusTrader: strategies as classes on its event engine. Runs in an environment of its own."""

from decimal import Decimal
from typing import Any

import nautilus_trader
import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig, StrategyConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
BARS = BarType.from_str("BTCUSDT.SIM-15-MINUTE-LAST-EXTERNAL")
QUANTITY = Quantity(0.01, 6)
SIDES = {1: OrderSide.BUY, -1: OrderSide.SELL}
US = 1000


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"nautilus_trader": nautilus_trader.__version__}


def _instrument(fee: float) -> CurrencyPair:
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("BTCUSDT"), VENUE),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=2,
        size_precision=6,
        price_increment=Price(0.01, 2),
        size_increment=Quantity(0.000001, 6),
        ts_event=0,
        ts_init=0,
        maker_fee=Decimal(str(fee)),
        taker_fee=Decimal(str(fee)),
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
    )


class _Config(StrategyConfig, frozen=True):  # type: ignore[misc,call-arg]
    stop_loss_rate: float = 0.0
    take_profit_rate: float = 0.0


class _Trader(Strategy):  # type: ignore[misc]
    """Sends a stop when an entry has been filled, and keeps the fills: the number of bars before, and the price."""

    def __init__(self, config: _Config) -> None:
        super().__init__(config)
        self.n_bars = 0
        self.fills: list[tuple[int, float]] = []
        self.side = 0
        self.guards: list[Any] = []

    def on_start(self) -> None:
        """Ask for the bars."""
        self.instrument = self.cache.instrument(BARS.instrument_id)
        self.subscribe_bars(BARS)

    def enter(self, side: int = 1) -> None:
        """Buy or sell at the market."""
        self.submit_order(self.order_factory.market(BARS.instrument_id, SIDES[side], QUANTITY))

    def leave(self) -> None:
        """Close the position at the market."""
        self._unguard()
        self.submit_order(self.order_factory.market(BARS.instrument_id, SIDES[-self.side], QUANTITY, reduce_only=True))

    def _unguard(self) -> None:
        for order in self.guards:
            if order.is_open or order.is_inflight:
                self.cancel_order(order)
        self.guards = []

    def on_order_filled(self, event: Any) -> None:
        """Keep a fill; after an entry send its stop."""
        fill, side = float(event.last_px), 1 if event.order_side == OrderSide.BUY else -1
        self.fills.append((self.n_bars, fill))
        self._unguard()
        self.side = 0 if self.side else side
        if not self.side:
            return
        price, make = self.instrument.make_price, self.order_factory
        arguments = (BARS.instrument_id, SIDES[-side], QUANTITY)
        if stop := self.config.stop_loss_rate:
            self.guards.append(make.stop_market(*arguments, price(fill * (1.0 - side * stop)), reduce_only=True))
        if target := self.config.take_profit_rate:
            self.guards.append(make.limit(*arguments, price(fill * (1.0 + side * target)), reduce_only=True))
        for order in self.guards:
            self.submit_order(order)


class _Follow(_Trader):
    """Does at each close what a mask says."""

    masks: Any = None

    def on_bar(self, _: Any) -> None:
        """Leave or enter."""
        mask = self.masks[self.n_bars]
        self.n_bars += 1
        side = self.side
        if side and mask & (2 if side > 0 else 8):
            self.leave()
            side = 0
        if not side and (mask & 3 == 1 or mask & 12 == 4):
            self.enter(1 if mask & 3 == 1 else -1)


def _bars(bars: dict[str, Any]) -> list[Any]:
    volume = Quantity(1000.0, 6)
    times = (bars["ts_close"] * US).tolist()
    rows = zip(*(bars[name].tolist() for name in ("open", "high", "low", "close")), times, strict=True)
    return [Bar(BARS, *(Price(value, 2) for value in row[:4]), volume, row[4], row[4]) for row in rows]


def _ticks(bars: dict[str, Any]) -> list[Any]:
    """Return five trades a bar: the open just after the bar before has closed, again the open, high, low, close.

    At the first an entry fills; the second is the event at which its stop and target arrive.
    """
    volume, made = Quantity(1000.0, 6), []
    instrument, side = BARS.instrument_id, AggressorSide.NO_AGGRESSOR
    before = bars["ts_close"] - np.diff(bars["ts_close"], prepend=bars["ts_close"][0] - 900_000_000).min()
    rows = zip(*(bars[name].tolist() for name in ("open", "high", "low", "close")), before.tolist(), strict=True)
    for *prices, began in rows:
        for k, price in enumerate([prices[0], *prices]):
            at = (began + 1 + 150_000_000 * k) * US
            made.append(TradeTick(instrument, Price(price, 2), volume, side, TradeId(str(len(made))), at, at))
    return made


def _engine(rule: dict[str, Any], data: list[list[Any]], *, from_ticks: bool) -> BacktestEngine:
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True), risk_engine=RiskEngineConfig(bypass=True), run_analysis=False
        )
    )
    engine.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(1_000_000, USDT)],
        bar_execution=not from_ticks,
        trade_execution=from_ticks,
        # An order arrives a nanosecond after it is sent: at the next event, which is the next open.
        latency_model=LatencyModel(base_latency_nanos=1) if from_ticks else None,
    )
    engine.add_instrument(_instrument(rule["commission_rate"]))
    for events in data:
        engine.add_data(events)
    return engine


def trades(market: str, rule: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """Trade every mask; return the closed trades of each. Slippage is a tick or none here, never a rate: none.

    rule["from_ticks"]  whether orders fill against five trades a bar, at the next open; else at the bar's close
    """
    with np.load(market) as file:
        bars = {name: file[name] for name in file.files}
    data = [_bars(bars)] + ([_ticks(bars)] if rule["from_ticks"] else [])
    engine, found = _engine(rule, data, from_ticks=rule["from_ticks"]), []
    for mask in bars["masks"]:
        strategy = _Follow(_Config(stop_loss_rate=rule["stop_loss_rate"], take_profit_rate=rule["take_profit_rate"]))
        strategy.masks = mask.tolist()
        engine.add_strategy(strategy)
        engine.run()
        pairs = list(zip(strategy.fills[::2], strategy.fills[1::2], strict=False))
        found.append(
            {
                # A fill after n bars lies in bar n, counted from 0, or at its open.
                "entry_bar": [a[0] for a, _ in pairs],
                "exit_bar": [b[0] for _, b in pairs],
                "entry_price": [a[1] for a, _ in pairs],
                "exit_price": [b[1] for _, b in pairs],
            }
        )
        engine.reset()
        engine.clear_strategies()
    return found


class _Cross(_Trader):
    """Buys where the fast average crosses above the slow one, in an upward trend; sells where it is below."""

    rule: Any = None

    def on_start(self) -> None:
        """Make the averages; the engine keeps them up to date."""
        names = ("fast", "slow", "trend")
        self.fast, self.slow, self.trend = (ExponentialMovingAverage(self.rule[name]) for name in names)
        for average in (self.fast, self.slow, self.trend):
            self.register_indicator_for_bars(BARS, average)
        self.was_above = True
        super().on_start()

    def on_bar(self, bar: Any) -> None:
        """Leave or enter."""
        self.n_bars += 1
        if not self.trend.initialized:
            return
        fast, slow, close = self.fast.value, self.slow.value, bar.close.as_double()
        is_above = fast > slow
        if self.side:
            if fast < slow:
                self.leave()
        elif (
            is_above and not self.was_above and close > self.trend.value and fast - slow >= self.rule["spread"] * close
        ):
            self.enter()
        self.was_above = is_above


_engines: list[BacktestEngine] = []


def prepare(candles: str, n: int) -> None:
    """Keep an engine with the first candles in it."""
    with np.load(candles) as file:
        bars = {name: file[name][:n] for name in file.files}
    _engines[:] = [_engine({"commission_rate": 0.001}, [_bars(bars)], from_ticks=False)]


def events(rule: dict[str, Any]) -> dict[str, Any]:
    """Run the strategy bar by bar, without logs and analysis: fills at the close, no slippage."""
    engine = _engines[0]
    engine.reset()
    engine.clear_strategies()
    strategy = _Cross(_Config(stop_loss_rate=rule["stop_loss_rate"]))
    strategy.rule = rule
    engine.add_strategy(strategy)
    engine.run()
    return {"n_trades": (len(strategy.fills) + 1) // 2}
