"""Tasks, the calls that do them, and the rounds in which they are done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from benchmarks.processes import Sample

OURS = "tickloom"


@dataclass
class Task:
    """A task, its size in units for each contender, and the samples of each contender, one per round."""

    title: str
    about: str
    unit: str
    sizes: dict[str, int]
    fresh: bool = False
    """Whether each sample is a process of its own, so that its memory is of interest."""
    bytes_per_unit: float = 0.0
    """What ours takes on disk; 0: nothing is written."""
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def rate(self, name: str) -> float:
        """Return the median of units per CPU second."""
        return self.sizes[name] / median(sample.cpu_s for sample in self.samples[name])

    def rss_mb(self, name: str) -> float:
        """Return the most memory of any sample."""
        return max(sample.rss_mb for sample in self.samples[name])

    def ratios(self, name: str, cost: str = "cpu_s") -> list[float]:
        """Return, round by round, what a unit costs a contender over what it costs us in the same round."""
        pairs = zip(self.samples[name], self.samples[OURS], strict=True)
        scale = self.sizes[OURS] / self.sizes[name]
        return [getattr(theirs, cost) / getattr(ours, cost) * scale for theirs, ours in pairs]


@dataclass
class Work:
    """A task and, by contender, the call that does it once."""

    key: str
    task: Task
    runs: dict[str, Callable[[], Sample]]


def warm_up(works: list[Work]) -> None:
    """Do everything once, uncounted, but what is to start cold: the first call of all compiles."""
    for work in works:
        for run in [] if work.task.fresh else work.runs.values():
            run()


def measure(rounds: int, works: list[Work]) -> None:
    """Do the rounds; the samples are added to the tasks."""
    for number in range(rounds):
        for work in works:
            names = list(work.runs)
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                work.task.samples.setdefault(name, []).append(work.runs[name]())
            work.task.samples = {name: work.task.samples[name] for name in names}
        print(f"round {number + 1} of {rounds} done", flush=True)
