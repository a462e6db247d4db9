"""What a symbol's bars hold in all, as exact text, and that it is what its trades held."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from typing import Any

from services.bars.domain.state import SUMS, State
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.errors import TickloomError


class NotConserved(TickloomError):
    """The bars do not hold what the trades held: nothing is published."""

    next_step = "this is a defect of ours: please report it with the request"

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]} of the source is {self.args[2]}, of its bars {self.args[3]}"


class NotContinued(TickloomError):
    """A partition's bars do not begin with what the one before left: nothing is published."""

    next_step = "this is a defect of ours: please report it with the request"

    def __str__(self) -> str:
        return f"{self.args[0]}: the bars of {self.args[1]} do not continue those before it"


def symbol_facts(
    symbol: str, scales: dict[str, int], entries: Sequence[FileEntry], parts: Sequence[Part], *, klines: bool
) -> dict[str, Any]:
    """Return the facts of a symbol's bars, built of these partitions. Raises NotConserved."""
    sums = added(part.facts["sums"] for part in parts)
    if klines:
        partial = parts[-1].facts["partial"]
        residual = added(part.facts["residual"] for part in parts)
        facts: dict[str, Any] = {"incomplete": sum(part.facts["incomplete"] for part in parts)}
    else:
        partial = State.from_json(parts[-1].facts["state"]).open_bar()
        residual = {name: partial[name] if partial else 0 for name in SUMS}
        guards = added(part.facts["guards"] for part in parts)
        facts = {"guards": guards} if guards else {}
    _check_conserved(symbol, scales, entries, added([sums, residual]), klines=klines)
    files = [entry for part in parts for entry in part.files]
    facts |= {"n_bars": sum(entry.rows or 0 for entry in files), **texts(sums, scales)}
    facts |= {"residual": texts(residual, scales), **scales}
    facts["partial"] = None if partial is None else {**texts(partial, scales), "is_partial": True}
    if files:
        facts |= {"first_ts": files[0].facts["first_ts"], "last_ts": files[-1].facts["last_ts"]}
    return facts


def _check_conserved(
    symbol: str, scales: dict[str, int], entries: Sequence[FileEntry], sums: dict[str, int], *, klines: bool
) -> None:
    """Hold the sums over bars and the open bar against what the download stage counted and added up.

    Of trades that is their number, volume and notional; of klines the sums of every decimal column that they have.
    """
    if not klines and sums["n_trades"] != (rows := sum(entry.rows or 0 for entry in entries)):
        raise NotConserved(symbol, "n_trades", str(rows), str(sums["n_trades"]))
    recorded = {name: name for name in SUMS[1:]} if klines else {"volume": "quantity", "notional": "notional"}
    for name, theirs in recorded.items():
        if name not in sums:
            continue
        with localcontext(prec=200):
            expected = sum((Decimal(entry.facts[theirs]) for entry in entries), Decimal(0))
        found = Decimal(texts({name: sums[name]}, scales)[name])
        if found != expected:
            raise NotConserved(symbol, name, str(expected), str(found))


def added(rows: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the sums of equal names."""
    total: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            total[name] = total.get(name, 0) + value
    return total


def texts(values: dict[str, int], scales: dict[str, int]) -> dict[str, Any]:
    """Return decimals as exact text, other integers as they are."""
    kinds = {"volume": "quantity_scale", "buy_volume": "quantity_scale"}
    kinds |= {"notional": "notional_scale", "buy_notional": "notional_scale"}
    kinds |= dict.fromkeys(("open", "high", "low", "close"), "price_scale")
    with localcontext(prec=200):
        return {
            name: format(Decimal(value).scaleb(-scales[kinds[name]]).normalize(), "f") if name in kinds else value
            for name, value in values.items()
        }


def threshold_text(kind: str, size: int, scales: dict[str, int]) -> str:
    """Return a threshold of tick, volume or dollar bars, given in units, as exact text."""
    scale = {"tick": 0, "volume": scales["quantity_scale"], "dollar": scales["price_scale"] + scales["quantity_scale"]}
    with localcontext(prec=200):
        return format(Decimal(size).scaleb(-scale[kind]).normalize(), "f")


def amount(entry: FileEntry, kind: str, scales: dict[str, int]) -> int:
    """Return what a partition's trades count in tick, volume or dollar bars, by the sums that the download recorded."""
    if kind == "tick":
        return entry.rows or 0
    with localcontext(prec=200):
        if kind == "volume":
            return int(Decimal(entry.facts["quantity"]).scaleb(scales["quantity_scale"]))
        return int(Decimal(entry.facts["notional"]).scaleb(scales["price_scale"] + scales["quantity_scale"]))
