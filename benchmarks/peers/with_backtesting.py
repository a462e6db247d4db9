"""With backtesting.py: strategies as classes, whole units made fractional. Runs in an environment of its own."""

import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Strategy
from backtesting.lib import FractionalBacktest

warnings.filterwarnings("ignore")
UNIT = 1e-8
"""FractionalBacktest trades whole units of so much of the base, and counts prices in them."""


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"backtesting": version("backtesting")}


def _frame(bars: dict[str, Any]) -> pd.DataFrame:
    columns = {name.capitalize(): bars[name] for name in ("open", "high", "low", "close")}
    index = pd.to_datetime(bars["ts_close"], unit="us")
    return pd.DataFrame(columns | {"Volume": np.ones(index.size)}, index=index)


class _Follow(Strategy):  # type: ignore[misc]
    """Does at each close what a mask says. `sl` and `tp` are prices, so the coming fill has to be known."""

    mask: Any = None
    base: Any = None
    rule: Any = None

    def init(self) -> None:
        """There are no indicators."""

    def next(self) -> None:
        """Leave or enter."""
        bar = len(self.data) - 1
        mask = self.mask[bar]
        side = 1 if self.position.is_long else -1 if self.position.is_short else 0
        if side and mask & (2 if side > 0 else 8):
            self.position.close()
            side = 0
        if not side and (mask & 3 == 1 or mask & 12 == 4):
            side = 1 if mask & 3 == 1 else -1
            fill, stop, target = self.base[side][bar], self.rule["stop_loss_rate"], self.rule["take_profit_rate"]
            guards = {"sl": fill * (1.0 - side * stop) if stop else None}
            guards["tp"] = fill * (1.0 + side * target) if target else None
            self.buy(**guards) if side > 0 else self.sell(**guards)


def trades(market: str, rule: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """Trade every mask; return the closed trades of each.

    rule["stop_from"]  "fill": the stop stands below the fill, which no strategy can know; "close": below the close at
                       which the order is sent
    """
    with np.load(market) as file:
        bars = {name: file[name] for name in file.files}
    base = dict.fromkeys((1, -1), (bars["close"] * UNIT).tolist())
    if rule["stop_from"] == "fill":
        fill = np.r_[bars["open"][1:], bars["close"][-1:]] * UNIT
        base = {side: (fill * (1.0 + side * rule["slippage_rate"])).tolist() for side in (1, -1)}
    frame, found = _frame(bars), []
    for mask in bars["masks"]:
        test = FractionalBacktest(
            frame,
            _Follow,
            fractional_unit=UNIT,
            cash=rule["initial_cash"],
            commission=rule["commission_rate"],
            spread=rule["slippage_rate"],
        )
        made = test.run(mask=mask.tolist(), base=base, rule=rule)["_trades"].sort_values("EntryBar", kind="stable")
        columns = {
            "entry_bar": "EntryBar",
            "exit_bar": "ExitBar",
            "entry_price": "EntryPrice",
            "exit_price": "ExitPrice",
        }
        found.append({name: made[column].tolist() for name, column in columns.items()})
    return found


def _average(close: Any, window: int) -> Any:
    """Return the EMA that begins with the mean of its first window."""
    seeded = np.array(close)
    seeded[: window - 1] = np.nan
    seeded[window - 1] = close[:window].mean()
    return pd.Series(seeded).ewm(span=window, adjust=False, ignore_na=True).mean().to_numpy()


class _Cross(Strategy):  # type: ignore[misc]
    """Buys where the fast average crosses above the slow one, in an upward trend; sells where it is below."""

    rule: Any = None

    def init(self) -> None:
        """Make the averages."""
        names, close = ("fast", "slow", "trend"), self.data.Close
        self.fast, self.slow, self.trend = (self.I(_average, close, self.rule[name]) for name in names)
        self.was_above = True

    def next(self) -> None:
        """Leave or enter."""
        fast, slow, close = self.fast[-1], self.slow[-1], self.data.Close[-1]
        is_above = fast > slow
        if self.position:
            if fast < slow:
                self.position.close()
        elif is_above and not self.was_above and close > self.trend[-1] and fast - slow >= self.rule["spread"] * close:
            self.buy(sl=close * (1.0 - self.rule["stop_loss_rate"]))
        self.was_above = is_above


_frames: list[pd.DataFrame] = []


def prepare(candles: str, n: int) -> None:
    """Keep the first candles in memory."""
    with np.load(candles) as file:
        _frames[:] = [_frame({name: file[name][:n] for name in file.files})]


def events(rule: dict[str, Any]) -> dict[str, Any]:
    """Run the strategy bar by bar, up to backtesting.py's statistics."""
    costs = {"cash": rule["initial_cash"], "commission": rule["commission_rate"], "spread": rule["slippage_rate"]}
    found = FractionalBacktest(_frames[0], _Cross, fractional_unit=UNIT, finalize_trades=True, **costs).run(rule=rule)
    return {"n_trades": int(found["# Trades"]), "final_equity": float(found["Equity Final [$]"])}
