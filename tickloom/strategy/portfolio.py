"""The account: cash, position, and what has been earned, at every fill."""

from typing import Protocol

from tickloom.strategy.orders import Fill


class PortfolioManager(Protocol):
    """Keeps the account. Money is quote currency, position signed base.

    average  mean entry price of what is open
    fills    in their order; the execution handler adds to them
    """

    initial_cash: float
    cash: float
    position: float
    average: float
    fills: list[Fill]

    def equity(self, price: float) -> float:
        """Return what the account is worth at `price`."""
        ...

    def after(self, change: float) -> float:
        """Return the position that a change of signed base leads to."""
        ...

    def book(self, side: int, quantity: float, price: float, fee: float) -> None:
        """Take a fill into the account."""
        ...


DUST = 1e-12
"""What is left of a position is nothing when it is this share of its largest: 0.1 + 0.2 - 0.3 is rounding."""


class Portfolio:
    """Cash and one position. cash + position * price = equity, and equity - initial_cash = realised + open - fees.

    position   signed base
    average    mean entry price of what is open, slippage included
    realised   quote currency, before fees
    """

    def __init__(self, initial_cash: float) -> None:
        self.initial_cash = self.cash = initial_cash
        self.position = 0.0
        self.average = 0.0
        self.realised = 0.0
        self.fees = 0.0
        self.fills: list[Fill] = []
        self._largest = 0.0

    def equity(self, price: float) -> float:
        return self.cash + self.position * price

    def unrealised(self, price: float) -> float:
        return self.position * (price - self.average) if self.position else 0.0

    def after(self, change: float) -> float:
        """Return the position that a change of signed base leads to; what is left of rounding is 0."""
        left = self.position + change
        return 0.0 if abs(left) <= DUST * max(self._largest, abs(change)) else left

    def book(self, side: int, quantity: float, price: float, fee: float) -> None:
        """Take a fill into the account."""
        position, change = self.position, side * quantity
        if position * side < 0.0:
            closed = min(quantity, abs(position))
            self.realised -= side * closed * (price - self.average)
            if quantity > closed:
                self.average = price
        elif position == 0.0:
            self.average = price
        else:
            self.average = (abs(position) * self.average + quantity * price) / (abs(position) + quantity)
        # Opening and closing are two lines, each in the order of operations of the compiled engine.
        if position == 0.0:
            self.cash = self.cash - (side * (quantity * price) + fee)
        else:
            self.cash = self.cash + (-side * (quantity * price) - fee)
        self.position = self.after(change)
        held = abs(self.position)
        self._largest = max(self._largest, held) if self.position * position > 0.0 else held
        self.fees += fee
