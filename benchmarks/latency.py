"""`make bench-64`: 64 combinations on the 15-minute year, from POST to SUCCESS in a warm system, beside a plain loop.

The system is the one that `tickloom up` starts, and the klines are those of configs/sma-grid-15m.yaml. Each sample is a
request that nothing was made for before: of the backtest alone, of signals, backtest and report, and of the whole chain
from the import of the klines on. The plain loop is Python over lists, with as many worker processes as there are CPUs:
no report, no metrics, nothing is kept. Its trades are counted against ours. Writes benchmarks/results-64.md.
"""

import argparse
import copy
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from api_gateway.body import parse_yaml
from benchmarks.report import machine
from benchmarks.whole import system
from cli import runfile
from cli.process import members
from tickloom.client import Client, Run
from tickloom.settings import settings

CONFIG = Path(__file__).parents[1] / "configs" / "sma-grid-15m.yaml"
WANTED_S = 2.0
POLL_S = 0.05


@dataclass(frozen=True)
class Sample:
    """What one run took: the wall time of its client, and the CPU time of all processes of the system."""

    wall_s: float
    cpu_s: float


class Bench:
    """A warm system, and requests that it has not seen."""

    def __init__(self, client: Client, home: Path, body: dict[str, Any]) -> None:
        self._client, self._home, self._body = client, home, body
        self._numbers: Iterator[int] = iter(range(1_000_000))
        self.signals = ""

    def whole(self) -> tuple[str, dict[str, Any]]:
        """Return a chain of which nothing is there, from the klines on."""
        number = next(self._numbers)
        body = copy.deepcopy(self._body)
        source = self._home / "imports" / "year.feather"
        shutil.copy(source, source.with_name(f"{number}.feather"))
        body["download"]["files"] = {"BTCUSDT": f"{number}.feather"}
        return "/submit_pipeline", self._new_rules(body)

    def grid(self) -> tuple[str, dict[str, Any]]:
        """Return a chain whose features are there: signals, backtest and report are to be made."""
        return "/submit_pipeline", self._new_rules(copy.deepcopy(self._body))

    def backtest(self) -> tuple[str, dict[str, Any]]:
        """Return a backtest of signals that are there."""
        return "/submit_backtest", self._body["backtest"] | {
            "input": self.signals, "commission_rate": 0.001 + 1e-9 * next(self._numbers)
        }  # fmt: skip

    def _new_rules(self, body: dict[str, Any]) -> dict[str, Any]:
        """Change the rule by less than any trade feels."""
        spread = f"{0.001 + 1e-12 * (1 + next(self._numbers))!r}"
        body["signals"]["long_entry"] = body["signals"]["long_entry"].replace("0.001", spread)
        return body

    def run(self, request: tuple[str, dict[str, Any]]) -> tuple[Run, Sample]:
        """Submit, and wait until it has succeeded."""
        path, body = request
        cpu, begun = self._cpu_s(), time.monotonic()
        run = self._client.run(self._client.request("POST", path, json=body).json()["task_id"])
        while (state := run.status()["state"]) != "SUCCESS":
            if state in ("FAILURE", "REVOKED"):
                raise SystemExit(f"task {run.id} ended with {state}")
            time.sleep(POLL_S)
        return run, Sample(time.monotonic() - begun, self._cpu_s() - cpu)

    def _cpu_s(self) -> float:
        found = runfile.read(self._home)
        assert found is not None
        used = 0.0
        for process in members(found.run, found.leaders()):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            used += times.user + times.system
        return used


def moving_average(close: list[float], n: int) -> list[float]:
    """Return the mean of the last n closes at each bar; NaN before there are n."""
    means, total = [float("nan")] * len(close), 0.0
    for i, value in enumerate(close):
        total += value - (close[i - n] if i >= n else 0.0)
        if i >= n - 1:
            means[i] = total / n
    return means


def plain_trades(bars: dict[str, list[float]], combination: tuple[int, int]) -> int:
    """Return how many trades the strategy of the config makes, by a plain loop over candles."""
    fast, slow = (moving_average(bars["close"], n) for n in combination)
    close, trend, trades, was = bars["close"], bars["ema_200"], 0, None
    position = stop = entry = leave = 0.0
    for i, opened in enumerate(bars["open"]):
        if leave and position:
            position = 0.0
        elif entry and not position:
            position, stop, trades = 1.0, opened * 1.0005 * 0.98, trades + 1
        if position and bars["low"][i] <= stop:
            position = 0.0
        known = trend[i] == trend[i] and slow[i] == slow[i]
        now = known and fast[i] > slow[i] and close[i] > trend[i] and (fast[i] - slow[i]) / close[i] >= 0.001
        leave = float(known and fast[i] < slow[i])
        entry = float(now and was is False and not leave)
        was = now if known else was
    return trades


def plain(bars: dict[str, list[float]], grid: list[tuple[int, int]]) -> tuple[list[int], float]:
    """Return the trades of every combination by plain loops in all CPUs, and the wall seconds."""
    begun = time.monotonic()
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as pool:
        found = list(pool.map(plain_trades, [bars] * len(grid), grid, chunksize=8))
    return found, time.monotonic() - begun


def render(samples: dict[str, list[Sample]], plain_s: float, agree: int) -> str:
    """Return results-64.md."""
    lines = [
        "# 64 combinations, from POST to SUCCESS",
        "",
        "Written by `make bench-64`; run it again to repeat. configs/sma-grid-15m.yaml on a year of 15-minute klines, "
        "in a system that has done it before, each time with a request that it has not seen. Wall time is what a "
        "client waits; CPU time is that of all processes of the system together, which a busy machine stretches less.",
        "",
        f"Machine: {machine()}.",
        "",
        "| | wall s, median | fastest | CPU s | under 2 s |",
        "|---|---|---|---|---|",
    ]
    for name, of in samples.items():
        wall, cpu = median(one.wall_s for one in of), median(one.cpu_s for one in of)
        fastest = min(one.wall_s for one in of)
        lines.append(f"| {name} | {wall:.2f} | {fastest:.2f} | {cpu:.2f} | {'yes' if wall < WANTED_S else '**no**'} |")
    lines.append(f"| plain Python over lists, {cpu_count()} processes: trades alone | {plain_s:.2f} | | | |")
    return "\n".join([*lines, "", f"The plain loop makes as many trades as ours in {agree} of 64 combinations.", ""])


def main(arguments: list[str] | None = None) -> None:
    """Start the system, warm it up, take the samples, write what they came to."""
    parser = argparse.ArgumentParser("python -m benchmarks.latency", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--klines", type=Path, help="the year; default: the config's file in TICKLOOM_IMPORT_DIR")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("results-64.md"))
    options = parser.parse_args(arguments)
    body = parse_yaml(CONFIG.read_bytes())
    home = settings().home.resolve() / "bench" / "latency"
    shutil.rmtree(home, ignore_errors=True)
    (home / "imports").mkdir(parents=True)
    klines = options.klines or settings().import_dir / body["download"]["files"]["BTCUSDT"]
    shutil.copy(klines, home / "imports" / "year.feather")
    body["download"]["files"] = {"BTCUSDT": "year.feather"}
    with system(home, IMPORT_DIR=str(home / "imports")) as (client, _):
        bench = Bench(client, home, body)
        run, _ = bench.run(("/submit_pipeline", body))  # what follows is warm, and finds the features
        bench.signals = run.artifact_id("signals")
        kinds: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
            "backtest alone": bench.backtest,
            "signals, backtest and report": bench.grid,
            "the whole chain from the klines on": bench.whole,
        }
        for make in kinds.values():
            bench.run(make())
        samples: dict[str, list[Sample]] = {name: [] for name in kinds}
        for _ in range(options.rounds):
            for name, make in kinds.items():
                samples[name].append(bench.run(make())[1])
        ours = run.grid()
        features = client.data(run.artifact_id("features"))
    bars = {name: features[name].tolist() for name in ("open", "low", "close", "ema_200")}
    values = body["signals"]["parameters"]
    trades, plain_s = plain(bars, list(product(values["fast"], values["slow"])))
    agree = sum(a == b for a, b in zip(trades, ours["n_trades"].tolist(), strict=True))
    text = render(samples, plain_s, agree)
    print(text)
    options.output.write_text(text)


if __name__ == "__main__":
    main()
