"""Orders and fills: what a strategy asks for, and what came of it."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
TimeInForce = Literal["gtc", "ioc", "gtd"]
Status = Literal["working", "filled", "cancelled", "expired", "rejected"]

BUY, SELL = 1, -1


class NoPriceYet(ValueError):
    """A trailing stop has no price to begin at."""

    def __str__(self) -> str:
        return "stop: there is no price yet that a trailing stop could begin at: send it later, or say where it stands"


@dataclass(frozen=True, slots=True)
class Bracket:
    """The orders that protect what an entry added, from its fill on; one that fills cancels the others. 0: none of it.

    stop_loss_rate    distance of the stop from the fill, a fraction of it
    stop_distance     the same, quote per base, in its place; NaN: it is not known, and the entry is refused
    take_profit_rate  distance of the target, a limit order, from the fill
    trailing_rate     distance of the trailing stop from the best price since the fill
    """

    stop_loss_rate: float = 0.0
    take_profit_rate: float = 0.0
    trailing_rate: float = 0.0
    stop_distance: float = 0.0

    def __post_init__(self) -> None:
        if self.stop_distance < 0.0:
            raise ValueError(f"stop_distance: {self.stop_distance} is below 0")
        if self.stop_distance != 0.0 and self.stop_loss_rate != 0.0:
            raise ValueError("stop_distance: a position has one stop-loss, so leave out stop_loss_rate or this")


@dataclass(slots=True, eq=False)
class Order:
    """An order. Prices are quote per base, quantities base; times are microseconds UTC.

    quantity       None: an entry is sized by the account's rules at its fill, a reduce-only order closes the position
    limit          of a limit or stop-limit order: the worst price
    stop           of a stop or stop-limit order: the price that triggers it; of a trailing stop, where it stands now,
                   at first `trailing_rate` from the newest price known when it is sent: in on_fill the fill's
    trailing_rate  of a trailing stop
    good_for       bars that a "gtd" order lives
    good_till      instead, the time from which on no bar that opens and no trade fills it; within a bar
                   it works up to the close
    reduce_only    it never opens a position; it is cancelled when there is none
    group          orders of one group cancel each other when one of them fills (OCO)
    bracket        protects what this order enters
    tag            what its fills are called
    """

    side: int
    kind: Kind = "market"
    quantity: float | None = None
    limit: float | None = None
    stop: float | None = None
    trailing_rate: float = 0.0
    tif: TimeInForce = "gtc"
    good_for: int | None = None
    good_till: int | None = None
    reduce_only: bool = False
    group: int | None = None
    bracket: Bracket | None = None
    tag: str = ""
    status: Status = field(default="working", init=False)
    reason: str = field(default="", init=False)
    first_bar: int = field(default=0, init=False)
    arrives_us: int = field(default=0, init=False)
    last_bar: int = field(default=-1, init=False)
    inside_bar: int = field(default=-1, init=False)
    filled_quantity: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if self.side not in (BUY, SELL):
            raise ValueError(f"side: {self.side} is neither 1 (buy) nor -1 (sell)")
        if self.quantity is not None and not self.quantity > 0:
            raise ValueError(f"quantity: {self.quantity} is not above 0")
        needs = {"limit": ("limit",), "stop": ("stop",), "stop_limit": ("limit", "stop")}.get(self.kind, ())
        for name in needs:
            price = getattr(self, name)
            if price is None or not price > 0:
                raise ValueError(f"{name}: a {self.kind} order needs a price above 0, not {price}")
        if self.kind == "trailing_stop" and not 0 < self.trailing_rate < 1:
            raise ValueError("trailing_rate: a trailing stop needs a distance between 0 and 1")
        if self.tif == "ioc" and self.kind not in ("market", "limit"):
            raise ValueError(f"tif: a {self.kind} order waits for its trigger, so it cannot be immediate or cancelled")
        if (self.tif == "gtd") != (self.good_for is not None or self.good_till is not None):
            raise ValueError("tif: gtd goes with good_for or good_till, and only gtd does")

    @property
    def is_working(self) -> bool:
        return self.status == "working"


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill. `price` has the slippage in it; `position` and `cash` are the account's after it."""

    order: Order
    bar: int
    side: int
    quantity: float
    price: float
    fee: float
    is_maker: bool
    is_inside: bool
    tag: str
    position: float
    cash: float
