"""The tear sheet before it has a form: every text and table of the report, ready to be set."""

import json
from collections.abc import Mapping
from typing import Any

from services.viz.domain.calendar import Year, day_text, monthly_returns
from services.viz.domain.caveats import caveats
from services.viz.domain.charts import sparkline
from services.viz.domain.costs import Costs, costs
from services.viz.domain.curve import curve_metrics
from services.viz.domain.quality import quality
from services.viz.domain.run import METRICS, Run, Step, SymbolRun
from services.viz.domain.words import (
    CATALOGUE,
    NOT_AVAILABLE,
    parameter,
    parameter_line,
    percent,
    plural,
    show,
    signed,
    size,
    why_undefined,
)

Fields = dict[str, Any]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
RULES = (
    ("long_entry", "Buy when"),
    ("long_exit", "Sell when"),
    ("short_entry", "Sell short when"),
    ("short_exit", "Buy back when"),
)
FULL_SHADE = 0.10
"""The monthly return that is coloured in full."""


def title(run: Run, wanted: str) -> str:
    """Return the report's name: the wanted one, or the symbols, bars and days."""
    if wanted:
        return wanted
    return f"{_who(run)} on {bars_text(run.request('bars'))}, {_days(run)}"


def _who(run: Run) -> str:
    names = [one.symbol for one in run.symbols]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def sheet(run: Run, wanted_title: str, artifact_id: str) -> Fields:
    """Return the whole report as plain values for its template."""
    return {
        "title": title(run, wanted_title),
        "headline": wanted_title or _who(run),
        "id": artifact_id,
        "days": _days(run),
        "bars": bars_text(run.request("bars")),
        "assumptions": assumptions(run.request("backtest")),
        "symbols": [_symbol(run, one, number) for number, one in enumerate(run.symbols)],
        "steps": [_step(step) for step in run.steps],
        "quality": quality(
            run.quality,
            run.step("download").facts.get("quality", {}),
            are_klines=run.request("download").get("data_type") == "klines",
        ),
        "months": MONTHS,
    }


def bars_text(request: Mapping[str, Any]) -> str:
    """Return the kind of bars in words."""
    spec = request.get("spec", {})
    match spec.get("kind"):
        case "time":
            return f"{spec['interval']} bars"
        case "tick":
            return f"tick bars of {plural(int(spec['threshold']), 'trade')}"
        case "volume":
            return f"volume bars of {_grouped(spec['threshold'])}"
        case "dollar":
            return f"dollar bars of {_grouped(spec['threshold'])}"
        case kind:
            return f"{kind or 'unnamed'} bars"


def _grouped(number: Any) -> str:
    whole, _, rest = str(number).partition(".")
    return f"{int(whole):,}.{rest}" if rest else f"{int(whole):,}"


def _days(run: Run) -> str:
    first = day_text(min(int(one.bars.ts_open[0]) for one in run.symbols))
    last = day_text(max(int(one.bars.ts_close[-1]) - 1 for one in run.symbols))
    return first if first == last else f"{first} to {last}"


def assumptions(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the backtest's money, costs and risk in words."""
    sizing = request["sizing"]
    stop = request["stop_loss_rate"]
    return [
        ("Initial cash", f"{signed(request['initial_cash'], 2)} for each symbol"),
        ("Commission", f"{percent(request['commission_rate'], places=3)} of every fill"),
        ("Slippage", f"{percent(request['slippage_rate'], places=3)} against each fill"),
        ("Stop-loss", f"{percent(stop)} from the entry fill" if stop is not None else "none"),
        ("Size", "all cash" if sizing["kind"] == "full_capital" else f"{percent(sizing['fraction'])} of equity"),
        ("Fills", "at the next bar's open"),
        ("Best by", CATALOGUE[request["objective"]].label),
    ]


def _symbol(run: Run, one: SymbolRun, number: int) -> Fields:
    request = run.request("backtest")
    cash = float(request["initial_cash"])
    held = curve_metrics(one.curve.ts, one.curve.buy_and_hold, cash)
    total = one.metrics()["total_return"]
    parameters = one.parameters()
    return {
        "name": one.symbol,
        "key": f"s{number}",
        "spark": sparkline(one.curve.equity),
        "total": show("total_return", total),
        "tone": _tone(total),
        "parameters": [(name, parameter(value)) for name, value in parameters.items()],
        "parameter_line": parameter_line(parameters),
        "n_trials": len(one.trials.combo),
        "n_bars": len(one.bars.ts_close),
        "n_trades": len(one.trades.side),
        "n_parameters": len(parameters),
        "rules": _rules(run.request("signals"), parameters),
        "figures": _figures(one, held),
        "metrics": _metric_rows(one, held),
        "years": _years(one, cash),
        "costs": _costs(costs(one.trades, float(request["slippage_rate"])), cash),
        "caveats": caveats(one, request["objective"], cash),
    }


def _tone(value: float | None) -> str:
    """Return the class of a number's colour."""
    return "" if not value else "up" if value > 0 else "down"


def _rules(request: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    rules = []
    for field, label in RULES:
        text = request.get(field)
        if text:
            for name, value in parameters.items():
                text = text.replace(f"{{{name}}}", parameter(value))
            rules.append((label, text))
    return rules


def _figures(one: SymbolRun, held: Mapping[str, float | None]) -> list[Fields]:
    """Return the large numbers at the top, each with what to hold it against."""
    metrics = one.metrics()
    n_trades = metrics["n_trades"]

    def figure(name: str, below: str) -> Fields:
        value = metrics[name]
        return {
            "label": CATALOGUE[name].label,
            "value": show(name, value),
            "tone": _tone(value) if name in ("total_return", "cagr") else "",
            "why": why_undefined(name, n_trades) if value is None else "",
            "below": below,
        }

    return [
        figure("total_return", f"buy and hold {show('total_return', held['total_return'])}"),
        figure("cagr", f"buy and hold {show('cagr', held['cagr'])}"),
        figure("sharpe_ratio", f"Sortino {show('sortino_ratio', metrics['sortino_ratio'])}"),
        figure("max_drawdown", f"longest {show('max_drawdown_duration', metrics['max_drawdown_duration'])}"),
        figure("win_rate", f"profit factor {show('profit_factor', metrics['profit_factor'])}"),
        figure("n_trades", f"exposure {show('exposure', metrics['exposure'])}"),
    ]


def _metric_rows(one: SymbolRun, held: Mapping[str, float | None]) -> list[Fields]:
    metrics = one.metrics()
    rows = []
    for name in METRICS:
        if name == "buy_and_hold_return":
            continue
        value, other = metrics[name], held.get(name)
        rows.append(
            {
                "label": CATALOGUE[name].label,
                "meaning": CATALOGUE[name].meaning,
                "value": show(name, value),
                "why": why_undefined(name, metrics["n_trades"]) if value is None else "",
                "held": show(name, other) if name in held else "",
                "held_why": why_undefined(name) if other is None and name in held else "",
            }
        )
    return rows


def _years(one: SymbolRun, cash: float) -> list[Fields]:
    ours = monthly_returns(one.curve.ts, one.curve.equity, cash)
    held = monthly_returns(one.curve.ts, one.curve.buy_and_hold, cash)
    return [_year(a, b) for a, b in zip(ours, held, strict=True)]


def _year(ours: Year, held: Year) -> Fields:
    pairs = zip((*ours.months, ours.total), (*held.months, held.total), strict=True)
    return {"year": ours.year, "cells": [_month(mine, other) for mine, other in pairs]}


def _month(value: float | None, held: float | None) -> Fields:
    if value is None:
        return {"text": "", "tone": "", "shade": 0, "hint": "no bar closed in this month"}
    hint = f"buy and hold {percent(held, plus=True)}" if held is not None else ""
    shade = round(min(abs(value) / FULL_SHADE, 1.0) * 100)
    return {"text": signed(value * 100, 1), "tone": _tone(value), "shade": shade, "hint": hint}


def _costs(spent: Costs, cash: float) -> list[Fields]:
    def row(label: str, value: float, strong: bool = False) -> Fields:
        return {"label": label, "value": signed(value, 2), "rate": percent(value / cash, plus=True), "strong": strong}

    share, rate = spent.share_of_gross, spent.per_notional
    rows = [
        row("Result before costs", spent.gross),
        row("Commission", -spent.commission),
        row("Slippage", -spent.slippage),
        row("Result", spent.net, strong=True),
    ]
    plain = [
        ("Notional traded", signed(spent.notional, 2)),
        ("Cost per notional", percent(rate, places=3) if rate is not None else NOT_AVAILABLE),
        ("Costs, of the gain before them", percent(share) if share is not None else NOT_AVAILABLE),
    ]
    return [*rows, *({"label": a, "value": b, "rate": "", "strong": False} for a, b in plain)]


def _step(step: Step) -> Fields:
    parts = [plural(step.n_files, "file"), size(step.n_bytes)]
    if step.n_rows:
        parts.insert(1, plural(step.n_rows, "row"))
    return {
        "stage": step.stage,
        "id": step.id,
        "version": step.version,
        "made": ", ".join(parts),
        "request": json.dumps(step.request, indent=2, sort_keys=True, ensure_ascii=False),
    }
