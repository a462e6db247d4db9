"""Numbers, times and metrics in words: one way of writing each, and the reason where there is no number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

NOT_AVAILABLE = "n/a"
MINUS = "\N{MINUS SIGN}"

Unit = Literal["rate", "ratio", "money", "count", "days", "times"]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown. `good`: +1 more is better, -1 less is, 0 neither; `middle`: its neutral value."""

    name: str
    label: str
    unit: Unit
    good: int
    middle: float | None
    meaning: str
    undefined: str = "the backtest left it undefined"


CATALOGUE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("total_return", "Total return", "rate", 1, 0, "Last equity over initial cash, less 1."),
        Metric("cagr", "Annual return (CAGR)", "rate", 1, 0, "Growth at a constant yearly rate, year of 365 days.",
               "no time passed between first and last close, or the account was ruined, or the rate is beyond range"),
        Metric("sharpe_ratio", "Sharpe ratio", "ratio", 1, 0, "Mean over deviation of daily returns, × √365.",
               "it needs three UTC days or more, and returns that vary"),
        Metric("sortino_ratio", "Sortino ratio", "ratio", 1, 0, "Mean over downside deviation of days, × √365.",
               "it needs three UTC days or more, and a day with a loss"),
        Metric("calmar_ratio", "Calmar ratio", "ratio", 1, 0, "Annual return over the largest drawdown.",
               "it needs an annual return and a drawdown"),
        Metric("max_drawdown", "Max drawdown", "rate", 1, None, "Deepest fall of equity from its highest so far."),
        Metric("max_drawdown_duration", "Longest drawdown", "days", -1, None, "Longest time below an earlier peak."),
        Metric("win_rate", "Win rate", "rate", 1, 0.5, "Share of closed trades that made money after costs.",
               "no trade was closed"),
        Metric("profit_factor", "Profit factor", "ratio", 1, 1, "Sum of gains over sum of losses, of closed trades.",
               "no closed trade lost money, so there is nothing to divide by"),
        Metric("exposure", "Exposure", "rate", 0, None, "Share of time with an open position.",
               "no time passed between first and last close"),
        Metric("turnover", "Turnover", "times", 0, None, "Traded notional over mean equity.",
               "the mean equity was not above zero"),
        Metric("fees_paid", "Fees paid", "money", -1, None, "Commission on all fills, quote currency."),
        Metric("n_trades", "Trades", "count", 0, None, "Trades entered, an open one included."),
        Metric("final_equity", "Final equity", "money", 1, None, "Cash and position at the last close."),
        Metric("buy_and_hold_return", "Buy-and-hold return", "rate", 1, 0,
               "All cash in at the second bar's open, costs included, and never out."),
    )
}  # fmt: skip
"""Metric name -> how it is shown, in the order of the report."""


def inline(name: str) -> str:
    """Return a metric's label as it stands within a sentence."""
    label = CATALOGUE[name].label
    return label if label.startswith(("Sharpe", "Sortino", "Calmar")) else label[0].lower() + label[1:]


def why_undefined(name: str, n_trades: int | float | None = None) -> str:
    """Return why a metric has no value, as a clause to follow "n/a:"."""
    if n_trades == 0 and name in ("win_rate", "profit_factor", "sharpe_ratio", "sortino_ratio", "calmar_ratio"):
        return "there was no trade"
    return CATALOGUE[name].undefined if name in CATALOGUE else "not defined here"


def signed(value: float, places: int, *, plus: bool = False) -> str:
    """Return a number with thousands separators and a true minus sign; a value that rounds to 0 has no sign."""
    text = f"{abs(value):,.{places}f}"
    if not any(c in "123456789" for c in text):
        return text
    return (MINUS if value < 0 else "+" if plus else "") + text


def percent(value: float, *, plus: bool = False, places: int | None = None) -> str:
    """Return a fraction as a percentage: fewer decimals the larger it is."""
    shown = value * 100
    if places is None:
        places = 0 if abs(shown) >= 10_000 else 1 if abs(shown) >= 100 else 2
    return f"{signed(shown, places, plus=plus)}\N{THIN SPACE}%"


def show(name: str, value: int | float | None) -> str:
    """Return a metric's value as text; "n/a" for None."""
    if value is None:
        return NOT_AVAILABLE
    match CATALOGUE[name].unit:
        case "rate":
            return percent(value, plus=name in ("total_return", "cagr", "buy_and_hold_return"))
        case "ratio":
            return signed(value, 2)
        case "money":
            return signed(value, 2)
        case "days":
            return span(value)
        case "times":
            return signed(value, 1) + "\N{MULTIPLICATION SIGN}"
        case "count":
            return f"{value:,.0f}"


def span(days: float) -> str:
    """Return a duration in the unit that reads best."""
    seconds = days * 86_400
    for size, unit in ((86_400 * 2, "days"), (3_600 * 2, "hours"), (120, "minutes")):
        if seconds >= size:
            amount = seconds / {"days": 86_400, "hours": 3_600, "minutes": 60}[unit]
            return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"
    return f"{seconds:,.0f} seconds"


def size(n_bytes: int) -> str:
    """Return a number of bytes in words."""
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:,.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return "1 bar", "2 bars"."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def parameter(value: int | float | str | None) -> str:
    """Return a parameter's value as it was given."""
    return "none" if value is None else str(value)


def parameter_line(parameters: Mapping[str, int | float | str | None]) -> str:
    """Return "fast 5, slow 20"; "no parameters" without any."""
    return ", ".join(f"{name} {parameter(value)}" for name, value in parameters.items()) or "no parameters"
