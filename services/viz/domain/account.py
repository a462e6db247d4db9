"""One account of many symbols in the report: exposure over time, what each symbol brought, which limits fired."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.viz.domain.calendar import day_text
from services.viz.domain.caveats import Caveat
from services.viz.domain.run import Account, SymbolRun
from services.viz.domain.words import percent, plural, signed
from services.viz.kernels.outline import outline
from tickloom.kernel import F64

Fields = dict[str, Any]
POINTS = 400
"""Groups of closes that a line is thinned out to."""

LIMITS = {
    "max_weight": "One symbol's weight was cut to its limit",
    "min_holdings": "A weight was cut to what the least number of holdings leaves each",
    "max_gross": "All weights were cut to the gross exposure allowed",
    "max_net": "Longs or shorts were cut to the net exposure allowed",
    "max_gross_at_fill": "At the open, gaps and costs left less room than was ordered",
    "max_net_at_fill": "At the open, the net exposure left less room than was ordered",
    "max_drawdown": "Halt: the drawdown allowed was reached, everything was sold",
    "max_daily_loss": "Halt: the loss of a day was reached, everything was sold",
    "margin_call": "Margin call or liquidation: everything was sold for good",
    "resumed": "A halt was over",
}
ON_SIGNAL = {"all": "all symbols when a signal changes", "changed": "a symbol when its signal changes", "none": ""}


def name_of(run: SymbolRun) -> str:
    """Return what a run is called: its symbol, or how many share its account."""
    return f"{plural(len(run.account.symbols), 'symbol')} on one account" if run.account else run.symbol


def account_fields(account: Account, initial_cash: float) -> Fields:
    """Return the account's section: a picture of its exposure, a row a symbol, a row a limit."""
    rows = sorted(account.symbols, key=lambda one: -float(one["pnl"]))
    largest = max((abs(float(one["pnl"])) for one in rows), default=0.0) or 1.0
    held = account.n_held
    return {
        "exposure": _exposure(account),
        "held": f"{held.min()} to {held.max()} symbols held, {held.mean():.1f} on average",
        "symbols": [
            {
                "symbol": one["symbol"],
                "pnl": signed(one["pnl"], 2),
                "rate": percent(one["pnl"] / initial_cash, plus=True),
                "tone": "up" if one["pnl"] > 0 else "down" if one["pnl"] < 0 else "",
                "width": round(abs(one["pnl"]) / largest * 100),
                "fees": signed(one["fees"], 2),
                "trades": f"{one['n_trades']:,}",
                "fills": f"{one['n_fills']:,}",
                "held": percent(one["held"]),
            }
            for one in rows
        ],
        "limits": [
            {
                "text": LIMITS.get(one["limit"], one["limit"]),
                "n": f"{one['n']:,}",
                "first": day_text(one["first_ts"] - 1),
                "last": day_text(one["last_ts"] - 1),
            }
            for one in account.limits
        ],
    }


def _exposure(account: Account) -> Fields:
    """Return gross and net exposure as polylines in a box of 1000 x 240, and the scale's ends in words."""
    low = min(float(account.net.min()), 0.0)
    high = max(float(account.gross.max()), 1e-9)
    first, span = int(account.ts[0]), max(int(account.ts[-1] - account.ts[0]), 1)

    def points(values: F64) -> str:
        rows = outline(values, POINTS)
        across = (account.ts[rows] - first) / span * 1000
        down = (high - values[rows]) / (high - low) * 240
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across.tolist(), down.tolist(), strict=True))

    return {
        "lines": [
            {"name": "gross", "label": "gross exposure", "points": points(account.gross)},
            {"name": "net", "label": "net exposure", "points": points(account.net)},
        ],
        "zero": f"{high / (high - low) * 240:.1f}",
        "high": percent(high),
        "low": percent(low),
        "first": day_text(first - 1),
        "last": day_text(int(account.ts[-1]) - 1),
    }


def account_caveats(account: Account) -> list[Caveat]:
    """Return what to know of a result over symbols that somebody has chosen."""
    n = len(account.symbols)
    text = (
        f"Who named these {plural(n, 'symbol')} knew which would still be traded at the end. Those that were listed at "
        "the start and are gone are not among them, and neither are their losses: a basket chosen later gains by that."
    )
    return [Caveat("warning", "Symbols chosen with hindsight", text)] if n > 1 else []


def basket(values: F64) -> tuple[F64, F64, F64]:
    """Return open, high and low of bars that close at `values`: each opens where the one before closed."""
    opened = np.concatenate([values[:1], values[:-1]])
    return opened, np.maximum(opened, values), np.minimum(opened, values)


def account_assumptions(portfolio: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return how the account was spread and held back, in words; None is not asked for."""
    weights, rebalance, limits = portfolio["weights"], portfolio["rebalance"], portfolio["limits"]
    return [
        ("Weights", _weights(weights)),
        ("Made right", _occasions(rebalance)),
        ("Largest weight", _rate(limits["max_weight"])),
        ("Gross exposure", _rate(limits["max_gross"], "at most ")),
        ("Net exposure", _rate(limits["max_net"], "at most ")),
        ("Diversification", None if limits["min_holdings"] == 1 else f"room for {limits['min_holdings']} at least"),
        ("Drawdown halt", _rate(limits["max_drawdown"], "at ")),
        ("Daily loss limit", _rate(limits["max_daily_loss"])),
        ("Cool-down", limits["cooldown"]),
    ]


def _weights(weights: Mapping[str, Any]) -> str:
    match weights["kind"]:
        case "volatility_target":
            return f"each for a volatility of {percent(weights['volatility'])} a year, over the number of symbols"
        case "inverse_volatility":
            return f"{percent(weights['exposure'])} in proportion to 1 / volatility"
        case _:
            return f"{percent(weights['exposure'])} in equal parts"


def _occasions(rebalance: Mapping[str, Any]) -> str:
    found: Sequence[str] = (
        ON_SIGNAL[rebalance["on_signal"]],
        f"every {rebalance['every']}" if rebalance["every"] else "",
        f"when a weight is {percent(rebalance['threshold'])} off" if rebalance["threshold"] else "",
    )
    return ", ".join(part for part in found if part)


def _rate(value: float | None, before: str = "") -> str | None:
    return None if value is None else f"{before}{percent(value)}"
