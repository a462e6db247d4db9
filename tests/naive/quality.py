"""The slow and obvious way to the minutes of a day, to silences, and to the difference from official klines."""

import math
from collections.abc import Sequence

MINUTE_US = 60_000_000


def minute_bars(
    ts: Sequence[int], price: Sequence[int], quantity: Sequence[int], side: Sequence[int], fills: Sequence[int]
) -> dict[int, list[int]]:
    """Return by minute number: open high low close volume notional n_trades buy_volume buy_notional."""
    minutes: dict[int, list[int]] = {}
    for i, time in enumerate(ts):
        minutes.setdefault(time // MINUTE_US, []).append(i)
    bars = {}
    for minute, rows in minutes.items():
        prices = [price[i] for i in rows]
        bought = [i for i in rows if side[i] > 0]
        bars[minute] = [
            prices[0],
            max(prices),
            min(prices),
            prices[-1],
            sum(quantity[i] for i in rows),
            sum(price[i] * quantity[i] for i in rows),
            sum(fills[i] if fills else 1 for i in rows),
            sum(quantity[i] for i in bought),
            sum(price[i] * quantity[i] for i in bought),
        ]
    return bars


def silences(marks: Sequence[Sequence[bool]], rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return [begin, end) of silences in minutes, by the definition in services/download/domain/rhythm.py."""
    days = [day for day in range(len(marks)) if rows[day]]
    seen = {(day, minute) for day in days for minute in range(1440)}
    if sum(rows) >= 200:
        for run in _runs_of(days):
            traded = [(day, minute) for day in run for minute in range(1440) if marks[day][minute]]
            seen -= {(d, m) for d in run for m in range(1440) if not min(traded) <= (d, m) <= max(traded)}
    active = {(day, minute) for day in days for minute in range(1440) if marks[day][minute]}
    mean = len(active) / len(seen) if seen else 0
    q = [
        (sum(m // 60 == hour for _, m in active) + 60 * mean) / (sum(m // 60 == hour for _, m in seen) + 61)
        for hour in range(24)
    ]
    empty = [-math.log1p(-share) for share in q]
    found, begin = [], None
    for at in range(len(marks) * 1440 + 1):
        day, minute = divmod(at, 1440)
        if day < len(marks) and rows[day] and not marks[day][minute]:
            begin = at if begin is None else begin
            continue
        # the level is at most 1: what is no silence without it is none with it
        if begin is not None and sum(empty[m % 1440 // 60] for m in range(begin, at)) >= 25:
            level = 1.0
            for first, until in ((begin - 720, begin), (at, at + 720)):
                near = [divmod(minute, 1440) for minute in range(max(0, first), min(until, len(marks) * 1440))]
                expected = sum(q[m // 60] for d, m in near if (d, m) in seen)
                if expected >= 1:
                    level = min(level, (sum(marks[d][m] for d, m in near) + 1) / (expected + 1))
            if sum(-math.log1p(-level * q[m % 1440 // 60]) for m in range(begin, at)) >= 25:
                found.append((begin, at))
        begin = None
    return found


def _runs_of(days: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for day in days:
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


def compare(
    ours: Sequence[Sequence[int]], official: Sequence[Sequence[int]], slack_unit: int, leaves_out: bool
) -> list[str]:
    """Return what each minute is. Columns of nine, as minute_bars makes them; n_trades 0 where there is none.

    slack_unit  what a trade's notional may be off by; 0: nothing
    """
    kinds = []
    for mine, theirs in zip(ours, official, strict=True):
        has, given = mine[6] > 0, theirs[6] > 0 or theirs[4] > 0
        equal = all(abs(mine[row] - theirs[row]) <= (slack_unit * mine[6] if row in (5, 8) else 0) for row in range(9))
        spans = not has or (theirs[1] >= mine[1] and theirs[2] <= mine[2])
        more = spans and theirs[6] > mine[6] and all(theirs[row] >= mine[row] for row in (4, 5, 6, 7, 8))
        if not has and not given:
            kinds.append("silent")
        elif has and given and equal:
            kinds.append("equal")
        elif given and leaves_out and more:
            kinds.append("left_out")
        elif has and given:
            kinds.append("different")
        else:
            kinds.append("not_in_official" if has else "not_in_trades")
    return kinds
