"""Contenders whose results differ do not do the same work: nothing is timed."""

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.processes import Contender


class Disagreement(Exception):
    """What two contenders made of the same input differs by more than their definitions do."""


def close(name: str, found: float, ours: float, tolerance: float) -> None:
    """Raise Disagreement when a number is farther from ours than it may be."""
    if not math.isclose(found, ours, rel_tol=tolerance):
        raise Disagreement(f"{name}: {found} is not within {tolerance:.2%} of our {ours}")


def check_stored(peers: list[Contender], rows: int) -> tuple[list[str], dict[str, float]]:
    """Hold what the contenders stored against ours. Return what was found, and bytes a row. Raises Disagreement."""
    stored = {peer.name: peer.call("ingested")["result"] for peer in peers}
    ours = stored[peers[0].name]
    for name, found in stored.items():
        if found["rows"] != rows or found["id"] != ours["id"] or found["maker"] != ours["maker"]:
            raise Disagreement(f"{name} stored {found}, we {ours} of {rows} rows")
        for column in ("price", "quantity"):
            close(f"{name}, sum of {column}", found[column], ours[column], 1e-9)
    times = {found["ts"] for found in stored.values()}
    if len(times) != 1:
        raise Disagreement(f"the sums of the times differ: {sorted(times)}")
    sizes = {name: found["bytes"] / found["rows"] for name, found in stored.items()}
    return [f"All stored the same {rows:,} trades: ids, prices, quantities, times and sides have the same sums."], sizes


def check_bars(peers: list[Contender], spec: dict[str, Any]) -> list[str]:
    """Hold bars by one spec against ours. Return what was found. Raises Disagreement."""
    made = {peer.name: peer.call("bars_in_memory", spec=spec)["result"] for peer in peers}
    ours = made[peers[0].name]
    # Tick bars are the same by any definition. Ours of volume begin anew at each bar, those of cumsum // threshold
    # run on: the counts differ by some percent. finmlkit leaves the open bar out, and begins one trade early.
    exact = spec["kind"] == "tick"
    for name, found in made.items():
        peculiar = name == "finmlkit"
        tolerance = 5e-3 if exact and peculiar else 1e-9 if exact else 0.1
        close(f"{name}, number of {spec['kind']} bars", found["n_bars"], ours["n_bars"], tolerance)
        for column in sorted(found.keys() & {"volume", "notional", "n_trades", "buy_volume"}):
            close(f"{name}, {column} of {spec['kind']} bars", found[column], ours[column], 1e-2 if peculiar else 1e-9)
        for column in ("open", "high", "low", "close") if exact and not peculiar else ():
            close(f"{name}, {column} of tick bars", found[column], ours[column], 1e-9)
    counts = ", ".join(f"{name} {found['n_bars']:,}" for name, found in made.items())
    why = "the same prices, sums and counts" if exact else "the same sums; where a bar ends differs by definition"
    return [f"{spec['kind'].capitalize()} bars: {counts}; {why}."]


def check_grid(peers: list[Contender], rule: Mapping[str, Any]) -> list[str]:
    """Hold the grids against each other. Return what was found. Raises Disagreement."""
    ours, theirs = (peer.call("grid", rule=rule)["result"] for peer in peers)
    equal = sum(a == b for a, b in zip(ours["n_trades"], theirs["n_trades"], strict=True))
    close("vectorbt, trades", sum(theirs["n_trades"]), sum(ours["n_trades"]), 0.01)
    apart = max(abs(a - b) for a, b in zip(ours["total_return"], theirs["total_return"], strict=True))
    if apart > 0.1:
        raise Disagreement(f"total returns differ by {apart:.3f}")
    return [
        f"Grid: {equal} of {len(ours['n_trades'])} combinations have the same number of trades "
        f"({sum(ours['n_trades']):,} in all); total returns differ by at most {apart:.3f}: vectorbt watches a stop "
        "from the bar after the entry on, we from the entry on."
    ]


def check_events(
    peers: list[Contender], candles: str, n: int, rule: Mapping[str, Any], others: Mapping[str, str]
) -> list[str]:
    """Hold the engines of events against each other on `n` candles; `others` are further calls of ours, by name.

    Return what was found. Raises Disagreement.
    """
    made = {}
    for peer in peers:
        print(f"warming up {peer.name}", flush=True)
        peer.call("prepare", candles=candles, n=n)
        made[peer.name] = peer.call("events", rule=rule)["result"]["n_trades"]
    ours = peers[0]
    made |= {name: ours.call(call, rule=rule)["result"]["n_trades"] for name, call in others.items()}
    for name, n_trades in made.items():
        # Without a slippage NautilusTrader's stop stands elsewhere; the walk of agreement.py explains every trade.
        close(f"{name}, trades of one strategy", n_trades, made[ours.name], 0.05 if name == "nautilus_trader" else 0.0)
    counts = ", ".join(f"{name} {n_trades:,}" for name, n_trades in made.items())
    return [f"One strategy, trades in {n:,} candles: {counts}. docs/how-we-compare.md has what fills differ in."]
