"""Draw equity and drawdown as PNG files: one panel a symbol, the same bytes for the same run.

Every size, colour and font is said here, so that no matplotlibrc of the machine can change a picture.
"""

import math
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from matplotlib import rcParams, rcParamsDefault
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from services.viz.domain.run import SymbolRun
from services.viz.kernels.outline import outline

rcParams.update({k: v for k, v in rcParamsDefault.items() if not k.startswith(("backend", "interactive"))})
rcParams.update({"font.family": ["DejaVu Sans"], "text.parse_math": False, "timezone": "UTC"})

INK, QUIET, LINE = "#191c21", "#6c737d", "#e3e3dd"
OWN, OTHER, DOWN = "#2b5c91", "#9a9ea6", "#bf4037"
DPI = 144
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
    figure = Figure(figsize=(10, height), dpi=DPI, layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=11, fontweight="bold", color=INK, x=0.014, ha="left", wrap=True)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=0.14, h_pad=0.1)  # type: ignore[call-arg]
    panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for axes, run in zip(panels, symbols, strict=False):
        draw(axes, run)
        _dress(axes, run.symbol)
    for axes in panels[len(symbols) :]:
        axes.set_visible(False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


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
