"""The risk manager: how large a fill may be, and where the position is liquidated."""

from math import isinf, isnan
from typing import Protocol

import numpy as np

from tickloom.kernel import plain
from tickloom.strategy import pricing
from tickloom.strategy.orders import Order
from tickloom.strategy.portfolio import PortfolioManager
from tickloom.strategy.rules import BY_RISK, Rules

_entry_quantity = plain(pricing.entry_quantity)
_stop_price = plain(pricing.stop_price)
_liquidation_price = plain(pricing.liquidation_price)


class RiskManager(Protocol):
    """Decides on every fill before it is booked."""

    def allowed(
        self, order: Order, portfolio: PortfolioManager, fill: float, fee_rate: float, volatility: float
    ) -> float:
        """Return how much of `order` may fill at `fill`; 0 rejects it."""
        ...

    def liquidation_price(self, portfolio: PortfolioManager) -> float | None:
        """Return the price at which the position is liquidated, None without one."""
        ...

    def is_short_of_margin(self, portfolio: PortfolioManager, price: float) -> bool:
        """Return whether the strategy is to be warned: liquidation is near."""
        ...


MARGIN_CALL = 1.25
"""The margin call comes where equity is below this many times the maintenance margin."""


class AccountRisk:
    """Holds orders to the account's rules: lots, least notional, leverage, reduce-only, maintenance margin."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def allowed(
        self, order: Order, portfolio: PortfolioManager, fill: float, fee_rate: float, volatility: float
    ) -> float:
        """Return how much of `order` may fill at `fill`: what reduces the position always may, in whole lots.

        What turns it round is an entry: it is held to the leverage with what it leaves on the other side, and it may
        whole or not at all.
        """
        position, rules = portfolio.position, self._rules
        opposes = position * order.side < 0.0
        if order.reduce_only:
            return self._reduction(order.quantity, abs(position)) if opposes else 0.0
        quantity = None if order.quantity is None else self._lots(order.quantity)
        after = portfolio.after(order.side * (quantity or 0.0))
        if quantity is not None and opposes and position * after >= 0.0:
            return quantity
        stop = self._stop(order, fill)
        if isnan(stop):
            return 0.0
        if quantity is None:
            if position or (rules.sizing == BY_RISK and isinf(stop)):
                return 0.0
            return float(_entry_quantity(rules, order.side, portfolio.cash, fill, fee_rate, volatility, stop))
        if quantity <= 0.0 or quantity * fill < rules.min_notional:
            return 0.0
        equity = portfolio.equity(fill) - quantity * fill * fee_rate
        return 0.0 if abs(after) * fill > rules.leverage * equity * (1.0 + 1e-12) else quantity

    def _reduction(self, quantity: float | None, held: float) -> float:
        """Return how much a reduce-only order takes of what is held: all of it, or whole lots of it."""
        return held if quantity is None or quantity >= held else self._lots(quantity)

    def _lots(self, quantity: float) -> float:
        """Return the quantity in whole lots, rounded down."""
        step = self._rules.lot_step
        return float(np.floor(quantity / step + pricing.LOT_TOLERANCE) * step) if step > 0.0 else quantity

    def _stop(self, order: Order, fill: float) -> float:
        """Return where the stop-loss of an entry stands: by its bracket, or else where the account's rules have it."""
        bracket = order.bracket
        rate = bracket.stop_loss_rate if bracket and bracket.stop_loss_rate else self._rules.stop_loss_rate
        return float(_stop_price(order.side, fill, rate, bracket.stop_distance if bracket else 0.0))

    def liquidation_price(self, portfolio: PortfolioManager) -> float | None:
        """Return where equity is down to the maintenance margin."""
        if not portfolio.position or self._rules.maintenance_rate <= 0.0:
            return None
        price = float(_liquidation_price(self._rules, portfolio.cash, portfolio.position))
        return price if 0.0 < price < float("inf") else None

    def is_short_of_margin(self, portfolio: PortfolioManager, price: float) -> bool:
        """Return whether equity at `price` is below MARGIN_CALL times the maintenance margin."""
        margin = self._rules.maintenance_rate * abs(portfolio.position) * price
        return portfolio.equity(price) < MARGIN_CALL * margin
