"""Trades to bars: of trades in memory, and of the partitions that ingest left."""

from typing import Any

import numpy as np
from pydantic import TypeAdapter

from benchmarks.ours.ingest import ingest, ingested, stored, versions
from services.bars.adapters.partitions import load_trades, scales_of
from services.bars.domain.build import close_bars
from services.bars.domain.rule import Rule, rule_of
from services.bars.domain.state import Bars, State, Trades
from tickloom.contracts.bars import BarSpec

__all__ = ["ingest", "ingested", "versions"]

_SPEC: TypeAdapter[Any] = TypeAdapter(BarSpec)

_trades: Trades | None = None


def load(columns: str) -> dict[str, float]:
    """Keep all trades in memory; leave their columns in the file `columns` for peers that do not read Parquet.

    Returns the mean quantity and the mean notional of a trade.
    """
    global _trades
    lake, days = stored()
    scales = scales_of(days)
    parts = [load_trades(lake, entry, scales) for entry in days]
    _trades = Trades(*(np.concatenate([getattr(part, name) for part in parts]) for name in Trades.__annotations__))
    price, quantity = _trades.price / 10 ** scales["price_scale"], _trades.quantity / 10 ** scales["quantity_scale"]
    np.savez(columns, id=_trades.ids, ts=_trades.ts, price=price, quantity=quantity, maker=_trades.side < 0)
    return {"quantity": float(quantity.mean()), "notional": float((price * quantity).mean())}


def _rules(specs: list[dict[str, Any]]) -> tuple[list[Rule], dict[str, int]]:
    scales = scales_of(stored()[1])
    rules = []
    for spec in specs:
        rules.append(rule_of(_SPEC.validate_python(spec), scales["price_scale"], scales["quantity_scale"]))
    return rules, scales


def _summary(several: list[Bars], left: State, scales: dict[str, int]) -> dict[str, Any]:
    """Return what tells one set of bars from another; the open bar is among them, as it is in the peers'."""
    sums = dict.fromkeys(("open", "high", "low", "close", "volume", "notional", "n_trades", "buy_volume"), 0)
    rest = left.open_bar()
    for name in sums:
        sums[name] += sum(int(bars.columns[name].sum()) for bars in several) + (rest[name] if rest else 0)
    price, quantity = 10 ** scales["price_scale"], 10 ** scales["quantity_scale"]
    unit = {"volume": quantity, "buy_volume": quantity, "notional": price * quantity, "n_trades": 1}
    n_bars = sum(bars.n_bars for bars in several) + (rest is not None)
    return {"n_bars": n_bars, **{name: value / unit.get(name, price) for name, value in sums.items()}}


def bars_in_memory(spec: dict[str, Any]) -> dict[str, Any]:
    """Build bars of the trades in memory."""
    assert _trades is not None
    (rule,), scales = _rules([spec])
    bars, left = close_bars(_trades, rule, State(), 0)
    return _summary([bars], left, scales)


def information_bars(spec: dict[str, Any], rows: int) -> int:
    """Build imbalance or run bars of the first trades in memory; return their number."""
    assert _trades is not None
    (rule,), _ = _rules([spec])
    return close_bars(_trades.cut(0, rows), rule, State(), 0)[0].n_bars


def bars_from_parquet(specs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Build bars by each spec from the day partitions: decoded once, checksums verified, state carried by day."""
    lake, days = stored()
    rules, scales = _rules(specs)
    states = [State() for _ in rules]
    several: list[list[Bars]] = [[] for _ in rules]
    for entry in days:
        trades = load_trades(lake, entry, scales)
        for i, rule in enumerate(rules):
            bars, states[i] = close_bars(trades, rule, states[i], 0)
            several[i].append(bars)
        del trades  # the stage holds one partition at a time too
    return [_summary(bars, left, scales) for bars, left in zip(several, states, strict=True)]
