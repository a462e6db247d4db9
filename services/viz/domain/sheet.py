"""The tear sheet before it has a form: every text and table of the report, ready to be set."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.viz.domain.account import account_assumptions, account_caveats, account_fields, name_of
from services.viz.domain.calendar import Year, day_text, monthly_returns
from services.viz.domain.caveats import Caveat, caveats
from services.viz.domain.certificate import certificates, overall, quality_caveats
from services.viz.domain.charts import sparkline
from services.viz.domain.costs import Costs, costs
from services.viz.domain.curve import curve_metrics
from services.viz.domain.inside import MODES, inside_caveats
from services.viz.domain.kinds import kind_text
from services.viz.domain.luck import luck
from services.viz.domain.market import market_caveats
from services.viz.domain.probe import probe_caveats
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
from tickloom.tries import Tries

Fields = dict[str, Any]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
RULES = (
    ("long_entry", "Buy when"),
    ("long_exit", "Sell when"),
    ("short_entry", "Sell short when"),
    ("short_exit", "Buy back when"),
)
IMPACTS = {
    "volume_share": "{factor:g} × (share of the bar's volume)²",
    "square_root": "{factor:g} × volatility × √(share of the bar's volume)",
}
FULL_SHADE = 0.10
"""The monthly return that is coloured in full."""


def title(run: Run, wanted: str) -> str:
    """Return the report's name: the wanted one, or the symbols, bars and days."""
    if wanted:
        return wanted
    return f"{_who(run)} on {_bars(run)}, {_days(run)}"


def _who(run: Run) -> str:
    names = [name_of(one) for one in run.symbols]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def sheet(run: Run, wanted_title: str, artifact_id: str) -> Fields:
    """Return the whole report as plain values for its template."""
    return {
        "title": title(run, wanted_title),
        "headline": wanted_title or _who(run),
        "id": artifact_id,
        "days": _days(run),
        "bars": _bars(run),
        "assumptions": assumptions(run.request("backtest")),
        "symbols": [_symbol(run, one, number) for number, one in enumerate(run.symbols)],
        "steps": [_step(step) for step in run.steps],
        "grade": overall(run.certificates),
        "certificates": certificates(run.certificates),
        "quality": quality(
            run.quality,
            run.step("download").facts.get("quality", {}),
            are_klines=run.request("download").get("data_type") == "klines",
            corrections=run.step("download").facts.get("corrections", {}),
        ),
        "months": MONTHS,
    }


def _bars(run: Run) -> str:
    return bars_text(run.request("bars"), run.request("features").get("bars"))


def bars_text(request: Mapping[str, Any], name: str | None = None) -> str:
    """Return the kind of bars in words: of the only ones, or of those chosen by name."""
    specs = request.get("specs", {})
    spec = request.get("spec") or specs.get(name or next(iter(specs), ""), {})
    return kind_text(spec)


def _days(run: Run) -> str:
    first = day_text(min(int(one.bars.ts_open[0]) for one in run.symbols))
    last = day_text(max(int(one.bars.ts_close[-1]) - 1 for one in run.symbols))
    return first if first == last else f"{first} to {last}"


def assumptions(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the backtest's money, costs and risk in words; what was not asked for is left out."""
    maker, impact, shared = request["maker_rate"], request["impact"], request.get("portfolio")
    lines: list[tuple[str, str | None]] = [
        ("Initial cash", f"{signed(request['initial_cash'], 2)} for {'all symbols' if shared else 'each symbol'}"),
        ("Commission", f"{percent(request['commission_rate'], places=3)} of every fill"),
        ("Maker commission", None if maker is None else f"{percent(maker, places=3)} at a limit that rested"),
        ("Slippage", f"{percent(request['slippage_rate'], places=3)} against each fill that takes"),
        (
            "Spread",
            f"{percent(request['spread_rate'], places=3)}, half of it a fill" if request["spread_rate"] else None,
        ),
        ("Impact", None if impact is None else IMPACTS[impact["kind"]].format(factor=impact["factor"])),
        ("Stop-loss", _stop_of(request.get("stop_loss")) or _from_entry(request["stop_loss_rate"]) or "none"),
        ("Take-profit", _from_entry(request["take_profit_rate"])),
        ("Trailing stop", _share(request["trailing_stop_rate"], "from the best price since the entry")),
        *(account_assumptions(shared) if shared else [("Size", _sizing(request["sizing"]))]),
        ("Lot step", None if request["lot_step"] is None else f"{request['lot_step']:g}"),
        ("Least notional", signed(request["min_notional"], 2) if request["min_notional"] else None),
        ("Leverage", f"{request['leverage']:g}\N{MULTIPLICATION SIGN}" if request["leverage"] != 1 else None),
        ("Liquidation", _share(request["maintenance_rate"], "of the notional is left as equity")),
        ("Entries", _entry(request["entry"])),
        ("Latency", _latency(request.get("latency_ms", 0))),
        ("Inside a bar", MODES[request["inside_bar"]] if _is_contested(request) else None),
        ("Best by", CATALOGUE[request["objective"]].label),
    ]
    return [(label, text) for label, text in lines if text is not None]


def _is_contested(request: Mapping[str, Any]) -> bool:
    """Return whether the order of prices inside a bar can matter by these rules."""
    both = request["take_profit_rate"] is not None or request["trailing_stop_rate"] is not None
    return both or request["inside_bar"] == "fills"


def _share(rate: float | None, what: str) -> str | None:
    return None if rate is None else f"{percent(rate)} {what}"


def _from_entry(rate: float | None) -> str | None:
    return _share(rate, "from the entry fill")


def _stop_of(stop: Mapping[str, Any] | None) -> str | None:
    if stop is None:
        return None
    return f"{stop['multiple']:g} \N{MULTIPLICATION SIGN} {stop['column']} of the signal's bar, from the entry fill"


def _sizing(sizing: Mapping[str, Any]) -> str:
    match sizing["kind"]:
        case "fixed_fraction":
            return f"{percent(sizing['fraction'])} of equity"
        case "fixed_notional":
            return f"{signed(sizing['notional'], 2)} each"
        case "volatility_target":
            return f"for a volatility of {percent(sizing['volatility'])} a year"
        case "risk_per_trade":
            return f"{percent(sizing['risk'])} of equity lost at the stop"
        case _:
            return "all cash"


def _latency(milliseconds: int) -> str | None:
    """Return how late signals are acted on."""
    if not milliseconds:
        return None
    return f"{milliseconds:,}\N{THIN SPACE}ms from a bar's close to the account"


def _entry(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "market":
        return "at the next bar's open"
    bars = plural(int(entry["bars"]), "bar")
    return f"by a limit {percent(entry['offset_rate'])} better than the close, for {bars}"


def _symbol(run: Run, one: SymbolRun, number: int) -> Fields:
    request = run.request("backtest")
    cash = float(request["initial_cash"])
    held = curve_metrics(one.curve.ts, one.curve.buy_and_hold, cash)
    total = one.metrics()["total_return"]
    parameters = one.parameters()
    return {
        "name": name_of(one),
        "account": account_fields(one.account, cash) if one.account else None,
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
        "costs": _costs(costs(one.trades), cash),
        "caveats": [
            *probe_caveats(run.probe),
            *_of_the_data(run, one),
            *(account_caveats(one.account) if one.account else []),
            *market_caveats(one, run.request("download").get("market", "spot")),
            *inside_caveats(_inside(run, one), one.symbol, one.metrics(), len(one.trades.side)),
            *caveats(one, request["objective"], cash),
        ],
        "luck": luck(one.luck, _earlier(run, one)),
    }


def _inside(run: Run, one: SymbolRun) -> Mapping[str, Any]:
    """Return the backtest's facts of what happened inside bars, and whether a guess would have chosen another trial."""
    facts = run.step("backtest").facts.get("inside_bar", {})
    told = facts.get("symbols", {}).get(one.symbol)
    if told is None:
        return {}
    another = told["best_by_guess"] != one.trials.combo[one.best]
    return {**facts, "symbols": {one.symbol: {**told, "chooses_another": another}}}


def _earlier(run: Run, one: SymbolRun) -> Tries:
    """Return what other searches tried on the same data; of many symbols, on the most searched of them."""
    if one.account:
        return max(run.earlier.values(), key=lambda tries: (tries.n, tries.variance), default=Tries())
    return run.earlier.get(one.symbol, Tries())


def _of_the_data(run: Run, one: SymbolRun) -> list[Caveat]:
    minimum = run.request("download").get("quality", {}).get("minimum")
    names = [str(part["symbol"]) for part in one.account.symbols] if one.account else [one.symbol]
    found = [(name, caveat) for name in names for caveat in quality_caveats(run.certificates, name, minimum)]
    if not one.account:
        return [caveat for _, caveat in found]
    return [replace(caveat, title=f"{name}: {caveat.title}") for name, caveat in found]


def _tone(value: float | None) -> str:
    """Return the class of a number's colour."""
    return "" if not value else "up" if value > 0 else "down"


def _rules(request: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    rules = []
    if strategy := request.get("strategy"):
        of = f" of {strategy['package']}" if strategy["package"] else ""
        rules.append(("Strategy", f"{strategy['name']}{of}, source {strategy['source'][:12]}"))
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
        row("Slippage, spread, impact", -spent.slippage),
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
