"""Whether the market was ever at the price of a fill, which no comparison of two runs can tell."""

from collections.abc import Iterator
from typing import Any

from cli.lookahead.account import is_shared, too_good
from cli.lookahead.chain import Made
from cli.lookahead.compare import Leak, events_of
from cli.lookahead.cuts import Cut
from tickloom.lake import floats


def unreached(made: Made) -> Iterator[Leak]:
    """Yield the first fill of each account that is better than its bar allows.

    Costs only make a fill worse. So what is bought costs at least the bar's low, and at the open at least the open;
    what is sold brings at most the high, and at the open at most the open.
    """
    if is_shared(made):
        yield from _of_account(made)
        return
    for fills in made.fills:
        features = made.stages["features"].file(f"{fills.symbol}.parquet")
        assert features is not None
        table = made.lake.read_table(features, ["open", "high", "low"])
        bars = {name: floats(table[name]) for name in table.column_names}
        for row, event in enumerate(events_of(made, fills.symbol, fills.trades).to_pylist()):
            text = _too_good(event, {name: float(values[event["bar"]]) for name, values in bars.items()})
            if text:
                name, column = f"{fills.symbol} combination {fills.combo}", f"{event['event']}_price"
                at = event["published"]
                yield Leak("fills", name, column, row, at, str(event["price"]), text, Cut(at))
                break


def _of_account(made: Made) -> Iterator[Leak]:
    for fills in made.fills:
        for at, price, text in too_good(made, fills):
            name = f"{fills.symbol} combination {fills.combo}"
            yield Leak("fills", name, "fill_price", 0, at, str(price), text, Cut(at))
            break


def _too_good(event: dict[str, Any], bar: dict[str, float]) -> str:
    is_buy = (event["side"] > 0) == (event["event"] == "entry")
    side = "low" if is_buy else "high"
    limit = bar["open"] if event["at_open"] else bar[side]
    beyond = event["price"] < limit if is_buy else event["price"] > limit
    what = "open" if event["at_open"] else side
    return f"a bar whose {what} is {limit}" if beyond else ""
