"""Draws the pictures of docs/bars.md: `python docs/images/bars.py`. Made trades, the same every time."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import TypeAdapter

from services.bars.domain.build import close_bars
from services.bars.domain.rule import rule_of
from services.bars.domain.state import State, Trades
from services.bars.domain.target import Day, day_thresholds
from tickloom.contracts.bars import BarSpec

mpl.use("agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parent
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
BLUE, ORANGE, GREY = "#1f6feb", "#d9822b", "#8b949e"

PICTURES = {
    "time": (
        {"kind": "time", "interval": "15m"},
        "time bars of 15 minutes",
    ),
    "tick": ({"kind": "tick", "threshold": 250}, "tick bars of 250 trades"),
    "volume": ({"kind": "volume", "threshold": 220}, "volume bars of 220: a bar where as much has been traded"),
    "dollar": ({"kind": "dollar", "threshold": 22_000}, "dollar bars of 22,000"),
    "imbalance": (
        {"kind": "volume_imbalance", "expected_trades": 250},
        "volume imbalance bars: close when one side leads",
    ),
    "run": ({"kind": "volume_run", "expected_trades": 250}, "volume run bars: close when one side has traded much"),
    "range": ({"kind": "range", "size": "0.3"}, "range bars of 0.30"),
    "renko": ({"kind": "renko", "size": "0.12"}, "Renko bars of 0.12: one brick onwards, two back"),
}

MEASURED = (
    ("signed_volume", "signed volume", 0.01),
    ("kyle_lambda", "Kyle's lambda", 1.0),
    ("roll_spread", "Roll spread", 1.0),
    ("burstiness", "burstiness", 1.0),
    ("large_trade_share", "large trades", 1.0),
)
"""What the picture of the microstructure shows: column, name, and 1 in its units."""


def made() -> Trades:
    """Return six hours of trades: quiet, then an hour of heavy one-sided buying, then quiet with large sells."""
    rng, minutes = np.random.default_rng(20240805), 360
    rate = np.where((np.arange(minutes) >= 120) & (np.arange(minutes) < 180), 40, 8)
    ts = np.concatenate(
        [np.sort(rng.integers(0, 60_000_000, n)) + m * 60_000_000 for m, n in enumerate(rng.poisson(rate))]
    )
    busy = (ts >= 2 * HOUR_US) & (ts < 3 * HOUR_US)
    late = ts >= 4.5 * HOUR_US
    bought = np.where(busy, 0.66, np.where(late, 0.42, 0.5))
    side = np.where(rng.random(ts.size) < bought, 1, -1).astype(np.int8)
    price = np.maximum(10_000 + np.cumsum(side * (rng.random(ts.size) < 0.4)) + rng.integers(-1, 2, ts.size), 1)
    quantity = np.ceil(rng.lognormal(np.where(late & (side < 0), 4.6, 4.0), 1.0)).astype(np.int64)
    return Trades(np.arange(ts.size), ts.astype(np.int64), price.astype(np.int64), quantity, side)


def draw(axes: Axes, trades: Trades, spec: dict[str, object], title: str) -> None:
    """Draw the trades' prices and over them the bars, each as wide as it took."""
    rule = rule_of(TypeAdapter(BarSpec).validate_python(spec), 2, 2)
    bars, _ = close_bars(trades, rule, State(), 6 * HOUR_US)
    columns = bars.columns
    axes.plot(trades.ts / HOUR_US, trades.price / 100, color=GREY, lw=0.5, alpha=0.7, zorder=1)
    ts_open, width = columns["ts_open"] / HOUR_US, (columns["ts_close"] - columns["ts_open"]) / HOUR_US
    first, last = columns["open"] / 100, columns["close"] / 100
    color = np.where(last >= first, BLUE, ORANGE)
    low, height = np.minimum(first, last), np.maximum(np.abs(last - first), 0.01)
    axes.bar(ts_open, height, width, low, align="edge", color=color, alpha=0.45, edgecolor=color, lw=0.6, zorder=2)
    axes.vlines(ts_open + width / 2, columns["low"] / 100, columns["high"] / 100, color=color, lw=0.7, zorder=2)
    axes.set_title(f"{title}; {bars.n_bars} bars", fontsize=9, loc="left")
    axes.set_xlim(0, 6)
    axes.set_xlabel("hours", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw_measures(figure: Figure, trades: Trades) -> None:
    """Draw what is measured in volume bars, a row for each column."""
    spec = {"kind": "volume", "threshold": 220, "microstructure": True, "large_trade": 400}
    rule = rule_of(TypeAdapter(BarSpec).validate_python(spec), 2, 2)
    bars, _ = close_bars(trades, rule, State(), 6 * HOUR_US)
    columns = bars.columns | bars.ratios
    rows = figure.subplots(len(MEASURED), sharex=True)
    ts_open, ts_close = columns["ts_open"] / HOUR_US, columns["ts_close"] / HOUR_US
    for axes, (name, label, unit) in zip(rows, MEASURED, strict=True):
        values = columns[name] * unit
        color = np.where(values >= 0, BLUE, ORANGE)
        axes.bar(ts_open, values, ts_close - ts_open, align="edge", color=color, alpha=0.6, edgecolor="white", lw=0.3)
        axes.axhline(0, color=GREY, lw=0.5)
        axes.set_ylabel(label, fontsize=7, rotation=0, ha="right", va="center")
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, 6)
    rows[0].set_title(f"measured in volume bars of 220; {bars.n_bars} bars", fontsize=9, loc="left")
    rows[-1].set_xlabel("hours", fontsize=8)


def made_days() -> list[Trades]:
    """Return four weeks of trades, a day each: quieter at weekends, and three times as busy from the third week on."""
    rng, days = np.random.default_rng(20240805), []
    for day in range(28):
        n = int(1500 * (0.55 if day % 7 > 4 else 1.0) * (3.0 if day > 13 else 1.0) * rng.lognormal(0.0, 0.15))
        ts = np.sort(rng.integers(0, DAY_US, n)) + day * DAY_US
        side, quantity = rng.choice(np.array([-1, 1], np.int8), n), rng.integers(1, 200, n)
        days.append(Trades(np.arange(n) + day * 10**6, ts, np.full(n, 10_000), quantity, side))
    return days


def bars_a_day(days: list[Trades], spec: dict[str, object]) -> list[int]:
    """Return how many bars close on each day."""
    rule = rule_of(TypeAdapter(BarSpec).validate_python(spec), 2, 2)
    sizes = [rule.size] * len(days)
    if rule.target is not None:
        sizes = day_thresholds(rule.target, [Day(int(day.quantity.sum())) for day in days])
    state, counts = State(), []
    for number, (day, size) in enumerate(zip(days, sizes, strict=True)):
        bars, state = close_bars(day, rule.of_day(size), state, (number + 1) * DAY_US)
        counts.append(bars.n_bars)
    return counts


def draw_target(axes: Axes, days: list[Trades]) -> None:
    """Draw how many bars there are each day, of a threshold that stays and of one that follows the days before."""
    fixed = bars_a_day(days, {"kind": "volume", "threshold": 30})
    target = bars_a_day(days, {"kind": "volume", "target_bars_per_day": 50, "target_days": 7})
    axes.bar(np.arange(28) - 0.2, fixed, 0.4, color=GREY, alpha=0.7, label="threshold 30")
    axes.bar(np.arange(28) + 0.2, target, 0.4, color=BLUE, alpha=0.7, label="target_bars_per_day 50")
    axes.axhline(50, color=ORANGE, lw=0.8)
    axes.set_title("volume bars a day; from the third week on three times as much is traded", fontsize=9, loc="left")
    axes.set_xlabel("days", fontsize=8)
    axes.legend(fontsize=7, frameon=False, loc="upper left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def save(name: str, height: float, paint: Callable[[Figure], None]) -> None:
    """Write one picture."""
    figure = plt.figure(figsize=(7.2, height), layout="constrained")
    paint(figure)
    figure.savefig(FOLDER / f"bars-{name}.png", dpi=100, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Write one picture for each kind of bar, of bars a day, and of what is measured in bars."""
    trades = made()
    for name, (spec, title) in PICTURES.items():
        save(name, 2.4, lambda figure, spec=spec, title=title: draw(figure.subplots(), trades, spec, title))  # type: ignore[misc]
    save("target", 2.4, lambda figure: draw_target(figure.subplots(), made_days()))
    save("microstructure", 4.6, lambda figure: draw_measures(figure, trades))


if __name__ == "__main__":
    main()
