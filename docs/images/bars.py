"""Draws the pictures of docs/bars.md: `python docs/images/bars.py`. Made trades, the same every time."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from pydantic import TypeAdapter

from services.bars.domain.build import close_bars
from services.bars.domain.rule import rule_of
from services.bars.domain.state import State, Trades
from tickloom.contracts.bars import BarSpec

mpl.use("agg")
from matplotlib import pyplot as plt

FOLDER = Path(__file__).parent
HOUR_US = 3_600_000_000
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


def main() -> None:
    """Write one picture for each kind of bar."""
    trades = made()
    for name, (spec, title) in PICTURES.items():
        figure, axes = plt.subplots(figsize=(7.2, 2.4), layout="constrained")
        draw(axes, trades, spec, title)
        figure.savefig(FOLDER / f"bars-{name}.png", dpi=100, metadata={"Software": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
