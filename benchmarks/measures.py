"""What is measured: each task with the calls that do it, and the goals."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import data
from benchmarks.compare import check_bars, check_events, check_grid, check_stored
from benchmarks.processes import Contender, fresh
from benchmarks.report import Goal
from benchmarks.tasks import OURS, Task, Work

FIRST = 1000
"""Trades that a bar has on average."""
FEW = 50_000
"""Trades of which mlfinpy makes bars: more would take minutes."""
INFORMATION = ("tick_imbalance", "dollar_imbalance", "volume_run")
"""Kinds of bars that the only peer takes seconds for."""
COMPILED = "tickloom, compiled"
OURS_OTHERWISE = {COMPILED: "compiled", "tickloom, rules": "by_rules"}
"""The same strategy in other ways: how it is called in the report, and by what function."""
TIMES = 20
"""How often over the compiled one runs in a sample: once is over too soon to be timed."""
FEWEST_CANDLES = 20_000
CANDLES = {"backtrader": FEWEST_CANDLES, "nautilus_trader": 50_000}
"""How many candles the slow ones are given."""
LEAST_OF_BACKTESTS = {
    "grid": {"vectorbt": 35.0},
    "signals": {"vectorbt": 35.0},
    "events": {"backtesting": 4.0, "nautilus_trader": 10.0},
}
"""What the CPU time of peers over ours shall be."""


def ingest(
    folder: Path, archive: data.Archive, peers: list[Contender], many: data.Archive | None
) -> tuple[list[Work], list[str]]:
    """Let everybody ingest once, compare what they stored; return the works of ingest and what the comparison found."""

    def arguments(module: str, source: data.Archive, where: str) -> dict[str, Any]:
        return {"archive": str(source.path), "folder": str(folder / where / module), "symbol": data.SYMBOL}

    for peer in peers:
        print(f"warming up {peer.name}", flush=True)
        peer.call("ingest", **arguments(peer.module, archive, "warm"))
    notes, sizes = check_stored(peers, archive.rows)
    modules = {peer.name: peer.module.replace("ours.bars", "ours.ingest") for peer in peers}
    works = [_fresh_ingest("ingest", archive, modules, lambda module: arguments(module, archive, "fresh"))]
    ours = peers[0]
    warm = Task(
        "Ingest by a worker that is warm",
        "The same again in one process, as a worker of Ray does archive after archive.",
        "trades",
        {ours.name: archive.rows},
    )
    works.append(
        Work("warm", warm, {ours.name: partial(ours.sample, "ingest", **arguments(ours.module, archive, "warm"))})
    )
    if many is not None:
        del modules["pandas"]  # it would need nine gigabytes
        works.append(_fresh_ingest("many", many, modules, lambda module: arguments(module, many, "fresh")))
    works[0].task.bytes_per_unit = sizes[ours.name]
    works[0].task.about += f" Bytes per trade on disk: {', '.join(f'{n} {size:.2f}' for n, size in sizes.items())}."
    return works, notes


def _fresh_ingest(
    key: str, archive: data.Archive, modules: dict[str, str], arguments: Callable[[str], dict[str, Any]]
) -> Work:
    task = Task(
        f"Ingest of {archive.rows / 1e6:.0f} M aggregate trades, fresh processes",
        "A zipped CSV becomes Parquet, from the start of the process to its end. Ours makes a file per day, refuses "
        "bad rows, keeps exact decimals, drops and counts duplicates, finds gaps, writes page checksums and a SHA-256 "
        "of each file, and syncs each to disk: waiting for the disk is wall time, not CPU time. The peers make one "
        "file, check nothing, keep float64.",
        "trades",
        dict.fromkeys(modules, archive.rows),
        fresh=True,
    )
    runs = {name: partial(fresh, module, "ingest", **arguments(module)) for name, module in modules.items()}
    return Work(key, task, runs)


def bars(folder: Path, rows: int, peers: list[Contender], apart: list[Contender]) -> tuple[list[Work], list[str]]:
    """Load the trades, compare the bars; return the works of bars and what the comparison found."""
    ours, columns = peers[0], str(folder / "columns.npz")
    means = ours.call("load", columns=columns)["result"]
    for peer in [*peers[1:], *apart]:
        print(f"warming up {peer.name}", flush=True)
        peer.call("load", **({"columns": columns} if peer in apart else {}))
    kits = [peer for peer in apart if peer.name == "finmlkit"]
    thresholds = {"tick": FIRST} | {
        kind: f"{means[mean] * FIRST:.3f}" for kind, mean in {"volume": "quantity", "dollar": "notional"}.items()
    }
    specs: list[dict[str, Any]] = [{"kind": kind, "threshold": threshold} for kind, threshold in thresholds.items()]
    works, notes = [], []
    for kind, spec in zip(thresholds, specs, strict=True):
        notes += check_bars([*peers, *kits], spec)
        task = Task(
            f"{kind.capitalize()} bars of trades in memory",
            "Ours sums integers, so the bars are exact and the same for any cut of the trades; the peers sum float64. "
            "All make open, high, low, close, volume, notional, count, buy volume and buy notional.",
            "trades",
            dict.fromkeys([peer.name for peer in [*peers, *kits]], rows),
        )
        runs = {peer.name: partial(peer.sample, "bars_in_memory", spec=spec) for peer in [*peers, *kits]}
        works.append(Work(kind, task, runs))
    works += [_from_parquet("parquet", rows, peers, specs[1:2]), _from_parquet("parquets", rows, peers, specs)]
    works += _information(rows, ours, [peer for peer in apart if peer.name == "mlfinpy"])
    return works, notes


def _from_parquet(key: str, rows: int, peers: list[Contender], specs: list[dict[str, Any]]) -> Work:
    kinds = " and ".join(spec["kind"] for spec in specs)
    task = Task(
        f"Bars from Parquet: {kinds} in one call" if len(specs) > 1 else f"Bars from Parquet: {kinds}",
        "Each reads the files that it wrote, once. Ours compares each with its SHA-256.",
        "trades",
        dict.fromkeys([peer.name for peer in peers], rows),
    )
    return Work(key, task, {peer.name: partial(peer.sample, "bars_from_parquet", specs=specs) for peer in peers})


def _information(rows: int, ours: Contender, rivals: list[Contender]) -> list[Work]:
    """Imbalance and run bars: definitions differ, so what is compared is the time that a trade takes."""
    works = []
    for kind in INFORMATION:
        sizes = {ours.name: rows} | {rival.name: min(FEW, rows) for rival in rivals}
        task = Task(
            f"{kind.replace('_', ' ').capitalize()} bars of trades in memory",
            "1,000 trades expected, and guards of a quarter and four times that. Definitions differ "
            "(docs/bars.md says how), so what is compared is the time that a trade takes.",
            "trades",
            sizes,
        )
        spec = {"kind": kind, "expected_trades": FIRST}
        runs = {
            peer.name: partial(peer.sample, "information_bars", spec=spec, rows=sizes[peer.name])
            for peer in [ours, *rivals]
        }
        works.append(Work(kind, task, runs))
    return works


def grid(peers: list[Contender], candles: str, n_candles: int) -> tuple[list[Work], list[str]]:
    """Compare the grids; return the work of the grid and what the comparison found."""
    for peer in peers:
        peer.call("prepare", candles=candles, rule=data.RULE)
    notes = check_grid(peers, data.RULE)
    n_combos = len(data.RULE["fast"]) * len(data.RULE["slow"])
    sizes = dict.fromkeys([peer.name for peer in peers], n_combos * n_candles)
    whole = Task(
        f"Grid: {n_combos} combinations, closes to metrics",
        "SMA x SMA with an EMA filter, a spread, stop, slippage and commission. The candles are in memory. Ours parses "
        "SQL rules and makes 16 metrics a combination; vectorbt is given arrays and makes five.",
        "candle-combinations",
        sizes,
    )
    prepared = Task(
        f"Grid: {n_combos} combinations, signals to metrics",
        "The engines alone: the same masks of entries and exits, a byte a candle, are in memory. Fills at the next "
        "open, stop, slippage, commission; 16 metrics a combination by ours, five by vectorbt.",
        "candle-combinations",
        dict(sizes),
    )
    return [
        Work("grid", whole, {peer.name: partial(peer.sample, "grid", rule=data.RULE) for peer in peers}),
        Work("signals", prepared, {peer.name: partial(peer.sample, "prepared", rule=data.RULE) for peer in peers}),
    ], notes


def events(peers: list[Contender], candles: str, n_candles: int) -> tuple[list[Work], list[str]]:
    """Compare the engines of events, ours first; return the work and what the comparison found."""
    ours = peers[0]
    notes = check_events(peers, candles, min(FEWEST_CANDLES, n_candles), data.EVENTS, OURS_OTHERWISE)
    sizes = {peer.name: min(CANDLES.get(peer.name, n_candles), n_candles) for peer in peers}
    for peer in peers:
        peer.call("prepare", candles=candles, n=sizes[peer.name])
    task = Task(
        "One strategy, event by event",
        "EMA 12 crosses EMA 26 upwards, above EMA 200, by a spread: buy with a stop; sell when it has crossed back. A "
        "callback at each close, an object for each order and fill; the data are in memory. Engines that are slow get "
        "fewer candles. `tickloom, compiled` is the same in numba's subset of Python, in the compiled loop, several "
        "times over, for once is over too soon; "
        "`tickloom, rules` as an SQL rule on the engine of grids, with its metrics.",
        "candles",
        sizes | dict.fromkeys(OURS_OTHERWISE, n_candles) | {COMPILED: TIMES * n_candles},
    )
    runs = {peer.name: partial(peer.sample, "events", rule=data.EVENTS) for peer in peers}
    runs |= {name: partial(ours.sample, call, rule=data.EVENTS) for name, call in OURS_OTHERWISE.items()}
    runs[COMPILED] = partial(ours.sample, "compiled", rule=data.EVENTS, times=TIMES)
    return [Work("events", task, runs)], notes


def goals_of(tasks: dict[str, Task]) -> list[Goal]:
    """Return the goals that these tasks have to meet."""
    goals: list[Goal] = []
    for key, task in tasks.items():
        rate = partial(Goal, f"{task.title}: rate", task.rate(OURS) / 1e6, f"M {task.unit} per CPU s")
        if key == "warm":
            goals.append(rate(least=7))
        elif key in INFORMATION:
            goals.append(rate(least=150))
        elif key in LEAST_OF_BACKTESTS:
            goals.append(rate(least=300 if task.unit == "candle-combinations" else 1))
            if key == "events":
                by = task.rate(COMPILED) / 1e6
                goals.append(Goal(f"{task.title}: rate of the compiled strategy", by, "M candles per CPU s", least=100))
            goals += [_over(task, peer, least) for peer, least in LEAST_OF_BACKTESTS[key].items() if peer in task.sizes]
        else:
            least = 2.1 if task.fresh else 3 if key.startswith("parquet") else 10
            goals.append(_over(task, "polars", least))
            goals += _of_ingest(task) if task.fresh else [rate(least=500)] if least == 10 else []
    if "many" in tasks:
        growth = tasks["many"].rss_mb(OURS) / tasks["ingest"].rss_mb(OURS)
        goals.append(Goal("Ingest: peak RSS of the large archive over that of the small", growth, "", most=1.1))
    return goals


def _over(task: Task, peer: str, least: float) -> Goal:
    return Goal(f"{task.title}: CPU of {peer} over ours", median(task.ratios(peer)), "", least=least)


def _of_ingest(task: Task) -> list[Goal]:
    goals = [Goal(f"{task.title}: peak RSS", task.rss_mb(OURS), "MB", most=300)]
    if task.bytes_per_unit:
        goals.append(Goal(f"{task.title}: on disk", task.bytes_per_unit, "bytes a trade", most=4.5))
    return goals
