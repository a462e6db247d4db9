"""Draw equity and drawdown as PNG files: one panel a symbol, the same bytes for the same run.

Every size, colour and font is said here, so that no matplotlibrc of the machine can change a picture.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import rcParams, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from services.viz.domain.account import name_of
from services.viz.domain.run import SymbolRun
from services.viz.kernels.outline import outline

rcParams.update({k: v for k, v in rcParamsDefault.items() if not k.startswith(("backend", "interactive"))})
rcParams.update({"font.family": ["DejaVu Sans"], "text.parse_math": False, "timezone": "UTC"})

INK, QUIET, LINE = "#191c21", "#6c737d", "#e3e3dd"
OWN, OTHER, DOWN = "#2b5c91", "#9a9ea6", "#bf4037"
DPI = 144
WIDTH = 10
"""Inches."""
TITLE: dict[str, Any] = {"fontsize": 11, "fontweight": "bold", "color": INK, "ha": "left", "va": "top"}
POINTS = 1_000
"""Groups of bars a panel's line is thinned out to: more than it has pixels across."""


def equity_picture(symbols: Sequence[SymbolRun], title: str) -> bytes:
    """Return a PNG of each symbol's equity against buy-and-hold."""
    return _picture(symbols, f"{title}: equity", _equity)


def drawdown_picture(symbols: Sequence[SymbolRun], title: str) -> bytes:
    """Return a PNG of each symbol's drawdown."""
    return _picture(symbols, f"{title}: drawdown", _drawdown)


def _money(value: float, _: int | None) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _equity(axes: Axes, run: SymbolRun) -> None:
    curve = run.curve
    for values, colour, label, width in (
        (curve.buy_and_hold, OTHER, "buy and hold", 1.1),
        (curve.equity, OWN, "best trial", 1.6),
    ):
        rows = outline(values, POINTS)
        axes.plot(_times(curve.ts[rows]), values[rows], color=colour, linewidth=width, label=label)
    axes.yaxis.set_major_formatter(FuncFormatter(_money))
    axes.legend(loc="upper left", frameon=False, fontsize=8, labelcolor=INK)


def _drawdown(axes: Axes, run: SymbolRun) -> None:
    curve = run.curve
    rows = outline(curve.drawdown, POINTS)
    times, values = _times(curve.ts[rows]), curve.drawdown[rows] * 100
    axes.fill_between(times, values, 0, color=DOWN, alpha=0.22, linewidth=0)
    axes.plot(times, values, color=DOWN, linewidth=1.1)
    axes.set_ylim(bottom=min(float(values.min()) * 1.08, -0.1), top=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g} %".replace("-", "\N{MINUS SIGN}")))


def _times(ts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return ts.astype("datetime64[us]")


def _picture(symbols: Sequence[SymbolRun], title: str, draw: Callable[[Axes, SymbolRun], None]) -> bytes:
    columns = 1 if len(symbols) <= 3 else 2 if len(symbols) <= 12 else 4
    rows = math.ceil(len(symbols) / columns)
    height = 4.4 if rows == 1 else 0.7 + 2.7 * rows
    lines = textwrap.wrap(title, 110) or [""]
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    figure.text(0.14 / WIDTH, 1 - 0.1 / height, "\n".join(lines), **TITLE)
    panels: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes, run in zip(panels, symbols, strict=False):
        draw(axes, run)
        _dress(axes, name_of(run))
    for axes in panels[len(symbols) :]:
        axes.set_visible(False)
    _place(figure, panels[: len(symbols)], rows, columns, 0.1 + 0.19 * len(lines))
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 2})
    return buffer.getvalue()


def _place(figure: Figure, panels: Sequence[Axes], rows: int, columns: int, above: float) -> None:
    """Leave room for what stands around the panels, in inches: matplotlib's own layout draws everything once more."""
    width, height = figure.get_size_inches()
    labels = [
        text for axes in panels for text in axes.yaxis.get_major_formatter().format_ticks(axes.get_yticks().tolist())
    ]
    beside, over, below, edge = min(0.2 + 0.068 * max(map(len, labels), default=0), 2.0), 0.28, 0.34, 0.14
    panel = (width - edge) / columns - beside, (height - above) / rows - over - below
    figure.subplots_adjust(
        left=beside / width, right=1 - edge / width, top=1 - (above + over) / height, bottom=below / height,
        wspace=beside / panel[0], hspace=(over + below) / panel[1],
    )  # fmt: skip


def _dress(axes: Axes, name: str) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_title(name, loc="left", fontsize=9, color=QUIET)
    axes.grid(visible=True, color=LINE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    axes.tick_params(colors=QUIET, labelsize=8, length=0)
    axes.xaxis.get_offset_text().set_color(QUIET)
    axes.xaxis.get_offset_text().set_fontsize(8)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
