"""What a reader should know before believing a number, in plain words."""

from dataclasses import dataclass
from typing import Literal

from services.viz.domain.curve import curve_metrics, disagreements
from services.viz.domain.run import SymbolRun, Value
from services.viz.domain.words import CATALOGUE, inline, percent, plural, signed, span

FEW_TRADES = 30
SHORT_DAYS = 90
DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Caveat:
    """One thing to know. `weight`: error, the figures contradict each other; warning; note."""

    weight: Literal["error", "warning", "note"]
    title: str
    text: str


def caveats(run: SymbolRun, objective: str, initial_cash: float) -> list[Caveat]:
    """Return what to know of one symbol's result, the weightiest first."""
    found = [
        *_contradictions(run, initial_cash),
        *_undefined_objective(run, objective),
        *_untraded(run),
        *_few_trades(run),
        *_short(run),
        *_selection(run, objective),
        *_edges(run),
        *_benchmark(run),
        *_open_trade(run),
    ]
    return sorted(found, key=lambda caveat: ("error", "warning", "note").index(caveat.weight))


def _contradictions(run: SymbolRun, initial_cash: float) -> list[Caveat]:
    computed = curve_metrics(run.curve.ts, run.curve.equity, initial_cash)
    names = disagreements(run.metrics(), computed)
    if not names:
        return []
    labels = ", ".join(CATALOGUE[name].label for name in names)
    return [
        Caveat(
            "error",
            "The figures contradict each other",
            f"Computed again from the equity curve, these differ from the backtest's: {labels}. "
            "Do not rely on this report; run `tickloom verify`, then report the artifact id below.",
        )
    ]


def _undefined_objective(run: SymbolRun, objective: str) -> list[Caveat]:
    if run.metrics().get(objective) is not None or len(run.trials.combo) < 2:
        return []
    label = CATALOGUE[objective].label
    return [Caveat("warning", "No trial is best", f"{label} is undefined for every trial: the first one is shown.")]


def _untraded(run: SymbolRun) -> list[Caveat]:
    trades = run.trades
    n_fills, hit = int(trades.n_untraded.sum()), trades.n_untraded > 0
    if not n_fills:
        return []
    made, of = (signed(float(pnl.sum()), 2, plus=True) for pnl in (trades.pnl[hit], trades.pnl))
    text = (
        f"In {plural(n_fills, 'fill')} of the best trial the bar has no volume: its price was carried on, and nobody "
        f"could have had it. The {plural(int(hit.sum()), 'trade')} concerned made {made} of the {of} of all trades."
    )
    return [Caveat("warning", "Fills where nothing was traded", text)]


def _few_trades(run: SymbolRun) -> list[Caveat]:
    n_trades = len(run.trades.side)
    if n_trades == 0:
        return [Caveat("warning", "There was no trade", "The entry rule never fired, so equity stayed as it was.")]
    if n_trades >= FEW_TRADES:
        return []
    text = f"The best trial made {plural(n_trades, 'trade')}; below {FEW_TRADES} the ratios are mostly chance."
    return [Caveat("warning", "Few trades", text)]


def _short(run: SymbolRun) -> list[Caveat]:
    days = float(run.bars.ts_close[-1] - run.bars.ts_open[0]) / DAY_US
    if days >= SHORT_DAYS:
        return []
    text = f"The data span {span(days)}. Yearly figures carry it on to 365 days, which exaggerates."
    return [Caveat("warning", "A short stretch of time", text)]


def _selection(run: SymbolRun, objective: str) -> list[Caveat]:
    n_trials = len(run.trials.combo)
    if n_trials < 2 or run.metrics()[objective] is None:
        return []
    label = inline(objective)
    text = f"The trial shown is the best of {n_trials:,} by {label}, chosen on the same data that it is judged on."
    text += " What luck alone would find among so many is told under “Is it luck?”."
    return [Caveat("note", "Chosen with hindsight", text)]


def _edges(run: SymbolRun) -> list[Caveat]:
    at_edge = [f"{name} = {value}" for name, value in run.parameters().items() if _is_edge(run, name, value)]
    if not at_edge:
        return []
    text = f"The best trial has {' and '.join(at_edge)}, an end of the values tried: a better one may lie outside."
    return [Caveat("note", "At the edge of the grid", text)]


def _is_edge(run: SymbolRun, name: str, value: Value) -> bool:
    numbers = sorted({v for v in run.trials.parameters[name] if isinstance(v, int | float)})
    return len(numbers) >= 3 and value in (numbers[0], numbers[-1])


def _benchmark(run: SymbolRun) -> list[Caveat]:
    ours, held = run.metrics()["total_return"], run.metrics()["buy_and_hold_return"]
    if ours is None or held is None or ours >= held:
        return []
    text = f"Buying at the start and holding returned {percent(held, plus=True)}, this {percent(ours, plus=True)}."
    return [Caveat("note", "Behind buy-and-hold", text)]


def _open_trade(run: SymbolRun) -> list[Caveat]:
    if not run.trades.is_open.any():
        return []
    text = "The last trade is still open: it is valued at the last close, before any cost of leaving."
    return [Caveat("note", "An open position at the end", text)]
