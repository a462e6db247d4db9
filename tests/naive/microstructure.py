"""The microstructure columns of one bar the slow and obvious way: in fractions, None where one is not defined."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

Trade = tuple[int, int, int, int, int]  # id, ts, price, quantity, side: ticks and lots


def over(top: Fraction | int, bottom: Fraction | int) -> float | None:
    return float(Fraction(top) / Fraction(bottom)) if bottom else None


def columns(
    trades: Sequence[Trade],
    tick: Fraction,
    lot: Fraction,
    large: Fraction | None = None,
    wholes: Sequence[int] | None = None,
) -> dict[str, float | None]:
    """Return a bar's columns; `wholes` are the lots of the trades that these are pieces of, where some are cut."""
    price = [p * tick for _, _, p, _, _ in trades]
    size = [q * lot for _, _, _, q, _ in trades]
    side = [s for _, _, _, _, s in trades]
    pauses = [b[1] - a[1] for a, b in pairwise(trades)]
    change = [b - a for a, b in pairwise(price)]
    paid = [p * q for p, q in zip(price, size, strict=True)]
    signed = [s * q for s, q in zip(side, size, strict=True)]
    found: dict[str, float | None] = {
        "volume_imbalance": float(abs(sum(signed))),
        "signed_volume": float(sum(signed)),
        "signed_notional": float(sum(s * n for s, n in zip(side, paid, strict=True))),
        "signed_count": float(sum(side)),
        "amihud": over(abs(price[-1] / price[0] - 1), sum(paid)),
        "large_trade_share": None,
    }
    if large is not None:
        wholly = [p * q * lot for p, q in zip(price, wholes or [t[3] for t in trades], strict=True)]
        found["large_trade_share"] = over(sum(n for n, w in zip(paid, wholly, strict=True) if w >= large), sum(paid))
    return found | kyle(signed[1:], change) | roll(change) | jumps(change) | {"burstiness": burstiness(pauses)}


def kyle(signed: list[Fraction], change: list[Fraction]) -> dict[str, float | None]:
    sxy = sum(x * d for x, d in zip(signed, change, strict=True))
    sxx = sum(x * x for x in signed)
    some = bool(change)
    return {
        "kyle_lambda": over(sxy, sxx),
        "kyle_sxy": float(sxy) if some else None,
        "kyle_sxx": float(sxx) if some else None,
    }


def roll(change: list[Fraction]) -> dict[str, float | None]:
    pairs = list(pairwise(change))
    if len(pairs) < 2:
        return {"roll_covariance": None, "roll_spread": None}
    mean = [sum(pair[k] for pair in pairs) / len(pairs) for k in (0, 1)]
    covariance = sum((a - mean[0]) * (b - mean[1]) for a, b in pairs) / (len(pairs) - 1)
    spread = math.sqrt(float(-4 * covariance)) if covariance <= 0 else None
    return {"roll_covariance": float(covariance), "roll_spread": spread}


def burstiness(pauses: list[int]) -> float | None:
    if len(pauses) < 2 or not sum(pauses):
        return None
    mean = Fraction(sum(pauses), len(pauses))
    variance = sum((pause - mean) ** 2 for pause in pauses) / len(pauses)
    # Both times the number of pauses: there the mean is whole.
    deviation = math.sqrt(float(variance * len(pauses) ** 2))
    return (deviation - sum(pauses)) / (deviation + sum(pauses))


def jumps(change: list[Fraction]) -> dict[str, float | None]:
    moves = [abs(d) for d in change if d]
    variance = sum(d * d for d in moves)
    found: dict[str, float | None] = {
        "realized_variance": float(variance) if change else None,
        "bipower_variation": None,
        "jump_share": None,
    }
    if len(moves) > 1:
        products = Fraction(len(moves), len(moves) - 1) * sum(a * b for a, b in pairwise(moves))
        found["bipower_variation"] = math.pi / 2 * float(products)
        found["jump_share"] = max(0.0, 1.0 - math.pi / 2 * float(products / variance))
    return found
