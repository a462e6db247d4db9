"""Many symbols on one account again, slow and obvious: one moment after the other, in exact fractions.

It follows docs/portfolio.md rule by rule. Floats go in as the fractions that they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor, isnan
from typing import Any

DAY_US = 86_400_000_000
ZERO = Fraction(0)


@contextmanager
def decimals() -> Iterator[None]:
    """Work in decimals of 50 digits inside the block: over years of bars the fractions grow too long."""
    exact = {name: globals()[name] for name in ("Fraction", "ZERO")}
    globals().update(Fraction=lambda a, b=1: Decimal(a) / Decimal(b), ZERO=Decimal(0))
    try:
        with localcontext(prec=50):
            yield
    finally:
        globals().update(exact)


class Twin:
    """The account. A symbol is {"bars": [...], "masks": [...], "volatility": [...]}.

    A bar is (ts_open, ts_close, open, close, high, low).
    """

    def __init__(self, symbols: list[dict[str, Any]], rules: dict[str, Any], plan: dict[str, Any]) -> None:
        self.symbols, self.plan = symbols, plan
        self.rules = {name: Fraction(rules[name]) for name in RULES}
        self.n = len(symbols)
        self.cash = self.rules["initial_cash"]
        self.position = [ZERO] * self.n
        self.mark: list[Fraction | None] = [None] * self.n
        self.known = [float("nan")] * self.n
        self.held = [0] * self.n
        self.order: list[tuple[Fraction, str] | None] = [None] * self.n
        self.peak = self.base = self.last = self.cash
        self.day: int | None = None
        self.period: int | None = None
        self.halt: tuple[str, int] | None = None
        self.fills: list[dict[str, Any]] = []
        self.curve: list[dict[str, Any]] = []
        self.events: list[tuple[int, str]] = []
        self.enlarged: list[tuple[Fraction, Fraction, Fraction]] = []  # net before, net after, equity after

    # The timeline.

    def run(self) -> "Twin":
        """Play every moment: bars that close, then bars that open, again as long as there are any."""
        todo = []
        for symbol in self.symbols:
            events, before = [], None
            for k, (ts_open, ts_close, *_) in enumerate(symbol["bars"]):
                opened = min(ts_open, ts_close)
                events += [(opened if before is None else max(opened, before), "open", k), (ts_close, "close", k)]
                before = ts_close
            todo.append(events)
        while any(todo):
            ts = min(events[0][0] for events in todo if events)
            for kind, plays in (("close", (self.within, self.close)), ("open", (self.open, self.opened))):
                now = {s: events.pop(0)[2] for s, events in enumerate(todo) if events and events[0][:2] == (ts, kind)}
                for play in plays if now else ():
                    play(ts, now)
        return self

    def equity(self) -> Fraction:
        return self.cash + sum((p * m for p, m in self.worths()), ZERO)

    def gross(self) -> Fraction:
        return sum((abs(p * m) for p, m in self.worths()), ZERO)

    def net(self) -> Fraction:
        return sum((p * m for p, m in self.worths()), ZERO)

    def worths(self) -> list[tuple[Fraction, Fraction]]:
        return [(p, m) for p, m in zip(self.position, self.mark, strict=True) if m is not None]

    # Margin.

    def spare(self) -> Fraction:
        """Return what equity is above the maintenance at the marks."""
        return self.equity() - self.rules["maintenance_rate"] * self.gross()

    def is_called(self) -> bool:
        return self.halt is not None and self.halt[0] == "margin"

    def within(self, ts: int, now: dict[int, int]) -> None:
        """Liquidate what is held of the bars that close, where equity is down to the maintenance on their way."""
        held = {s: k for s, k in now.items() if self.position[s] != 0}
        if self.is_called() or not held:
            return
        opened = {s: self.at(s) for s in held}
        worst = {s: Fraction(self.symbols[s]["bars"][k][5 if self.position[s] > 0 else 4]) for s, k in held.items()}
        before = self.spare()
        self.mark = [worst.get(s, mark) for s, mark in enumerate(self.mark)]
        after = self.spare()
        way = before / (before - after) if after <= 0 else ZERO
        for s in held:
            self.mark[s] = opened[s] + way * (worst[s] - opened[s])
        if after > 0:
            return
        self.halt = ("margin", ts)
        self.events.append((ts, "margin"))
        for s, k in held.items():
            self.fill(ts, s, k, -1 if self.position[s] > 0 else 1, abs(self.position[s]), "liquidation")

    def opened(self, ts: int, now: dict[int, int]) -> None:
        """Sell all that opens where equity is down to the maintenance after the fills of the opens."""
        if self.is_called() or self.spare() > 0:
            return
        self.halt = ("margin", ts)
        self.events.append((ts, "margin"))
        for s in range(self.n):
            self.order[s] = (-self.position[s], "margin")
        self.open(ts, now)

    # A close.

    def close(self, ts: int, now: dict[int, int]) -> None:
        before = list(self.held)
        for s, k in now.items():
            self.mark[s] = Fraction(self.symbols[s]["bars"][k][3])
            self.known[s] = self.symbols[s]["volatility"][k]
            self.held[s] = side_after(self.held[s], self.symbols[s]["masks"][k])
        changed = [s for s in range(self.n) if self.held[s] != before[s]]
        equity = self.equity()
        self.curve.append(
            {"ts": ts, "equity": equity, "cash": self.cash, "gross": self.gross(), "position": list(self.position)}
        )
        was_halted = self.halt is not None
        self.watch(ts, equity)
        period = (ts - self.plan["anchor_us"]) // self.plan["every_us"] if self.plan["every_us"] else None
        is_due = (was_halted and self.halt is None) or (period is not None and period != self.period)
        self.period = period
        if self.halt is not None:
            for s in range(self.n):
                self.order[s] = (-self.position[s], self.halt[0])
        else:
            self.decide(ts, equity, changed, is_due)

    def watch(self, ts: int, equity: Fraction) -> None:
        """Look after the limits on losses."""
        plan, day = self.plan, (ts - 1) // DAY_US
        if day != self.day:
            self.day, self.base = day, self.last
        self.last, self.peak = equity, max(self.peak, equity)
        if self.halt is not None:
            why, since = self.halt
            rested = ts >= since + plan["cooldown_us"]
            over = why == "drawdown" and plan["cooldown_us"] > 0 and rested
            over = over or (why == "daily_loss" and day > (since - 1) // DAY_US and rested)
            if over:
                self.events.append((ts, "resumed"))
                self.halt = None
                if why == "drawdown":
                    self.peak = equity
        if self.halt is None:
            if plan["max_drawdown"] and equity <= self.peak * (1 - Fraction(plan["max_drawdown"])):
                self.halt = ("drawdown", ts)
            elif plan["max_daily_loss"] and equity <= self.base * (1 - Fraction(plan["max_daily_loss"])):
                self.halt = ("daily_loss", ts)
            if self.halt is not None:
                self.events.append((ts, self.halt[0]))

    def weights(self) -> tuple[list[Fraction], list[str]]:
        """Return the weight that each symbol shall have, and the limits that cut any."""
        plan, cut = self.plan, []
        listed = [s for s in range(self.n) if self.mark[s] is not None]
        if plan["weighting"] != "equal":
            listed = [s for s in listed if not isnan(self.known[s]) and self.known[s] > 0]
        pull = {s: Fraction(1) if plan["weighting"] == "equal" else 1 / Fraction(self.known[s]) for s in listed}
        held = [s for s in listed if self.held[s]]
        shared = Fraction(len(listed)) if plan["weighting"] == "volatility_target" else sum(pull[s] for s in held)
        weight = [ZERO] * self.n
        for s in held:
            weight[s] = self.held[s] * Fraction(plan["target"]) * pull[s] / shared
        for name in ("max_weight", "floor_weight"):
            most = Fraction(plan[name])
            if any(abs(w) > most for w in weight):
                cut.append(name)
            weight = [max(min(w, most), -most) for w in weight]
        gross, most = sum(abs(w) for w in weight), Fraction(plan["max_gross"])
        if gross > most:
            cut.append("max_gross")
            weight = [w * most / gross for w in weight]
        longs, shorts = sum(w for w in weight if w > 0), -sum(w for w in weight if w < 0)
        most = Fraction(plan["max_net"])
        if longs - shorts > most:
            cut.append("max_net")
            weight = [w * (shorts + most) / longs if w > 0 else w for w in weight]
        elif shorts - longs > most:
            cut.append("max_net")
            weight = [w * (longs + most) / shorts if w < 0 else w for w in weight]
        return weight, cut

    def decide(self, ts: int, equity: Fraction, changed: list[int], is_due: bool) -> None:
        weight, cut = self.weights()
        everybody = is_due or (bool(changed) and self.plan["on_signal"] == "all")
        if not everybody and self.plan["threshold"]:
            off = [abs(p * (m or 0) / equity - w) for p, m, w in zip(self.position, self.mark, weight, strict=True)]
            everybody = max(off) > Fraction(self.plan["threshold"])
        who = list(range(self.n)) if everybody else changed if self.plan["on_signal"] == "changed" else []
        if who:
            self.events += [(ts, name) for name in cut]
        for s in who:
            mark, position = self.mark[s], self.position[s]
            self.order[s] = None
            if mark is None:
                continue
            wanted = weight[s] * equity / mark
            if wanted == 0 or abs(wanted - position) * mark > equity / 10**9:
                why = "signal" if wanted * position <= 0 else "rebalance"
                self.order[s] = (wanted - position, why)

    # An open.

    def open(self, ts: int, now: dict[int, int]) -> None:
        for s, k in now.items():
            self.mark[s] = Fraction(self.symbols[s]["bars"][k][2])
        orders = {s: self.order[s] for s in now if self.order[s] is not None and self.order[s][0] != 0}
        for s in now:
            self.order[s] = None
        if not orders:
            return
        left = {}
        for side in (-1, 1):  # what makes a position smaller: sells, then buys
            for s, (quantity, why) in orders.items():
                if quantity * side > 0:
                    left[s] = (self.reduce(ts, s, now[s], quantity, why), why)
        self.enlarge(ts, now, {s: left[s] for s in sorted(left) if left[s][0] != 0})

    def reduce(self, ts: int, s: int, bar: int, quantity: Fraction, why: str) -> Fraction:
        """Fill what makes the position smaller; return what is left of the order."""
        position = self.position[s]
        if position * quantity >= 0:
            return quantity
        side = 1 if quantity > 0 else -1
        wanted = min(abs(quantity), abs(position))
        filled = abs(position)
        if wanted < abs(position) * (1 - Fraction(1, 10**9)):
            filled = self.sized(wanted, self.price(s, side))
        self.fill(ts, s, bar, side, filled, why)
        return quantity - side * wanted

    def enlarge(self, ts: int, now: dict[int, int], orders: dict[int, tuple[Fraction, str]]) -> None:
        """Fill what makes positions larger: all by one part, that leaves gross and net exposure within their limits."""
        equity, gross, net = self.equity(), self.gross(), self.net()
        more_gross = sum((abs(q) * self.at(s) for s, (q, _) in orders.items()), ZERO)
        more_net = sum((q * self.at(s) for s, (q, _) in orders.items()), ZERO)
        rate = self.rules["commission_rate"]
        costs = ZERO
        for s, (q, _) in orders.items():
            price = self.price(s, 1 if q > 0 else -1)
            costs += abs(q) * (abs(price - self.at(s)) + price * rate)
        part = leeway(gross, more_gross, Fraction(self.plan["max_gross"]), equity, costs)
        if part < 1 - Fraction(1, 10**9) and equity > 0:
            self.events.append((ts, "max_gross at the fill"))
        if more_net:
            sign = 1 if more_net > 0 else -1
            of_net = leeway(sign * net, sign * more_net, Fraction(self.plan["max_net"]), equity, costs)
            if of_net < min(part, 1 - Fraction(1, 10**9)) and equity > 0:
                self.events.append((ts, "max_net at the fill"))
            part = min(part, of_net)
        after = equity - part * costs
        most = min(Fraction(self.plan["max_weight"]), Fraction(self.plan["floor_weight"])) * after
        for s, (q, why) in orders.items():
            side = 1 if q > 0 else -1
            there = max(most - abs(self.position[s]) * self.at(s), ZERO) / self.at(s)
            wanted = min(part * abs(q), there)
            if wanted * self.at(s) > after / 10**9:
                self.fill(ts, s, now[s], side, self.sized(wanted, self.price(s, side)), why)
        self.enlarged.append((net, self.net(), self.equity()))

    def at(self, s: int) -> Fraction:
        mark = self.mark[s]
        assert mark is not None
        return mark

    def price(self, s: int, side: int) -> Fraction:
        return self.at(s) * (1 + side * self.rules["slippage_rate"])

    def sized(self, quantity: Fraction, price: Fraction) -> Fraction:
        step = self.rules["lot_step"]
        if step:
            quantity = floor(quantity / step + Fraction(1, 10**9)) * step
        return quantity if quantity * price >= self.rules["min_notional"] else ZERO

    def fill(self, ts: int, s: int, bar: int, side: int, quantity: Fraction, why: str) -> None:
        if quantity == 0:
            return
        price = self.price(s, side)
        fee = quantity * price * self.rules["commission_rate"]
        self.cash -= side * quantity * price + fee
        self.position[s] += side * quantity
        self.fills.append(
            {
                "ts": ts, "symbol": s, "bar": bar, "side": side, "quantity": quantity, "price": price, "fee": fee,
                "reason": why, "equity": self.equity(), "gross": self.gross(), "net": self.net(),
            }
        )  # fmt: skip


RULES = ("initial_cash", "commission_rate", "slippage_rate", "lot_step", "min_notional", "maintenance_rate")


def side_after(held: int, mask: int) -> int:
    """Return the side after a bar's signal: exits first, then an entry from flat; entries of both sides are none."""
    long_in, long_out, short_in, short_out = (bool(mask & bit) for bit in (1, 2, 4, 8))
    if (held > 0 and long_out) or (held < 0 and short_out):
        held = 0
    if held == 0:
        held = (long_in and not long_out) - (short_in and not short_out)
    return held


def leeway(now: Fraction, more: Fraction, most: Fraction, equity: Fraction, costs: Fraction) -> Fraction:
    """Return the part of `more` that leaves exposure within `most` of the equity after its share of the costs."""
    slope = more + most * costs
    return Fraction(1) if slope <= 0 else max(min((most * equity - now) / slope, Fraction(1)), ZERO)
