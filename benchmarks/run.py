"""`make bench`: ingest, bars and grid, ours and the peers', in one interleaved run; writes benchmarks/results.md.

Every contender is a process of its own, warm before it is timed, and its results are compared with ours first. Then
come the rounds: in each, every contender does every task once, and who begins changes from round to round, so that
a slow moment of the machine meets all alike. What counts is CPU time, and the ratio to ours in the same round.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import data, report
from benchmarks.report import Sample, Task
from tickloom.settings import settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = ROOT / ".venv-bench"
NAMES = {"ours": "tickloom", "pandas_peer": "pandas", "polars_peer": "polars", "vectorbt_peer": "vectorbt"}


class Disagreement(Exception):
    """Contenders whose results differ do not do the same work: nothing is timed."""


@dataclass
class Contender:
    """A process that answers calls."""

    module: str
    process: "subprocess.Popen[str]"

    def call(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Return `result`, `wall_s` and `cpu_s` of a call. Raises RuntimeError with the contender's own traceback."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"call": function, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        reply = json.loads(line) if line else {"error": "the process ended"}
        if "error" in reply:
            raise RuntimeError(f"{NAMES[self.module]} failed in {function}: {reply['error']}")
        return dict(reply)


@contextmanager
def contender(module: str) -> Iterator[Contender]:
    """Start a contender; end it afterwards."""
    python = str(PEERS / "bin" / "python") if module == "vectorbt_peer" else sys.executable
    command = [python, "-m", "benchmarks.contender", module]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Contender(module, process)
        finally:
            process.kill()


def install_peers() -> None:
    """Make the environment of the peers that do not belong into ours, from its lock file; keep it when it is there."""
    lock, note = HERE / "requirements.lock", PEERS / "installed"
    if note.exists() and note.read_text() == lock.read_text():
        return
    print("setting up .venv-bench from benchmarks/requirements.lock", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS], check=True)
    uv = Path(sys.executable).with_name("uv")
    python = str(PEERS / "bin" / "python")
    install = (
        [str(uv), "pip", "install", "--quiet", "--python", python] if uv.exists() else [python, "-m", "pip", "install"]
    )
    subprocess.run([*install, "--require-hashes", "-r", str(lock)], check=True)
    note.write_text(lock.read_text())


def _close(name: str, found: float, ours: float, tolerance: float) -> None:
    if not math.isclose(found, ours, rel_tol=tolerance):
        raise Disagreement(f"{name}: {found} is not within {tolerance:.2%} of our {ours}")


def check_trades(peers: list[Contender], threshold: float) -> list[str]:
    """Hold what the contenders stored and built against ours. Return what was found. Raises Disagreement."""
    stored = {peer.module: peer.call("ingested")["result"] for peer in peers}
    ours = stored["ours"]
    for module, found in stored.items():
        if found["rows"] != ours["rows"] or found["ids"] != ours["ids"]:
            raise Disagreement(f"{NAMES[module]} stored {found}, we {ours}")
        _close(f"{NAMES[module]}, quantity", found["quantity"], ours["quantity"], 1e-9)
    sizes = ", ".join(f"{NAMES[m]} {found['bytes'] / found['rows']:.1f}" for m, found in stored.items())
    notes = [f"All stored the same {ours['rows']:,} trades. Bytes per trade on disk: {sizes}."]
    for task in ("bars_in_memory", "bars_from_parquet"):
        bars = {peer.module: peer.call(task, threshold=threshold)["result"] for peer in peers}
        for module, found in bars.items():
            # Ours begin anew at each bar, those of cumsum // threshold run on: the counts differ by about 3 %.
            _close(f"{NAMES[module]}, number of bars", found["n_bars"], bars["ours"]["n_bars"], 0.1)
            _close(f"{NAMES[module]}, volume", found["volume"], bars["ours"]["volume"], 1e-9)
    counts = ", ".join(f"{NAMES[module]} {found['n_bars']:,}" for module, found in bars.items())
    return [*notes, f"The bars hold the same volume. Their number: {counts}; ours restart at each bar, theirs run on."]


def check_grid(peers: list[Contender], arguments: dict[str, Any]) -> list[str]:
    """Hold the grids against each other. Return what was found. Raises Disagreement."""
    results = {peer.module: peer.call("grid", **arguments)["result"] for peer in peers}
    ours, theirs = results["ours"], results["vectorbt_peer"]
    equal = sum(a == b for a, b in zip(ours["n_trades"], theirs["n_trades"], strict=True))
    _close("vectorbt, trades", sum(theirs["n_trades"]), sum(ours["n_trades"]), 0.01)
    apart = max(abs(a - b) for a, b in zip(ours["total_return"], theirs["total_return"], strict=True))
    if apart > 0.1:
        raise Disagreement(f"total returns differ by {apart:.3f}")
    return [
        f"{equal} of {len(ours['n_trades'])} combinations have the same number of trades ({sum(ours['n_trades']):,} in "
        f"all); total returns differ by at most {apart:.3f}: vectorbt watches a stop from the bar after the entry on, "
        "we from the entry on."
    ]


def measure(rounds: int, work: list[tuple[Task, list[Contender], dict[str, dict[str, Any]]]]) -> None:
    """Do the rounds; the samples are added to the tasks."""
    for number in range(rounds):
        for task, peers, arguments in work:
            turn = number % len(peers)
            for peer in peers[turn:] + peers[:turn]:
                reply = peer.call(task.function, **arguments[peer.module])
                task.samples.setdefault(NAMES[peer.module], []).append(Sample(reply["wall_s"], reply["cpu_s"]))
        print(f"round {number + 1} of {rounds} done", flush=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser("python -m benchmarks.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trades-per-day", type=int, default=100_000, help="mean, over 31 days (default: %(default)s)")
    parser.add_argument("--candles", type=int, default=100_000, help="of the grid (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="at least 3 (default: %(default)s)")
    parser.add_argument("--only", choices=("trades", "grid"), help="leave the other half out, and do not write results")
    parser.add_argument("--output", type=Path, default=HERE / "results.md")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks."""
    options = parse(arguments)
    began, folder = time.monotonic(), settings().home.resolve() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    inputs = data.make(folder, options.trades_per_day, options.candles)
    work: list[tuple[Task, list[Contender], dict[str, dict[str, Any]]]] = []
    notes: list[str] = []
    with ExitStack() as stack:
        mine = stack.enter_context(contender("ours"))
        everyone = [mine]
        if options.only != "grid":
            everyone += [stack.enter_context(contender(module)) for module in ("pandas_peer", "polars_peer")]
            notes += _prepare_trades(list(everyone), inputs, folder, work)
        if options.only != "trades":
            install_peers()
            rival = stack.enter_context(contender("vectorbt_peer"))
            everyone.append(rival)
            arguments_of = {"candles": str(inputs.candles), "rule": data.RULE}
            print("warming up and comparing the grid; vectorbt compiles for a while", flush=True)
            notes += check_grid([mine, rival], arguments_of)
            n_combos = len(data.RULE["fast"]) * len(data.RULE["slow"])  # type: ignore[arg-type]
            task = Task(
                "grid", "Grid: 64 combinations, closes to metrics", "candle-combinations", n_combos * inputs.n_candles
            )
            work.append((task, [mine, rival], dict.fromkeys(("ours", "vectorbt_peer"), arguments_of)))
        measure(options.rounds, work)
        versions = {name: text for peer in everyone for name, text in peer.call("versions")["result"].items()}
    text = report.render([task for task, _, _ in work], notes, versions, options.rounds, time.monotonic() - began)
    print(text)
    if options.only is None:
        options.output.write_text(text)
        print(f"written to {options.output.name}")


def _prepare_trades(
    peers: list[Contender],
    inputs: data.Data,
    folder: Path,
    work: list[tuple[Task, list[Contender], dict[str, dict[str, Any]]]],
) -> list[str]:
    """Warm up ingest and bars, compare them, and add them to the work. Return what the comparison found."""
    ingest = {
        peer.module: {"archive": str(inputs.archive), "folder": str(folder / peer.module), "symbol": data.SYMBOL}
        for peer in peers
    }
    notional = 0.0
    for peer in peers:
        print(f"warming up {NAMES[peer.module]}", flush=True)
        peer.call("ingest", **ingest[peer.module])
        notional = peer.call("load")["result"]
    rows = peers[0].call("ingested")["result"]["rows"]
    threshold = round(notional / rows * 1000, 2)  # about a thousand trades a bar
    notes = check_trades(peers, threshold)
    bars = {module: {"threshold": threshold} for module in ingest}
    work += [
        (Task("ingest", "Ingest: zipped CSV to Parquet by day", "trades", rows), peers, ingest),
        (Task("bars_in_memory", "Dollar bars of trades in memory", "trades", rows), peers, bars),
        (Task("bars_from_parquet", "Dollar bars from Parquet", "trades", rows), peers, bars),
    ]
    return notes


if __name__ == "__main__":
    main()
