"""The account: cash, position, and what has been earned, at every fill."""

from tickloom.strategy.orders import Fill


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

    def equity(self, price: float) -> float:
        return self.cash + self.position * price

    def unrealised(self, price: float) -> float:
        return self.position * (price - self.average) if self.position else 0.0

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
        self.position = 0.0 if change == -position else position + change
        self.fees += fee
