"""The backtest again with the trades of every bar: each is walked through, whether anything hangs on it or not."""

from fractions import Fraction
from typing import Any

from tests.naive.backtest import Account, Twin


class InsideTwin(Twin):
    """The twin that sees trades. `paths` are the prices of each bar's trades, `fills` whether stops fill at them."""

    def __init__(self, bars: list[Any], rules: dict[str, float], paths: list[list[float]], fills: bool, **flow: Any):
        super().__init__(bars, rules, **flow)
        self.paths, self.fills = [[self.number(price) for price in path] for path in paths], fills

    def number(self, value: float) -> Fraction:
        return type(self.account.cash)(value)

    def rest(self, i: int) -> None:
        """Fill the order at the open, if the open does; the trades do the rest."""
        if not self.order:
            return
        opened, side, limit, first = self.bars[i][0], self.order["side"], self.order["limit"], self.order["first"]
        if self.fills and side * opened < side * limit and i > first:  # its first trade goes through the order
            self.enter(i, side, limit, "gap", first - 1)
            self.order = None
        elif (side * opened < side * limit) or (opened == limit and i == first):
            super().rest(i)

    def guard(self, i: int) -> None:
        opened = self.bars[i][0]
        for n, price in enumerate(self.paths[i]):
            if self.order and self.order["side"] * price < self.order["side"] * self.order["limit"]:
                self.enter(i, self.order["side"], self.order["limit"], "inside", self.order["first"] - 1)
                self.order = None
            trade = self.account.trade
            if trade is None:
                continue
            side, target = trade["side"], trade["target"]
            if n == 0 and target is not None and side * opened > side * target:
                self.leave(i, target if self.fills else opened, "target")
                continue
            levels = {name: level for name, level in trade["levels"].items() if level is not None}
            reason = max(levels, key=lambda name: side * levels[name], default="")
            if reason and side * price <= side * levels[reason]:
                at_level = opened if n == 0 else levels[reason]
                self.leave(i, price if self.fills else at_level, reason)
            elif target is not None and side * price > side * target:
                self.leave(i, target, "target")
            elif "trailing_stop" in levels:
                nearer = max if side > 0 else min
                moved = price * (1 - side * self.rules["trailing_rate"])
                trade["levels"]["trailing_stop"] = nearer(levels["trailing_stop"], moved)


def run(
    bars: list[Any], signal: list[int], rules: dict[str, float], paths: list[list[float]], *, fills: bool, **flow: Any
) -> Account:
    """Trade `signal` over `bars` and the trades in them."""
    return InsideTwin(bars, rules, paths, fills, **flow).play(signal)
