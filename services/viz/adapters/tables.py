"""Write the run as tables for other programs: every trial as CSV, everything else as JSON."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import orjson

from services.viz.domain.cells import cell
from services.viz.domain.run import METRICS, Run, SymbolRun


def summary_csv(symbols: Sequence[SymbolRun]) -> bytes:
    """Return one row a trial: symbol, combo, parameters, metrics, and whether it is its symbol's best. UTF-8, CRLF.

    Undefined is an empty cell. Numbers have all their digits; text that a spreadsheet could run is made harmless.
    """
    names = list(dict.fromkeys(name for run in symbols for name in run.trials.parameters))
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([cell(name) for name in ("symbol", "combo", *names, *METRICS, "is_best")])
    for run in symbols:
        columns = [run.trials.parameters[name] for name in names] + [run.trials.metrics[name] for name in METRICS]
        for index, combo in enumerate(run.trials.combo):
            values = (run.symbol, combo, *(column[index] for column in columns), index == run.best)
            writer.writerow([cell(value) for value in values])
    return text.getvalue().encode()


def results_json(run: Run, title: str, benchmarks: Mapping[str, Mapping[str, float | None]]) -> bytes:
    """Return the chain of requests and ids, and per symbol the best trial and its metrics; undefined is null.

    benchmarks  symbol -> the metrics of buy-and-hold
    """
    value: dict[str, Any] = {
        "title": title,
        "lineage": [
            {"stage": step.stage, "id": step.id, "version": step.version, "request": step.request} for step in run.steps
        ],
        "symbols": {
            one.symbol: {
                "n_bars": len(one.bars.ts_close),
                "ts_first_open": int(one.bars.ts_open[0]),
                "ts_last_close": int(one.bars.ts_close[-1]),
                "n_trials": len(one.trials.combo),
                "best": {"combo": one.trials.combo[one.best], "parameters": one.parameters(), "metrics": one.metrics()},
                "buy_and_hold": benchmarks[one.symbol],
            }
            for one in run.symbols
        },
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
