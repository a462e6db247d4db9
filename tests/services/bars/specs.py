"""Bars of every kind, and days of made trades with decimals of their own."""

import random

from tests.services.bars.runs import DAY_US, T0, imported
from tickloom.settings import settings

SPECS = [
    {"kind": "tick", "threshold": 17},
    {"kind": "volume", "threshold": "9.5"},
    {"kind": "dollar", "threshold": 1000},
    {"kind": "time", "interval": "1h"},
    {"kind": "volume", "threshold": "9.5", "excess": "carry"},
    {"kind": "dollar", "threshold": 70, "excess": "split", "reset": "daily", "microstructure": True},
    {"kind": "tick_imbalance", "expected_trades": 9, "trades_window": 50},
    {"kind": "dollar_run", "expected_trades": 9, "reset": "daily"},
    {"kind": "range", "size": 12},
    {"kind": "renko", "size": 2},
    {"kind": "dollar", "target_bars_per_day": 9, "target_days": 2},
]
NAMED = {f"s{number}": spec for number, spec in enumerate(SPECS)}


def made(seed, days=7, per_day=120):
    """Trades of some days, each day with decimals of its own: (id, us, price, quantity, buyer is maker)."""
    rng, rows = random.Random(seed), []
    for day in range(days):
        times = sorted(rng.randrange(DAY_US) for _ in range(per_day))
        places = 1 + day % 3
        for ts in times:
            price, quantity = f"{rng.uniform(90, 110):.{places}f}", f"{rng.uniform(0.1, 2):.{4 - places}f}"
            rows.append((len(rows), T0 + day * DAY_US + ts, price, quantity, rng.random() < 0.5))
    return rows


def in_another_lake(monkeypatch, folder):
    monkeypatch.setenv("TICKLOOM_HOME", str(folder))
    settings.cache_clear()
    return imported(data_type="trades", files={"AAA": "AAA.csv", "BBB": "BBB.csv"})
