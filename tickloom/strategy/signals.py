"""The signal-driven face on the event-driven engine: masks of entries and exits, followed by orders."""

from dataclasses import replace
from math import nan

from tickloom.contracts.signals import LONG_ENTRY, LONG_EXIT, SHORT_ENTRY, SHORT_EXIT
from tickloom.kernel import F64, I8, plain
from tickloom.strategy import pricing
from tickloom.strategy.orders import BUY, SELL, Bracket, Order
from tickloom.strategy.rules import Rules, check_risk
from tickloom.strategy.strategy import Context, Strategy

_stop_distance = plain(pricing.stop_distance)


class Follower(Strategy):
    """Does what a mask says, by the rules of docs/backtest.md; its fills are those of the grid engine.

    rules      the account's: stops, targets and limit entries become orders, sizes are left to the account
    stop_unit  (n_bars,), what rules with a `stop_multiple` count the stop's distance in

    Raises ValueError on sizes by risk without a stop.
    """

    def __init__(self, rules: Rules, stop_unit: F64 | None = None) -> None:
        check_risk(rules)
        self._rules = rules
        self._bracket = Bracket(rules.stop_loss_rate, rules.take_profit_rate, rules.trailing_rate)
        self._unit = [] if stop_unit is None else stop_unit.tolist()
        self._entry: Order | None = None

    def follow(self, ctx: Context, mask: int) -> None:
        """Leave, take back, enter: in this order."""
        if not mask:
            return
        position = ctx.position
        if position and mask & (LONG_EXIT if position > 0 else SHORT_EXIT):
            ctx.flatten()
            position = 0.0
        waiting = self._entry if self._entry is not None and self._entry.is_working else None
        if waiting and mask & (LONG_EXIT if waiting.side > 0 else SHORT_EXIT):
            ctx.cancel(waiting)
            waiting = None
        goes_long = (mask & (LONG_ENTRY | LONG_EXIT)) == LONG_ENTRY
        goes_short = (mask & (SHORT_ENTRY | SHORT_EXIT)) == SHORT_ENTRY
        if not position and not waiting and goes_long != goes_short:
            self._entry = self._enter(ctx, BUY if goes_long else SELL)

    def _enter(self, ctx: Context, side: int) -> Order:
        rules, bracket = self._rules, self._bracket
        if rules.stop_multiple:
            distance = _stop_distance(rules, self._unit[ctx.bar] if self._unit else nan)
            bracket = replace(bracket, stop_distance=distance)
        if not rules.limit_bars:
            return ctx.market(side, bracket=bracket)
        limit = ctx.close() * (1.0 - side * rules.limit_rate)
        return ctx.limit(side, limit, bracket=bracket, tif="gtd", good_for=rules.limit_bars)


class FollowSignals(Follower):
    """Does at each close what its mask says.

    masks  (n_bars,)  known at the close of their bar
    """

    def __init__(self, masks: I8, rules: Rules, stop_unit: F64 | None = None) -> None:
        super().__init__(rules, stop_unit)
        self._masks = masks.tolist()

    def on_bar(self, ctx: Context) -> None:
        if mask := self._masks[ctx.bar]:
            self.follow(ctx, mask)
