"""What is listed here: tick, lot, price level and listing day of each symbol, on spot, USD-M and COIN-M futures.

Ticks, lots and listing days are those of the real symbols (a spot lot may be finer than today's, as it was for most
of the history); prices only start near the real ones, the rest is made by the seed.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

Market: TypeAlias = Literal["spot", "um", "cm"]


@dataclass(frozen=True)
class Rules:
    """How one market writes the numbers of a symbol. `places` are decimals: a tick of 0.01 has 2.

    contract  quote currency that one contract is worth, where quantities are contracts (inverse futures); else 0
    """

    listed: date
    price_places: int
    quantity_places: int
    contract: int = 0


@dataclass(frozen=True)
class Symbol:
    """One pair: its rules per market and the levels that its prices and sizes wander about."""

    name: str
    base: str
    quote: str
    spot: Rules | None
    um: Rules | None
    cm: Rules | None
    first_price: float  # quote, on the listing day
    level: float  # quote, where the daily walk is drawn back to over the years
    daily_vol: float  # standard deviation of the daily log return
    median_notional: float  # quote, of one trade

    def rules(self, market: Market) -> Rules | None:
        """Return the rules of the symbol on a market, or None where it is not listed."""
        return {"spot": self.spot, "um": self.um, "cm": self.cm}[market]

    @property
    def listed(self) -> date:
        """Return the day from which on it is listed anywhere."""
        return min(rules.listed for rules in (self.spot, self.um, self.cm) if rules is not None)


def _symbol(
    name: str, spot: Rules, um: Rules | None, first_price: float, level: float, daily_vol: float, median_notional: float
) -> Symbol:
    base = name.removesuffix("USDT")
    return Symbol(name, base, "USDT", spot, um, None, first_price, level, daily_vol, median_notional)


def _inverse(
    name: str, cm: Rules, first_price: float, level: float, daily_vol: float, median_notional: float
) -> Symbol:
    base = name.partition("USD_")[0]
    return Symbol(name, base, "USD", None, None, cm, first_price, level, daily_vol, median_notional)


_LISTED = (
    _symbol("BTCUSDT", Rules(date(2017, 8, 17), 2, 5), Rules(date(2019, 9, 8), 1, 3), 4285.0, 38_000.0, 0.030, 180.0),
    _symbol("ETHUSDT", Rules(date(2017, 8, 17), 2, 4), Rules(date(2019, 11, 27), 2, 3), 301.0, 1_900.0, 0.038, 150.0),
    _symbol("BNBUSDT", Rules(date(2017, 11, 6), 2, 3), Rules(date(2020, 2, 10), 2, 2), 15.0, 330.0, 0.038, 110.0),
    _symbol("SOLUSDT", Rules(date(2020, 8, 11), 2, 3), Rules(date(2020, 9, 14), 2, 0), 3.0, 85.0, 0.052, 110.0),
    _symbol("XRPUSDT", Rules(date(2018, 5, 4), 4, 1), Rules(date(2020, 1, 6), 4, 1), 0.89, 0.70, 0.045, 100.0),
    _symbol("ADAUSDT", Rules(date(2018, 4, 17), 4, 1), Rules(date(2020, 1, 31), 4, 0), 0.26, 0.50, 0.046, 90.0),
    _symbol("DOGEUSDT", Rules(date(2019, 7, 5), 5, 0), Rules(date(2020, 7, 10), 5, 0), 0.0039, 0.11, 0.052, 90.0),
    _symbol("LTCUSDT", Rules(date(2017, 12, 13), 2, 3), Rules(date(2020, 1, 9), 2, 3), 300.0, 90.0, 0.042, 100.0),
    _inverse("BTCUSD_PERP", Rules(date(2020, 8, 10), 1, 0, 100), 11_900.0, 38_000.0, 0.030, 400.0),
    _inverse("ETHUSD_PERP", Rules(date(2020, 8, 20), 2, 0, 10), 410.0, 1_900.0, 0.038, 150.0),
    _inverse("ETHUSD_240628", Rules(date(2023, 12, 29), 2, 0, 10), 2_350.0, 1_900.0, 0.038, 150.0),
    # Names need not be ASCII on this exchange; whoever stores them has to cope.
    _symbol("币安人生USDT", Rules(date(2025, 10, 22), 4, 1), None, 0.15, 0.20, 0.070, 60.0),
)
SYMBOLS: dict[str, Symbol] = {symbol.name: symbol for symbol in _LISTED}
