"""Slow obvious twins of the simulator's aggregation: trades in, aggregate trades and bars out, in exact decimals."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

Trade = tuple[int, Decimal, Decimal, int, bool]  # id, price, quantity, time in milliseconds, buyer is maker
Agg = tuple[Decimal, Decimal, int, int, int, bool]  # price, quantity, first id, last id, time, buyer is maker
Bar = tuple[Decimal, ...]  # open, high, low, close, volume, quote volume, count, taker volume, taker quote volume


def agg_trades(trades: list[Trade]) -> list[Agg]:
    """Join neighbouring trades of one price, one side and one millisecond."""
    out: list[Agg] = []
    for trade_id, price, quantity, ms, maker in trades:
        if out and (out[-1][0], out[-1][4], out[-1][5]) == (price, ms, maker):
            last = out[-1]
            out[-1] = (price, last[1] + quantity, last[2], trade_id, ms, maker)
        else:
            out.append((price, quantity, trade_id, trade_id, ms, maker))
    return out


def bars(trades: list[Trade], opens: list[int], ends: list[int], close_before: Decimal | None) -> list[Bar]:
    """Return a bar for each [open, end) in milliseconds; an empty one repeats the close before it."""
    out: list[Bar] = []
    for opened, end in zip(opens, ends, strict=True):
        inside = [trade for trade in trades if opened <= trade[3] < end]
        if not inside:
            if close_before is not None:
                out.append((close_before,) * 4 + (Decimal(0),) * 5)
            continue
        prices = [trade[1] for trade in inside]
        taken = [trade for trade in inside if not trade[4]]
        close_before = prices[-1]
        out.append(
            (
                prices[0],
                max(prices),
                min(prices),
                prices[-1],
                sum((trade[2] for trade in inside), Decimal(0)),
                sum((trade[1] * trade[2] for trade in inside), Decimal(0)),
                Decimal(len(inside)),
                sum((trade[2] for trade in taken), Decimal(0)),
                sum((trade[1] * trade[2] for trade in taken), Decimal(0)),
            )
        )
    return out


def bar_opens(interval: str, first_ms: int, end_ms: int, offset_ms: int = 0) -> list[int]:
    """Return every opening time in [first, end): a walk over quarter hours that asks each whether a bar opens there."""
    hours = {"30m": 0.5, "1h": 1, "2h": 2, "4h": 4, "6h": 6, "8h": 8, "12h": 12, "1d": 24}
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    out = []
    for ms in range(-(-first_ms // 900_000) * 900_000, end_ms, 900_000):
        local = epoch + timedelta(milliseconds=ms + offset_ms)
        midnight = local.hour == local.minute == 0
        if (
            (interval in hours and (local.hour * 60 + local.minute) % (hours[interval] * 60) == 0)
            or (interval == "3d" and midnight and (local - epoch).days % 3 == 0)
            or (interval == "1w" and midnight and local.weekday() == 0)
            or (interval == "1mo" and midnight and local.day == 1)
        ):
            out.append(ms)
    return out
