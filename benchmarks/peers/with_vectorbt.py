"""The grid with vectorbt: moving averages and rules as arrays, Portfolio.from_signals. Runs in .venv-bench."""

from typing import Any

import numpy as np
import pandas as pd
import vectorbt as vbt


def versions() -> dict[str, str]:
    """Return the versions that matter here."""
    return {"vectorbt": vbt.__version__}


def _trend(close: Any, window: int) -> Any:
    """Return the EMA that begins with the mean of its first window, as TA-Lib's does."""
    seeded = close.copy()
    seeded[: window - 1] = np.nan
    seeded[window - 1] = close[:window].mean()
    return pd.Series(seeded).ewm(span=window, adjust=False, ignore_na=True).mean().to_numpy()[:, None]


def _entries(close: Any, fast: Any, slow: Any, trend: Any, rule: dict[str, Any]) -> Any:
    """Return where the rule turns true: it is true, and was false at the bar before, or before it was known at all."""
    price = close[:, None]
    spread = (fast - slow) / price
    is_true = (fast > slow) & (price > trend) & (spread >= rule["spread"])
    is_false = (fast <= slow) | (price <= trend) | (spread < rule["spread"])
    was_false = np.zeros_like(is_false)
    was_false[1:] = is_false[:-1]
    first = np.maximum(np.isfinite(slow).argmax(0), rule["trend"] - 1)
    for column, bar in enumerate(first):
        was_false[bar, column] = is_false[:bar, column].any()
    return is_true & was_false


def _portfolio(bars: Any, entries: Any, exits: Any, rule: dict[str, Any], **more: Any) -> Any:
    """Return the portfolio of all columns: fills at the open of the bar that has the signal, a stop, costs."""
    return vbt.Portfolio.from_signals(
        bars["close"][:, None],
        entries,
        exits,
        price=bars["open"][:, None],
        open=bars["open"][:, None],
        high=bars["high"][:, None],
        low=bars["low"][:, None],
        sl_stop=rule["stop_loss_rate"] or None,
        stop_entry_price="FillPrice",
        stop_exit_price="StopMarket",
        fees=rule["commission_rate"],
        slippage=rule["slippage_rate"],
        init_cash=rule["initial_cash"],
        freq="15min",
        **more,
    )


_ready: dict[str, Any] = {}


def prepare(candles: str, rule: dict[str, Any]) -> None:
    """Keep bars and signals in memory."""
    with np.load(candles) as file:
        _ready.update({name: file[name] for name in file.files})
    _ready["entries"], _ready["exits"] = _signals(_ready["close"], rule)


def prepared(rule: dict[str, Any]) -> dict[str, Any]:
    """Trade the signals that are ready."""
    return _metrics(_portfolio(_ready, _ready["entries"], _ready["exits"], rule))


def grid(rule: dict[str, Any]) -> dict[str, Any]:
    """Run the grid from closes to metrics: features, rules, fills at the next open, stops, costs, five metrics."""
    return _metrics(_portfolio(_ready, *_signals(_ready["close"], rule), rule))


def _signals(close: Any, rule: dict[str, Any]) -> tuple[Any, Any]:
    windows = sorted({*rule["fast"], *rule["slow"]})
    averages = vbt.MA.run(close, windows).ma.to_numpy()
    pairs = [(f, s) for f in rule["fast"] for s in rule["slow"]]
    fast = averages[:, [windows.index(f) for f, _ in pairs]]
    slow = averages[:, [windows.index(s) for _, s in pairs]]
    trend = _trend(close, rule["trend"])
    entries, exits = np.zeros(fast.shape, bool), np.zeros(fast.shape, bool)
    # Known at the close, acted on at the next open.
    entries[1:] = _entries(close, fast, slow, trend, rule)[:-1]
    exits[1:] = (fast < slow)[:-1]
    return entries, exits


def _metrics(portfolio: Any) -> dict[str, Any]:
    total, count = portfolio.total_return(), portfolio.trades.count()
    _ = portfolio.max_drawdown(), portfolio.sharpe_ratio(), portfolio.trades.win_rate()
    return {"n_trades": count.astype(int).tolist(), "total_return": total.tolist()}


def trades(market: str, rule: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """Trade every mask; return the closed trades of each."""
    with np.load(market) as file:
        bars = {name: file[name] for name in file.files}
    masks = np.roll(bars["masks"].T, 1, axis=0)
    masks[0] = 0
    more = {"tp_stop": rule["take_profit_rate"] or None}
    if (masks & 12).any():
        more |= {"short_entries": masks & 12 == 4, "short_exits": masks & 8 == 8}
    records = _portfolio(bars, masks & 3 == 1, masks & 2 == 2, rule, **more).trades.closed.records
    found = []
    for column in range(masks.shape[1]):
        made = records[records["col"] == column].sort_values("entry_idx")
        names = {"entry_bar": "entry_idx", "exit_bar": "exit_idx"}
        names |= {"entry_price": "entry_price", "exit_price": "exit_price"}
        found.append({name: made[theirs].tolist() for name, theirs in names.items()})
    return found
