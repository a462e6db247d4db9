"""The kinds of bars in words, as the report names them."""

from collections.abc import Mapping
from typing import Any

from services.viz.domain.words import plural

EXCESS = {"carry": "excess carried over", "split": "trades cut to size"}


def kind_text(spec: Mapping[str, Any]) -> str:
    """Return one spec of bars in words: `dollar bars, 50 a day, begun anew each day`."""
    kind = str(spec.get("kind") or "unnamed")
    parts = [_kind(kind, spec)]
    if (target := spec.get("target_bars_per_day")) is not None:
        parts.append(f"about {target:,} a day")
    if (excess := spec.get("excess")) in EXCESS:
        parts.append(EXCESS[excess])
    if spec.get("reset") == "daily":
        parts.append("begun anew each day")
    return ", ".join(parts)


def _kind(kind: str, spec: Mapping[str, Any]) -> str:
    measure, _, flow = kind.partition("_")
    match kind:
        case "time":
            return f"{spec['interval']} bars"
        case _ if flow in ("imbalance", "run"):
            return f"{measure} {flow} bars of about {plural(int(spec['expected_trades']), 'trade')}"
        case "range":
            return f"range bars of {grouped(spec['size'])}"
        case "renko":
            return f"Renko bars of {grouped(spec['size'])}"
        case "tick" | "volume" | "dollar" if spec.get("target_bars_per_day") is not None:
            return f"{kind} bars"
        case "tick":
            return f"tick bars of {plural(int(spec['threshold']), 'trade')}"
        case "volume" | "dollar":
            return f"{kind} bars of {grouped(spec['threshold'])}"
        case _:
            return f"{kind} bars"


def grouped(number: Any) -> str:
    """Return a decimal number with its thousands apart."""
    whole, _, rest = str(number).partition(".")
    return f"{int(whole):,}.{rest}" if rest else f"{int(whole):,}"
