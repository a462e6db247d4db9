"""`make bench-100m`: a hundred million trades of two symbols through download and three kinds of bars, by the gateway.

The system is the one that `tickloom up` starts, with the simulator as its exchange. The archives are made before it
starts. Writes benchmarks/results-100m.md: the wall time of each stage, and the peak memory of every process.
"""

import argparse
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from benchmarks.memory import Watch, watched
from benchmarks.report import machine
from cli import runfile
from cli.probes import free_port
from cli.process import members
from exchange_sim.archives import ArchiveStore
from exchange_sim.calendar import calendar
from exchange_sim.dataset import Dataset
from exchange_sim.names import parse_archive_path
from tickloom.client import Client, Run
from tickloom.settings import settings

SYMBOLS = ("BTCUSDT", "ETHUSDT")
MONTH, FIRST, LAST = "2022-01", "2022-01-01", "2022-01-31"
PORTS = ("GATEWAY", "SERVICES", "REDIS", "RAY", "RAY_DASHBOARD", "FLOWER", "SIM")
SPECS: dict[str, dict[str, Any]] = {
    "tick": {"kind": "tick", "threshold": 1000},
    "volume": {"kind": "volume", "threshold": "50"},
    "dollar": {"kind": "dollar", "threshold": "2000000"},
}
ALONE = {"kind": "dollar", "threshold": "1999999"}
"""One kind alone, to see what the reading costs and what the kinds; another threshold, or it would be found ready."""
UP_S = 180.0


@dataclass(frozen=True)
class Stage:
    """What one submission took and made, by the gateway's own word."""

    what: str
    seconds: float
    rows: int
    made: str


def dataset_of(trades: int) -> Dataset:
    """Return the dataset whose month of all symbols has so many trades, or a few more."""
    trial = Dataset(seed=7, trades_per_day=1_000_000)
    return Dataset(seed=7, trades_per_day=math.ceil(trades / expected(trial) * trial.trades_per_day * (1 + 1e-6)))


def expected(dataset: Dataset) -> int:
    """Return how many trades the month of all symbols has."""
    total = 0
    for symbol in SYMBOLS:
        days, name = calendar(dataset.seed, dataset.trades_per_day, symbol, "spot"), _archive(symbol)
        total += int(days.n_trades[days.index(name.first_day) : days.index(name.end_day)].sum())
    return total


def _archive(symbol: str) -> Any:
    name = parse_archive_path(f"spot/monthly/trades/{symbol}/{symbol}-trades-{MONTH}.zip")
    assert name is not None
    return name


def _make(cache: Path, dataset: Dataset, symbol: str) -> int:
    """Make a symbol's trades, and the klines that the download holds them against; return the bytes of the trades."""
    klines = parse_archive_path(f"spot/monthly/klines/{symbol}/1m/{symbol}-1m-{MONTH}.zip")
    assert klines is not None
    ArchiveStore(cache).get(dataset, klines)
    return ArchiveStore(cache).get(dataset, _archive(symbol)).size


def make_archives(cache: Path, dataset: Dataset) -> int:
    """Make the archives, or find them, in the simulator's own cache; return their bytes."""
    with ProcessPoolExecutor(len(SYMBOLS), mp_context=get_context("spawn")) as pool:
        return sum(pool.map(_make, [cache] * len(SYMBOLS), [dataset] * len(SYMBOLS), SYMBOLS))


@contextmanager
def system(home: Path, **more: str) -> Iterator[tuple[Client, runfile.RunFile]]:
    """Start everything on ports of its own, with these settings more; stop it as Ctrl-C would."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TICKLOOM_", "RAY_"))}
    ports = {f"TICKLOOM_{name}_PORT": str(free_port()) for name in PORTS}
    command = [sys.executable, "-c", "from cli.main import main; main()", "up", "--venue", "sim"]
    with (home / "up.log").open("wb") as log:
        ours = {"HOME": str(home)} | more
        environment = plain | ports | {f"TICKLOOM_{name}": value for name, value in ours.items()}
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        found = _ready(up, home)
        with Client(f"http://127.0.0.1:{ports['TICKLOOM_GATEWAY_PORT']}") as client:
            yield client, found
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)


def _ready(up: "subprocess.Popen[bytes]", home: Path) -> runfile.RunFile:
    give_up = time.monotonic() + UP_S
    while (found := runfile.read(home)) is None or found.pid != up.pid or found.state != "ready":
        if up.poll() is not None or time.monotonic() > give_up:
            raise SystemExit(f"the system does not come up: {(home / 'up.log').read_text()[-2000:]}")
        time.sleep(0.2)
    return found


def look_at(found: runfile.RunFile, home: Path, watch: Watch) -> None:
    """Look at every process of the system once."""
    current = runfile.read(home) or found
    leaders = {part["pid"]: name for name, part in current.parts.items() if part.get("pid")}
    leaders[current.pid] = "supervisor"
    processes = [psutil.Process(current.pid), *members(current.run, current.leaders())]
    watch.look(processes, lambda process: leaders[os.getsid(process.pid)])


def work(client: Client, dataset: Dataset) -> list[Stage]:
    """Submit the download and the bars, one after another; hold what they made against what there was."""
    request = {
        "venue": "sim",
        "dataset": f"seed={dataset.seed},trades_per_day={dataset.trades_per_day}",
        "data_type": "trades",
        "symbols": list(SYMBOLS),
        "start_date": FIRST,
        "end_date": LAST,
    }
    stages = []
    begun = time.monotonic()
    run = client.submit("download", request)
    run.wait()
    seconds = time.monotonic() - begun
    manifest = client.artifact(run.artifact_id())["manifest"]
    rows = sum(facts["rows"] for facts in manifest["facts"]["symbols"].values())
    if rows != expected(dataset):
        raise SystemExit(f"{rows:,} trades were stored, there are {expected(dataset):,}")
    size = sum(entry["bytes"] for entry in manifest["files"])
    stages.append(Stage("download", seconds, rows, f"{size / 1e6:,.0f} MB, {size / rows:.2f} bytes a trade"))
    stages.append(_bars(client, run, f"{', '.join(sorted(SPECS))} bars in one request", {"specs": SPECS}, rows))
    stages.append(_bars(client, run, "dollar bars alone", {"spec": ALONE}, rows))
    return stages


def _bars(client: Client, source: Run, what: str, body: dict[str, Any], rows: int) -> Stage:
    """Submit bars of a download; hold the trades that they count against those that there are."""
    begun = time.monotonic()
    run = client.submit("bars", body, input=source.id)
    run.wait()
    seconds = time.monotonic() - begun
    facts = client.artifact(run.artifact_id())["manifest"]["facts"]
    made = []
    for kind in facts.get("bars", {"": facts}).values():
        symbols = kind["symbols"].values()
        counted = sum(of["n_trades"] + of["residual"]["n_trades"] for of in symbols)
        if counted != rows:
            raise SystemExit(f"the {kind['kind']} bars hold {counted:,} trades of {rows:,}")
        made.append(f"{sum(of['n_bars'] for of in symbols):,}")
    return Stage(what, seconds, rows, f"{', '.join(made)} bars")


def render(stages: list[Stage], watch: Watch, made_s: float, zipped: int) -> str:
    """Return results-100m.md."""
    rows = stages[0].rows
    lines = [
        f"# {rows / 1e6:.0f} million trades by the gateway",
        "",
        f"Written by `make bench-100m`; run it again to repeat. {rows:,} made trades of {' and '.join(SYMBOLS)} in "
        f"monthly archives of {zipped / 1e6:,.0f} MB, served by the simulator on the same machine, go through download "
        "and three kinds of bars. Each is a request to the gateway; its time is what a client waits. The download "
        "includes the comparison with the exchange's own klines. The bars hold every trade. "
        f"The archives were made, or found, in {made_s:.0f} s before.",
        "",
        f"Machine: {machine()}.",
        "",
        "| stage | wall s | M trades per s | made |",
        "|---|---|---|---|",
    ]
    for stage in stages:
        rate = stage.rows / stage.seconds / 1e6
        lines.append(f"| {stage.what} | {stage.seconds:.1f} | {rate:.1f} | {stage.made} |")
    total = sum(stage.seconds for stage in stages)
    lines += [
        f"| all | {total:.1f} | {rows / total / 1e6:.1f} | |",
        "",
        "The most memory of any process of its kind, in MB. RSS is the kernel's own peak, and counts what processes "
        "share in full; PSS, seen every half second, counts a page that n processes share as an n-th.",
        "",
        "| process | at a time | peak RSS | peak PSS |",
        "|---|---|---|---|",
    ]
    for name, kind in sorted(watch.kinds.items(), key=lambda item: -item[1].pss_mb):
        lines.append(f"| {name} | {kind.n} | {kind.rss_mb:,.0f} | {kind.pss_mb:,.0f} |")
    return "\n".join([*lines, f"| all together | | | {watch.total_pss_mb:,.0f} |", ""])


def main(arguments: list[str] | None = None) -> None:
    """Make the archives, start the system, send the work, write what it took."""
    parser = argparse.ArgumentParser("python -m benchmarks.whole", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trades", type=int, default=100_000_000, help="of both symbols (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="the record to write; by default that of 100 million trades")
    options = parser.parse_args(arguments)
    home, dataset = settings().home.resolve() / "bench" / "whole", dataset_of(options.trades)
    if runfile.running(home) is not None:
        raise SystemExit(f"a system is already up on {home}")
    for left in home.iterdir() if home.exists() else ():  # nothing may be found ready, but for the archives
        if left.name != "sim":
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    home.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    print(f"making, or finding, archives of {expected(dataset):,} trades", flush=True)
    zipped = make_archives(home / "sim", dataset)
    made_s = time.monotonic() - begun
    print("starting the system", flush=True)
    with system(home) as (client, found), watched(lambda watch: look_at(found, home, watch)) as watch:
        stages = work(client, dataset)
    text = render(stages, watch, made_s, zipped)
    print(text)
    output = options.output or (Path(__file__).with_name("results-100m.md") if options.trades == 10**8 else None)
    if output is not None:
        output.write_text(text)
        print(f"written to {output.name}")


if __name__ == "__main__":
    main()
