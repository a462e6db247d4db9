"""Imbalance and run bars the slow and obvious way, by our definition or, with other meanings, by that of mlfinpy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Meaning:
    """What the definition in the book leaves open. The defaults are ours, without guards."""

    strict: bool = False  # close at more than the expectation, not at as much
    windowed: bool = (
        False  # an average is of the last `window` values and its weights add up to one; else of all values
    )
    waits: bool = False  # the first bar may close once the averages have enough values; else it closes by its length
    apart: bool = False  # of runs: P[b = 1] and E[v | b] are averages of their own; else P[b] E[v | b] is one
    fixed: bool = False  # E[T] never changes
    floor: float = 0.0
    cap: float = math.inf
    clamp: float = math.inf
    imbalance_floor: float = 0.0  # in standard deviations of a balanced flow


PEER = Meaning(strict=True, windowed=True, waits=True, apart=True)


def tick_rule(prices: Sequence[float]) -> list[int]:
    """Return the sign of each price's change, of the last change where there is none; 0 before any."""
    signs, last = [], 0
    for i, price in enumerate(prices):
        change = price - prices[i - 1] if i else 0
        last = last if change == 0 else (1 if change > 0 else -1)
        signs.append(last)
    return signs


def average(values: Sequence[float], window: int) -> float:
    """Return the exponential average of the last values, alpha = 2 / (window + 1), weights adding up to one."""
    few, keep = values[-window:], 1 - 2 / (window + 1)
    top = few[0]
    for value in few[1:]:
        top = top * keep + value
    return top / weight(keep, len(few))


@cache
def weight(keep: float, n: int) -> float:
    """Return the sum of the first n powers, each as numba takes it: the peer's last digit decides where sums tie."""
    total = 1.0
    for i in range(1, n):
        total += power(keep, i)
    return total


def power(base: float, n: int) -> float:
    """Return base ** n by squaring."""
    result = 1.0
    while n:
        result, base, n = result * base if n % 2 else result, base * base, n // 2
    return result


class InformationBars:
    """Takes trades one by one and says after which a bar closes."""

    def __init__(self, runs: bool, expected: int, bars_window: int, trades_window: int, meaning: Meaning) -> None:
        self.runs, self.first, self.bars_window, self.trades_window = runs, expected, bars_window, trades_window
        self.meaning = meaning
        self.expected = float(expected)
        self.level: float | None = None  # what is expected of the bar that is open; None: nothing yet
        self.signed: list[float] = []  # b v and, without side, v of all trades
        self.bought: list[float] = []  # v of all that were bought, of all that were sold
        self.sold: list[float] = []
        self.lengths: list[int] = []
        self.parts_bought: list[float] = []
        self.mean_signed = self.mean_total = self.mean_square = 0.0
        self.bar: list[float] = []
        self.theta = self.theta_bought = self.theta_sold = 0  # sums of the bar that is open
        self.fired = dict.fromkeys(("clamp", "floor", "cap", "imbalance_floor", "length_cap"), 0)

    def closes(self, side: int, amount: float) -> bool:
        """Take a trade; return whether it closes a bar."""
        self._count(side, amount)
        if self.level is None and self.meaning.waits and self._are_enough():
            self.parts_bought.append(sum(x > 0 for x in self.bar) / len(self.bar))
            self._begin_averages()
            self.level = self._expected_level()
            self.parts_bought.pop()
        if self.level is None and not self.meaning.waits and len(self.bar) == self.first:
            self._begin_averages()
            self._close(is_first=True)
            return True
        if self.level is not None and self._is_reached():
            self._close(is_first=False)
            return True
        if self.level is not None and len(self.bar) + 1 > self.meaning.cap * self.first:
            self.fired["length_cap"] += 1
            self._close(is_first=False)
            return True
        return False

    def _count(self, side: int, amount: float) -> None:
        self.bar.append(side * amount)
        self.signed.append(side * amount)
        self.theta += side * amount
        if side > 0:
            self.bought.append(amount)
            self.theta_bought += amount
        if side < 0:
            self.sold.append(amount)
            self.theta_sold += amount
        gain = 2 / (self.trades_window + 1)
        self.mean_signed = (1 - gain) * self.mean_signed + gain * (side * amount)
        self.mean_total = (1 - gain) * self.mean_total + gain * amount
        self.mean_square = (1 - gain) * self.mean_square + gain * (float(amount) * amount)

    def _are_enough(self) -> bool:
        lists = (self.bought, self.sold) if self.runs else (self.signed,)
        return all(len(values) >= self.first for values in lists)

    def _begin_averages(self) -> None:
        self.mean_signed = sum(self.bar) / len(self.bar)
        self.mean_total = sum(map(abs, self.bar)) / len(self.bar)
        self.mean_square = sum(x * x for x in self.bar) / len(self.bar)

    def _is_reached(self) -> bool:
        reached = 2 * max(self.theta_bought, self.theta_sold) if self.runs else abs(self.theta)
        return reached > self.level if self.meaning.strict else reached >= self.level

    def _close(self, is_first: bool) -> None:
        self.lengths.append(len(self.bar))
        self.parts_bought.append(sum(x > 0 for x in self.bar) / len(self.bar))
        if not self.meaning.fixed:
            self.expected = self._expected_trades(is_first)
        self.level = self._expected_level()
        self.bar = []
        self.theta = self.theta_bought = self.theta_sold = 0

    def _expected_trades(self, is_first: bool) -> float:
        meaning = self.meaning
        trades = float(self.lengths[-1])
        if meaning.windowed:
            trades = average(self.lengths, self.bars_window)
        elif not is_first:
            trades = self.expected + 2 / (self.bars_window + 1) * (trades - self.expected)
        if not is_first:
            clamped = min(max(trades, self.expected / meaning.clamp), self.expected * meaning.clamp)
            self.fired["clamp"] += clamped != trades
            trades = clamped
        self.fired["floor"] += trades < meaning.floor * self.first
        self.fired["cap"] += trades > meaning.cap * self.first
        return min(max(trades, meaning.floor * self.first), meaning.cap * self.first)

    def _expected_level(self) -> float:
        """Return the imbalance expected of the next bar, or twice the larger side of its runs."""
        signed, total = self.mean_signed, self.mean_total
        if self.runs and self.meaning.apart:
            part = average(self.parts_bought, self.bars_window)
            return 2 * self.expected * max(part * self._recent(self.bought), (1 - part) * self._recent(self.sold))
        if self.meaning.windowed:
            signed, total = self._recent(self.signed), self._recent([abs(x) for x in self.signed])
        if self.runs:
            return self.expected * (total + abs(signed))
        chance = self.meaning.imbalance_floor * math.sqrt(self.expected * self.mean_square)
        self.fired["imbalance_floor"] += chance > self.expected * abs(signed)
        return max(self.expected * abs(signed), chance)

    def _recent(self, values: Sequence[float]) -> float:
        return average(values, min(len(values), self.trades_window))


def ends(sides: Sequence[int], amounts: Sequence[float], bars: InformationBars) -> list[int]:
    """Return the index of the last trade of each bar that closes."""
    return [i for i, (side, amount) in enumerate(zip(sides, amounts, strict=True)) if bars.closes(side, amount)]
