"""Set the report: one HTML file that carries its style, its scripts and its data, and asks nobody for anything.

What comes from outside (titles, symbols, rules) reaches the page escaped by Jinja, or as JSON in which no character
can end the element that holds it. Only the script with this very hash may run.
"""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.viz.domain.words import CATALOGUE, inline

ASSETS = Path(__file__).parent / "assets"
LIBRARY = "lightweight-charts.standalone.production.js"
OURS = ("words.js", "chart.js", "grid.js", "page.js")
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def render(sheet: dict[str, Any], symbols: list[dict[str, Any]], objective: str) -> bytes:
    """Return the report's HTML, UTF-8. Equal arguments give equal bytes.

    sheet      what `services.viz.domain.sheet` returns
    symbols    what `services.viz.domain.charts.chart_data` returns, in the sheet's order
    objective  the metric by which the best trial was chosen
    """
    data = {"symbols": symbols, "objective": objective, "metrics": {name: _metric(name) for name in CATALOGUE}}
    page: str = _template().render(
        sheet=sheet,
        css=_asset("report.css"),
        script=script(),
        script_hash=f"'sha256-{_csp_hash(script())}'",
        data=embedded_json(data),
    )
    return page.encode()


def embedded_json(value: Any) -> str:
    """Return JSON that can stand inside an HTML element: '<', '>', '&' and line separators are escaped."""
    return orjson.dumps(value).decode().translate(_ESCAPES)


@lru_cache(maxsize=1)
def script() -> str:
    """Return the page's one script: the chart library as published, then ours in a scope of its own."""
    ours = "\n".join(_asset(name) for name in OURS)
    text = f"{_asset(LIBRARY)}\n(() => {{\n{ours}\n}})();\n"
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("a script that is set into a page cannot hold '</script' or '<!--'")
    return text


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


@lru_cache(maxsize=16)
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _metric(name: str) -> dict[str, Any]:
    metric = CATALOGUE[name]
    return {
        "label": metric.label,
        "inline": inline(name),
        "unit": metric.unit,
        "good": metric.good,
        "middle": metric.middle,
        "undefined": metric.undefined,
    }
