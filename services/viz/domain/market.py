"""What a market asks of a position that the account of a backtest does not know."""

from services.viz.domain.caveats import Caveat
from services.viz.domain.run import SymbolRun
from services.viz.domain.words import percent, span

FUNDING_RATE = 0.0001
"""Binance's base rate of funding (0.03 % interest a day in three payments), what longs pay where nothing pulls."""

FUNDINGS_PER_DAY = 3
DAY_US = 86_400_000_000

_INVERSE = (
    "COIN-M contracts are margined and settled in coin: a real position of so many contracts earns contracts × "
    "(1/entry − 1/exit) coins, and the value of its margin moves with the price. This account holds quote currency and "
    "trades a quantity of coin at the contract's price, as a linear contract would. Read it as a test of the rule, not "
    "as what a COIN-M account would hold."
)


def market_caveats(run: SymbolRun, market: str) -> list[Caveat]:
    """Return what to know of one symbol's result because of where it is traded. `market` as the download names it."""
    found = [Caveat("warning", "Inverse contracts, traded as if linear", _INVERSE)] if market == "coinm" else []
    if market in ("usdm", "coinm") and len(run.trades.side):
        found.append(_funding(run))
    return found


def _funding(run: SymbolRun) -> Caveat:
    trades = run.trades
    ends = [run.bars.ts_close[-1] if still else ts for ts, still in zip(trades.exit_ts, trades.is_open, strict=True)]
    held = [(int(end) - int(start)) / DAY_US for start, end in zip(trades.entry_ts, ends, strict=True)]
    long = sum(days for days, side in zip(held, trades.side, strict=True) if side > 0)
    short = sum(held) - long
    net = (long - short) * FUNDINGS_PER_DAY * FUNDING_RATE
    text = (
        "Perpetual contracts pay funding between longs and shorts, most of them every 8 hours, and none of it is in "
        f"these figures. The best trial was long for {span(long)} and short for {span(short)}; at the base rate of "
        f"{percent(FUNDING_RATE)} its positions would have {'paid' if net >= 0 else 'earned'} {percent(abs(net))} of "
        "their notional in all. In strong trends funding is several times that."
    )
    return Caveat("warning", "Funding is not charged", text)
