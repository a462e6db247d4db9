"""From samples to results.md: medians, ratios to ours, the machine, the versions, how to repeat."""

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

OURS = "tickloom"
WHAT = {
    "ingest": "Ours refuses bad rows, keeps exact decimals, drops and counts duplicates, finds gaps, writes page "
    "checksums and a SHA-256 of each file, and syncs each to disk: waiting for the disk is wall time, not CPU time. "
    "The peers check nothing and keep float64.",
    "bars_in_memory": "Ours sums integers, so the bars are exact and the same for any cut of the trades; the peers sum "
    "float64. Both make open, high, low, close, volume, notional, count, buy volume and buy notional.",
    "bars_from_parquet": "Each reads the files that it wrote. Ours verifies page checksums.",
    "grid": "SMA x SMA with an EMA filter, a spread, stop, slippage and commission. Ours parses SQL rules and makes 16 "
    "metrics a combination; vectorbt is given arrays and makes five.",
}


@dataclass(frozen=True)
class Sample:
    """What one call cost."""

    wall_s: float
    cpu_s: float


@dataclass
class Task:
    """A task, its size in units, and the samples of each contender, one per round."""

    function: str
    title: str
    unit: str
    size: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)


def ratios(task: Task, name: str) -> list[float]:
    """Return, round by round, the CPU time of a contender over ours in the same round."""
    return [a.cpu_s / b.cpu_s for a, b in zip(task.samples[name], task.samples[OURS], strict=True)]


def _rows(task: Task) -> list[str]:
    rows = []
    for name, samples in task.samples.items():
        cpu, wall = median(s.cpu_s for s in samples), median(s.wall_s for s in samples)
        times = ratios(task, name)
        wall_ratio = median(a.wall_s / b.wall_s for a, b in zip(samples, task.samples[OURS], strict=True))
        ratio = "1" if name == OURS else f"**{median(times):.1f}** ({min(times):.1f} to {max(times):.1f})"
        rows.append(
            f"| {name} | {cpu:.3f} | {wall:.3f} | {task.size / cpu / 1e6:,.1f} | {ratio} | "
            f"{'1' if name == OURS else f'{wall_ratio:.1f}'} |"
        )
    return rows


def machine() -> str:
    """Return the processor, its number of CPUs and how busy they are, in words."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = f"{os.getloadavg()[0]:.1f}"  # our own processes work one at a time: what is above 1 are neighbours
    cpus = f"{os.cpu_count()} CPUs, load average {load} at the end"
    return f"{model}, {cpus}, {platform.system()}, Python {platform.python_version()}"


def render(tasks: list[Task], notes: list[str], versions: dict[str, str], rounds: int, seconds: float) -> str:
    """Return results.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; run it again to repeat. What counts are the ratios: absolute times depend on the",
        f"machine and on its neighbours. Medians of {rounds} interleaved rounds, every process warm, results compared",
        "before timing. CPU seconds are those of all threads of a process. The ratio is a contender's CPU time over",
        "ours in the same round, with the lowest and the highest round in brackets: above 1, we are faster.",
        "",
        f"Machine: {machine()}.",
        f"Versions: {', '.join(f'{name} {text}' for name, text in versions.items())}.",
        f"The whole run took {seconds:.0f} s.",
        "",
    ]
    for task in tasks:
        lines += [
            f"## {task.title}",
            "",
            f"{task.size:,} {task.unit}. {WHAT[task.function]}",
            "",
            f"| | CPU s | wall s | M {task.unit} per CPU s | CPU ratio | wall ratio |",
            "|---|---|---|---|---|---|",
            *_rows(task),
            "",
        ]
    return "\n".join([*lines, "## Do they do the same?", "", *(f"- {note}" for note in notes), ""])
