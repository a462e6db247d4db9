"""`python -m benchmarks.agreement`: the same signals through every engine, trade by trade.

The market is real: BTCUSDT, 15 minutes, 2023, and the 64 masks of configs/sma-grid-15m.yaml, with and without its stop.
Each engine trades them; then semantics.walk, with the engine's switches set, has to make the same trades, all of them,
or the run stops. Beside it there are examples of a few bars, one for each switch. What came of it is kept in
agreement.json, which the tests hold ours and docs/how-we-compare.md against.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.compare import Disagreement
from benchmarks.examples import EXAMPLES
from benchmarks.processes import Contender, contender, install
from benchmarks.semantics import Bars, Costs, Semantics, Trade, walk
from services.backtest.domain.latency import masks_of
from services.backtest.kernels.types import Signal
from services.features.kernels.ema import ema
from services.features.kernels.rolling import sma
from services.signals.domain.rules import Rules
from tickloom.contracts.signals import SignalsRequest
from tickloom.rules.grid import combinations

HERE = Path(__file__).resolve().parent
KLINES = Path("klines") / "binance_spot" / "BTC_USDT-15m-2023.feather"
FAST, SLOW = [5, 8, 10, 12, 15, 20, 25, 30], [40, 50, 60, 80, 100, 120, 150, 200]
STOPS = {"2 % stop": (0.02, 0.0), "2 % stop, 4 % target": (0.02, 0.04), "no stop": (0.0, 0.0)}
COSTS = {"initial_cash": 10_000.0, "commission_rate": 0.001}
SLIPPAGE = 0.0005
TOLERANCE = 1e-12
"""Of prices, relative: engines multiply in different orders."""


@dataclass(frozen=True)
class Run:
    """An engine, set up in one way, and what that way differs in from ours."""

    name: str
    module: str
    semantics: Semantics
    setup: dict[str, Any] = field(default_factory=dict)
    every: int = 1
    """Of how many masks it trades one: a year takes some engines seconds."""

    def rule(self, stop: float, target: float = 0.0, slippage: float = SLIPPAGE) -> dict[str, Any]:
        """Return what the engine is told; stop and target by their distances, 0 without."""
        rates = {"slippage_rate": slippage, "stop_loss_rate": stop, "take_profit_rate": target}
        return COSTS | rates | self.setup

    def costs(self, stop: float, target: float = 0.0, slippage: float = SLIPPAGE) -> Costs:
        """Return the same for the walk."""
        return Costs(self.rule(stop, target, slippage)["slippage_rate"], stop, target)


_TICKS = {"slippage_rate": 0.0, "from_ticks": True}
_BARS = {"slippage_rate": 0.0, "from_ticks": False}
_NAUTILUS = Semantics(
    decimals=2,
    stop_gap_fills_at="stop",
    target_gap_fills_at="target",
    target_before_stop=True,
    touch_fills_target=True,
)
_BACKTESTING = Semantics(exit_slips=False, touch_fills_target=True)
_BACKTRADER = Semantics(watches_entry_bar=False, touch_fills_target=True)
_VECTORBT = Semantics(watches_entry_bar=False, stop_before_signal=True, touch_fills_target=True, target_slips=True)

RUNS = (
    Run("tickloom", "ours.grid", Semantics()),
    Run("backtesting.py, stop below the fill", "peers.with_backtesting", _BACKTESTING, {"stop_from": "fill"}),
    Run(
        "backtesting.py, stop below the close",
        "peers.with_backtesting",
        _BACKTESTING._replace(stop_from="close"),
        {"stop_from": "close"},
    ),
    Run("backtrader", "peers.with_backtrader", _BACKTRADER, every=4),
    Run("vectorbt", "peers.with_vectorbt", _VECTORBT),
    Run("NautilusTrader, bars", "peers.with_nautilus_trader", _NAUTILUS._replace(fills_at="close"), _BARS, 4),
    Run("NautilusTrader, five trades a bar", "peers.with_nautilus_trader", _NAUTILUS, _TICKS, 4),
)


def real_market(data: Path) -> dict[str, Any]:
    """Return open, high, low, close, ts_close (n_bars,) and masks (64, n_bars) of the real year."""
    frame = pd.read_feather(data / KLINES)
    bars = {name: frame[name].to_numpy(np.float64) for name in ("open", "high", "low", "close")}
    ts_open = frame["date"].astype("datetime64[us, UTC]").astype(np.int64).to_numpy()
    request = SignalsRequest.model_validate(
        {
            "long_entry": "sma_{fast} > sma_{slow} AND close > ema_200 AND (sma_{fast} - sma_{slow}) / close >= 0.001",
            "long_exit": "sma_{fast} < sma_{slow}",
            "parameters": {"fast": FAST, "slow": SLOW},
        }
    )
    close = bars["close"]
    columns = {"close": close, "ema_200": ema(close, 200)} | {f"sma_{n}": sma(close, n) for n in FAST + SLOW}
    found = Rules.of(request).changes(combinations(request.parameters), columns, close.size)
    masks = [masks_of(Signal(*changes), close.size) for changes in found]
    return bars | {"ts_close": ts_open + 900_000_000, "masks": np.array(masks)}


def rows(market: dict[str, Any]) -> Bars:
    """Return the bars of a market as tuples."""
    return list(zip(*(market[name].tolist() for name in ("open", "high", "low", "close")), strict=True))


def made(found: Iterable[dict[str, list[Any]]]) -> list[list[Trade]]:
    """Return what an engine answered, as trades."""
    return [[Trade(*row) for row in zip(*(one[name] for name in Trade._fields), strict=True)] for one in found]


def digest(trades: Iterable[Trade]) -> str:
    """Return a short hash of when trades begin and end."""
    times = np.array([(trade.entry_bar, trade.exit_bar) for trade in trades], "<i8")
    return hashlib.sha256(times.tobytes()).hexdigest()[:10]


def record(by_mask: list[list[Trade]]) -> dict[str, Any]:
    """Return what is kept of the trades: by mask their number and the hash of their times; the sums of prices."""
    everyone = [trade for trades in by_mask for trade in trades]
    return {
        "n_trades": [len(trades) for trades in by_mask],
        "times": [digest(trades) for trades in by_mask],
        "entry_prices": sum(trade.entry_price for trade in everyone),
        "exit_prices": sum(trade.exit_price for trade in everyone),
    }


def explain(name: str, found: list[list[Trade]], walked: list[list[Trade]]) -> None:
    """Raise Disagreement unless an engine made the trades of the walk, to the bar and to the price."""
    for k, (theirs, explained) in enumerate(zip(found, walked, strict=True)):
        for a, b in zip(theirs, explained, strict=False):
            apart = max(abs(a.entry_price / b.entry_price - 1), abs(a.exit_price / b.exit_price - 1))
            if a[:2] != b[:2] or apart > TOLERANCE:
                raise Disagreement(f"{name}, mask {k}: made {a}, and its semantics say {b}")
        if len(theirs) != len(explained):
            raise Disagreement(f"{name}, mask {k}: made {len(theirs)} trades, and its semantics say {len(explained)}")


def apart(found: list[list[Trade]], ours: list[list[Trade]]) -> dict[str, int]:
    """Return how many of our trades an engine did not make at the same times, and how many at other prices only."""
    times = prices = 0
    for theirs, trades in zip(found, ours, strict=True):
        known = {trade[:2]: trade for trade in theirs}
        same = [(trade, known[trade[:2]]) for trade in trades if trade[:2] in known]
        times += len(trades) - len(same)
        prices += sum(any(abs(x / y - 1) > TOLERANCE for x, y in zip(a[2:], b[2:], strict=True)) for a, b in same)
    return {"times": times, "prices": prices}


def walked(market: dict[str, Any], costs: Costs, does: Semantics) -> list[list[Trade]]:
    """Return the walk's trades of every mask."""
    bars = rows(market)
    return [walk(bars, mask.tolist(), costs, does) for mask in market["masks"]]


def examples(engine: Contender, run: Run, folder: Path) -> dict[str, Any]:
    """Let an engine trade the examples; return its trades. Raises Disagreement."""
    found = {}
    for name, example in EXAMPLES.items():
        path = folder / "example.npz"
        market = example.market()
        np.savez(path, **market)
        rates = (example.stop_loss_rate, example.take_profit_rate, example.slippage_rate)
        rule = run.rule(*rates)
        theirs = made(engine.call("trades", market=str(path), rule=rule)["result"])
        explain(f"{run.name}, example {name}", theirs, walked(market, run.costs(*rates), run.semantics))
        found[name] = theirs[0]
    return found


def measure(run: Run, market: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Let one engine trade everything; return what is kept of it. Raises Disagreement."""
    path, market = folder / "market.npz", market | {"masks": market["masks"][:: run.every]}
    np.savez(path, **market)
    with contender(run.module) as engine:
        kept: dict[str, Any] = {"versions": engine.call("versions")["result"]}
        kept["examples"] = examples(engine, run, folder)
        for name, rates in STOPS.items():
            print(f"{run.name}, {name}", flush=True)
            found = made(engine.call("trades", market=str(path), rule=run.rule(*rates))["result"])
            costs = run.costs(*rates)
            explain(f"{run.name}, {name}", found, walked(market, costs, run.semantics))
            kept[name] = record(found) | switches(market, costs, run.semantics)
    return kept


def switches(market: dict[str, Any], costs: Costs, does: Semantics) -> dict[str, Any]:
    """Return how many of our trades an engine makes otherwise, in all and by each of its switches alone."""
    ours, plain = walked(market, costs, Semantics()), Semantics()
    alone = {name: value for name, value in does._asdict().items() if value != getattr(plain, name)}
    counted = {name: apart(walked(market, costs, plain._replace(**{name: alone[name]})), ours) for name in alone}
    return {"ours": sum(map(len, ours)), "apart": apart(walked(market, costs, does), ours), "by": counted}


WORDS = {
    "watches_entry_bar": "no stop in the bar of the entry",
    "stop_before_signal": "a stop beats the signal at the open",
    "stop_from": "stop below the close of the signal",
    "fills_at": "fills at the close",
    "exit_slips": "exits without slippage",
    "decimals": "stops in whole cents",
    "stop_gap_fills_at": "a stop fills at its price across a gap",
    "target_gap_fills_at": "a target fills at its price across a gap",
    "touch_fills_target": "a touch fills the target",
    "target_before_stop": "the target before the stop",
    "target_slips": "a target slips",
}
"""What the switches of Semantics say."""


def table(kept: dict[str, Any]) -> list[str]:
    """Return the table of docs/how-we-compare.md, as lines of Markdown."""
    lines = [
        "| engine | combinations | stop | its trades | ours | at other times | at other prices | because |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in RUNS[1:]:
        for stop in STOPS:
            of = kept[run.name][stop]
            why = [
                f"{WORDS[switch]}: {', '.join(f'{n:,} {what}' for what, n in counts.items() if n)}"
                for switch, counts in of["by"].items()
                if any(counts.values())
            ]
            numbers = [sum(of["n_trades"]), of["ours"], of["apart"]["times"], of["apart"]["prices"]]
            cells = [
                run.name,
                str(len(of["n_trades"])),
                stop,
                *(f"{n:,}" for n in numbers),
                "; ".join(why) or "nothing differs",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def example_table(kept: dict[str, Any]) -> list[str]:
    """Return the table of the examples: how each engine's trades end."""
    lines = [f"| | {' | '.join(run.name for run in RUNS)} |", "|---" * (len(RUNS) + 1) + "|"]
    for name, example in EXAMPLES.items():
        ends = [
            "; ".join(f"bar {trade[1]} at {trade[3]:.6g}" for trade in kept[run.name]["examples"][name]) for run in RUNS
        ]
        cells = [end if end == ends[0] else f"**{end}**" for end in ends]
        lines.append(f"| *{name}*: {example.about} | {' | '.join(cells)} |")
    return lines


def text(kept: dict[str, Any]) -> str:
    """Return what is kept as JSON, a line a list."""
    whole = json.dumps(kept, indent=1)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: " ".join(found[0].split()), whole) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Run everything; write agreement.json, and print the tables of docs/how-we-compare.md."""
    parser = argparse.ArgumentParser("python -m benchmarks.agreement", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data", help="the real data")
    parser.add_argument("--only", help="run the engines whose names begin so, and keep what there is of the others")
    options = parser.parse_args(arguments)
    market, output = real_market(options.data), HERE / "agreement.json"
    kept = json.loads(output.read_text()) if options.only else {}
    with TemporaryDirectory() as name:
        for run in RUNS:
            if not run.name.startswith(options.only or ""):
                continue
            if run.module.startswith("peers.") and (why := install(run.module.rpartition("with_")[2])):
                raise SystemExit(f"{run.name} could not be installed: {why}")
            kept[run.name] = measure(run, market, Path(name))
            output.write_text(text({run.name: kept[run.name] for run in RUNS if run.name in kept}))
    if all(run.name in kept for run in RUNS):
        print("\n".join([*table(kept), "", *example_table(kept)]))


if __name__ == "__main__":
    main()
