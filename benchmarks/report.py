"""From samples to results.md: goals, medians, ratios to ours, the machine, the versions, how to repeat."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.tasks import OURS, Task


@dataclass(frozen=True)
class Goal:
    """What a number should be: at least `least`, or at most `most`."""

    what: str
    found: float
    unit: str
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is."""
        return (self.least is None or self.found >= self.least) and (self.most is None or self.found <= self.most)

    def row(self) -> str:
        """Return its row of the table."""
        wanted = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        return (
            f"| {self.what} | {wanted} {self.unit}".rstrip()
            + f" | {_number(self.found)} | {'yes' if self.met else '**no**'} |"
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _rows(task: Task) -> list[str]:
    rows = []
    for name, samples in task.samples.items():
        cells = [f"{median(getattr(s, cost) for s in samples):.3f}" for cost in ("cpu_s", "wall_s")]
        cells.append(_number(task.rate(name) / 1e6))
        if name == OURS:
            cells += ["1", "1"]
        else:
            times = task.ratios(name)
            cells.append(f"**{_number(median(times))}** ({_number(min(times))} to {_number(max(times))})")
            cells.append(_number(median(task.ratios(name, "wall_s"))))
        if task.fresh:
            cells.append(f"{task.rss_mb(name):,.0f}")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _section(task: Task) -> list[str]:
    sizes = set(task.sizes.values())
    size = f"{sizes.pop():,}" if len(sizes) == 1 else ", ".join(f"{name} {n:,}" for name, n in task.sizes.items())
    head = ["", "CPU s", "wall s", f"M {task.unit} per CPU s", "CPU ratio", "wall ratio"]
    head += ["peak RSS MB"] if task.fresh else []
    return [
        f"## {task.title}",
        "",
        f"{size} {task.unit}. {task.about}",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *_rows(task),
        "",
    ]


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


def render(
    tasks: list[Task], goals: list[Goal], notes: list[str], versions: dict[str, str], rounds: int, seconds: float
) -> str:
    """Return results.md."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; run it again to repeat. What counts are the ratios: absolute times depend on the",
        f"machine and on its neighbours. Medians of {rounds} interleaved rounds, results compared before timing. CPU",
        "seconds are those of all threads of a process. The ratio is a contender's CPU time over ours, per unit and in",
        "the same round, with the lowest and the highest round in brackets: above 1, we are faster.",
        "",
        f"Machine: {machine()}.",
        f"Versions: {', '.join(f'{name} {text}' for name, text in versions.items())}.",
        f"The whole run took {seconds:.0f} s.",
        "",
    ]
    if goals:
        lines += ["| goal | wanted | found | met |", "|---|---|---|---|", *(goal.row() for goal in goals), ""]
    for task in tasks:
        lines += _section(task)
    return "\n".join([*lines, "## Do they do the same?", "", *(f"- {note}" for note in notes), ""])
