"""A task on the terminal: a bar per stage with rows per second and the time left, redrawn in place."""

import sys
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

MARKS = {"SUCCESS": "[green]✓[/]", "FAILURE": "[red]✗[/]", "REVOKED": "[yellow]■[/]", "RETRY": "[yellow]↻[/]"}


class _Left(ProgressColumn):
    """The time left of a stage at work, as it was last told; the others have none."""

    def render(self, task: Task) -> Text:
        return Text(left(task.fields["seconds_left"]), style="progress.remaining")


class Bars:
    """A live display of statuses; where output is no terminal, a line whenever a stage changes its state."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)
        columns: list[str | ProgressColumn] = [
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.fields[mark]} {task.description:<9}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]:>14}"),
            _Left(),
            TextColumn("[dim]{task.fields[note]}[/]"),
        ]
        self._live = self.console.is_terminal
        self._progress = Progress(*columns, console=self.console, disable=not self._live)
        self._bars: dict[str, TaskID] = {}
        self._states: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, status: dict[str, Any]) -> None:
        """Draw a task's status."""
        for stage in status["stages"]:
            if self._live:
                self._draw(stage)
            if self._states.get(stage["stage"]) != stage["state"]:
                self._states[stage["stage"]] = stage["state"]
                if not self._live:
                    line = f"{stage['stage']}: {stage['state']} {note(stage)}".rstrip()
                    self.console.print(line, highlight=False, markup=False)

    def _draw(self, stage: dict[str, Any]) -> None:
        name, state = stage["stage"], stage["state"]
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=1.0, mark=" ", rate="", note="", seconds_left=None)
        bar = self._bars[name]
        self._progress.update(
            bar,
            completed=stage["progress"],
            mark=MARKS.get(state, " "),
            rate=rate(stage.get("rows_per_s")),
            note=escape(note(stage)),
            seconds_left=stage.get("seconds_left"),
        )


def rate(rows_per_s: float | None) -> str:
    """Return a throughput as people read it: `1.3 M rows/s`."""
    if not rows_per_s:
        return ""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rows_per_s >= size:
            return f"{rows_per_s / size:.1f} {letter} rows/s"
    return f"{rows_per_s:.0f} rows/s"


def left(seconds: float | None) -> str:
    """Return a time left as people read it: `45 s left`."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} left"
    return f"{seconds:.0f} s left"


def found(stage: dict[str, Any]) -> str:
    """Return how far a search is and the best trial so far, or an empty text."""
    trials, best = stage.get("trials"), stage.get("best")
    if not trials:
        return ""
    text = f"{trials['done']:,} of {trials['total']:,} trials"
    if not best:
        return text
    of = ", ".join(f"{name} {value:g}" for name, value in best["parameters"].items())
    return f"{text}, best {best['objective']} {best['value']:.3g} ({best['symbol']}{' ' if of else ''}{of})"


def note(stage: dict[str, Any]) -> str:
    """Return what there is to say beside a stage's bar."""
    if stage.get("cached"):
        return "found, nothing to do"
    if stage["state"] in ("RETRY", "FAILURE") and stage.get("error"):
        return str(stage["error"].get("detail", ""))[:100]
    if stage["state"] == "SUCCESS":
        rows = f"{stage['rows']:,} rows" if stage.get("rows") else ""
        return ", ".join(text for text in (rows, found(stage)) if text)
    attempt = f"attempt {stage['attempt']}" if stage.get("attempt", 0) > 1 else ""
    return " ".join(text for text in (attempt, found(stage) or str(stage.get("message", ""))[:60]) if text)
