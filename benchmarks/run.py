"""`make bench`: ingest, bars and grid, ours and the peers', in one interleaved run; writes benchmarks/results.md.

Results are compared with ours first. Then come the rounds: in each, every contender does every task once, and who
begins changes from round to round, so that a slow moment of the machine meets all alike. What counts is CPU time, and
the ratio to ours in the same round.
"""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import data, report
from benchmarks.measures import bars, events, goals_of, grid, ingest
from benchmarks.processes import Contender, contender, install
from benchmarks.tasks import Task, Work, measure, warm_up
from tickloom.settings import settings

HERE = Path(__file__).resolve().parent
WARM = ("ours.bars", "peers.with_pandas", "peers.with_polars")
APART = ("finmlkit", "mlfinpy")
EVENTS = ("backtesting", "backtrader", "nautilus_trader")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trades", type=int, default=10_000_000, help="of the archive (default: %(default)s)")
    parser.add_argument("--many", type=int, default=0, help="also ingest an archive of so many; 0: do not")
    parser.add_argument("--candles", type=int, default=100_000, help="of the grid (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="at least 3 (default: %(default)s)")
    parser.add_argument(
        "--only", choices=("ingest", "bars", "grid", "events"), help="leave the rest out, and do not write results"
    )
    parser.add_argument("--output", type=Path, default=HERE / "results.md")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmarks."""
    options = parse(arguments)
    began, folder = time.monotonic(), settings().home.resolve() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        works, notes, everyone = _prepare(options, folder, stack)
        warm_up(works)
        measure(options.rounds, works)
        versions = {name: text for peer in everyone for name, text in peer.call("versions")["result"].items()}
    tasks: dict[str, Task] = {work.key: work.task for work in works}
    seconds = time.monotonic() - began
    text = report.render([*tasks.values()], goals_of(tasks), notes, versions, options.rounds, seconds)
    print(text)
    if options.only is None:
        options.output.write_text(text)
        print(f"written to {options.output.name}")


def _prepare(
    options: argparse.Namespace, folder: Path, stack: ExitStack
) -> tuple[list[Work], list[str], list[Contender]]:
    """Start the contenders, warm them up and compare them; return what is to be measured."""
    works: list[Work] = []
    notes: list[str] = []
    everyone: list[Contender] = []
    if options.only in (None, "ingest", "bars"):
        works, notes, everyone = _prepare_trades(options, folder, stack)
    candles = str(data.candles_file(folder, options.candles)) if options.only in (None, "grid", "events") else ""
    if options.only in (None, "grid"):
        if why := install("vectorbt"):
            raise SystemExit(f"vectorbt could not be installed: {why}")
        pair = [stack.enter_context(contender(module)) for module in ("ours.grid", "peers.with_vectorbt")]
        print("warming up and comparing the grid; vectorbt compiles for a while", flush=True)
        found, said = grid(pair, candles, options.candles)
        works, notes, everyone = works + found, notes + said, everyone + pair
    if options.only in (None, "events"):
        names, said = _installed(EVENTS)
        modules = ["ours.events", *(f"peers.with_{name}" for name in names)]
        engines = [stack.enter_context(contender(module)) for module in modules]
        found, compared = events(engines, candles, options.candles)
        works, notes, everyone = works + found, notes + said + compared, everyone + engines
    return works, notes, everyone


def _prepare_trades(
    options: argparse.Namespace, folder: Path, stack: ExitStack
) -> tuple[list[Work], list[str], list[Contender]]:
    """Do what `_prepare` does for ingest and bars."""
    print(f"making, or finding, an archive of {options.trades:,} trades", flush=True)
    archive = data.archive(folder, options.trades)
    warm = [stack.enter_context(contender(module)) for module in WARM]
    arrow = stack.enter_context(contender("peers.with_pyarrow"))
    many = data.archive(folder, options.many) if options.many else None
    works, notes = ingest(folder, archive, [*warm, arrow], many)
    if options.only == "ingest":
        return works, notes, warm
    names, missing = _installed(APART)
    apart = [stack.enter_context(contender(f"peers.with_{peer}")) for peer in names]
    found, said = bars(folder, archive.rows, warm, apart)
    works = works + found if options.only is None else found
    return works, notes + missing + said, warm + apart


def _installed(peers: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the peers whose environments are there, and why others are not."""
    missing = {peer: why for peer in peers if (why := install(peer))}
    notes = [f"{peer} is left out: it could not be installed: {why}" for peer, why in missing.items()]
    return [peer for peer in peers if peer not in missing], notes


if __name__ == "__main__":
    main()
