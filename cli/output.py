"""What a command prints and how it ends: JSON or tables, errors that say what to do next, exit codes."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from tickloom.errors import TickloomError, Unavailable

if TYPE_CHECKING:
    from rich.console import Console

OK, FAILED, BAD_REQUEST, UNREACHABLE, NOT_FOUND, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = """
Exit codes: 0 all is well · 1 the run failed, or damage was found · 2 wrong usage, or a request that was refused ·
3 the system cannot be reached or started · 4 there is nothing under that id · 130 interrupted.
"""


def exit_code(error: TickloomError) -> int:
    """Return the code that a command ends with after this error."""
    if hasattr(error, "task"):  # tickloom.client.RunFailed, which is dear to import
        return FAILED
    if isinstance(error, Unavailable) or error.status >= 500:
        return UNREACHABLE
    return NOT_FOUND if error.status == 404 else BAD_REQUEST


def print_error(error: TickloomError, *, as_json: bool) -> None:
    """Tell on stderr what went wrong, with which thing, and what to do next."""
    problem = error.problem()
    if as_json:
        print(json.dumps(problem), file=sys.stderr)
        return
    from rich.markup import escape

    out = console(stderr=True)
    out.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
    if step := problem.get("next"):
        out.print(f"[bold]next:[/]  {escape(str(step))}", soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """Print a value for scripts, on stdout."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def console(*, stderr: bool = False) -> "Console":
    """Return where to write for people."""
    from rich.console import Console

    drawn = Console(stderr=stderr)
    if not drawn.is_terminal and "COLUMNS" not in os.environ:
        drawn.width = 160  # a file or a pipe has no width: do not fold ids for its sake
    return drawn


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table of plain text; columns named with a leading > are set to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        name = column.removeprefix(">")
        justify: Literal["left", "right"] = "left" if name == column else "right"
        drawn.add_column(name, overflow="fold", justify=justify, no_wrap=name == "task")
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    console().print(drawn)


def number(value: Any, kind: str = "") -> str:
    """Return a figure as people read it: `rate` as a percentage, floats with two places, nothing as a dash."""
    if value is None:
        return "–"
    if kind == "rate":
        return f"{value:+.2%}"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def size(n_bytes: int) -> str:
    """Return a number of bytes as people read it."""
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float) -> str:
    """Return a length of time as people read it."""
    for unit, length in (("s", 120), ("min", 120), ("h", 48)):
        if seconds < length:
            return f"{seconds:.1f} {unit}"
        seconds /= 24 if unit == "h" else 60
    return f"{seconds:.1f} days"
