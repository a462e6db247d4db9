"""The rules of an account, as numbers: what the compiled engine and the event-driven one are both given."""

from typing import NamedTuple

NO_IMPACT, VOLUME_SHARE, SQUARE_ROOT = 0, 1, 2
"""How a fill's own size moves its price."""

BY_FRACTION, BY_NOTIONAL, BY_VOLATILITY, BY_RISK = 0, 1, 2, 3
"""What decides how large an entry is."""


class Rules(NamedTuple):
    """The account's rules: money in quote currency, rates as fractions, quantities in base. 0 is "none" throughout.

    fraction          the size of an entry, by `sizing`: BY_FRACTION: share of equity committed as margin, costs
                      included (1: full capital); BY_NOTIONAL: quote currency; BY_VOLATILITY: the yearly volatility
                      that the position shall have; BY_RISK: share of equity lost where the stop fills at its price;
                      without a stop such an entry is refused
    commission_rate   of fills that take: at the market, at a stop
    slippage_rate     how much worse a fill that takes is than the price it was aimed at
    stop_loss_rate    distance of the stop from the entry fill
    stop_multiple     the same, in values of the bars' `stop_unit` at the signal; then stop_loss_rate is 0
    take_profit_rate  distance of the target from the entry fill
    trailing_rate     distance of the trailing stop from the best price since the entry
    maker_rate        commission of fills that make: at a limit that rested in the book
    limit_rate        distance of an entry's limit from the close that signalled it, to the better side
    limit_bars        for how many bars an entry's limit rests; 0: entries are at the market
    lot_step          quantities are whole multiples of it
    min_notional      entries below it are refused
    leverage          notional of a position over equity, at most
    maintenance_rate  share of the notional that equity may not fall to
    impact            the factor of the impact model `impact_kind`; impact_cap: its highest rate
    """

    initial_cash: float
    fraction: float
    commission_rate: float
    slippage_rate: float
    stop_loss_rate: float
    take_profit_rate: float = 0.0
    trailing_rate: float = 0.0
    maker_rate: float = 0.0
    limit_rate: float = 0.0
    limit_bars: int = 0
    lot_step: float = 0.0
    min_notional: float = 0.0
    leverage: float = 1.0
    maintenance_rate: float = 0.0
    sizing: int = BY_FRACTION
    impact_kind: int = NO_IMPACT
    impact: float = 0.0
    impact_cap: float = 0.0
    stop_multiple: float = 0.0


def check_risk(rules: Rules) -> None:
    """Raise ValueError where entries would be sized by the risk up to a stop that the rules do not have."""
    if rules.sizing == BY_RISK and not (rules.stop_loss_rate or rules.stop_multiple):
        raise ValueError("rules: a size by risk needs stop_loss_rate or stop_multiple, which say what is at risk")
