"""The features, slowly and obviously: plain Python over lists, every window from scratch, exact sums."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

NAN = math.nan


def _windows(x: Sequence[float], timeperiod: int, of: Callable[[list[float]], float]) -> list[float]:
    """Return `of` each full window of finite values, NaN where there is none."""
    out = []
    for end in range(1, len(x) + 1):
        window = list(x[max(0, end - timeperiod) : end])
        full = len(window) == timeperiod and all(math.isfinite(value) for value in window)
        out.append(of(window) if full else NAN)
    return out


def _mean(window: Sequence[float]) -> Fraction:
    return sum((Fraction(value) for value in window), Fraction(0)) / len(window)


def _deviation(window: Sequence[float]) -> float:
    mean = _mean(window)
    variance = sum(((Fraction(value) - mean) ** 2 for value in window), Fraction(0)) / len(window)
    return math.sqrt(variance)


def _zscore(window: Sequence[float]) -> float:
    deviation = _deviation(window)
    return float(Fraction(window[-1]) - _mean(window)) / deviation if deviation > 0 else NAN


def _after_gap(x: Sequence[float]) -> tuple[int, int]:
    """Return where the first unbroken stretch of finite values begins and ends."""
    first = next((i for i, value in enumerate(x) if math.isfinite(value)), len(x))
    end = next((i for i in range(first, len(x)) if not math.isfinite(x[i])), len(x))
    return first, end


def sma(x: Sequence[float], timeperiod: int) -> list[float]:
    return _windows(x, timeperiod, lambda window: float(_mean(window)))


def stddev(x: Sequence[float], timeperiod: int) -> list[float]:
    return _windows(x, timeperiod, _deviation)


def zscore(x: Sequence[float], timeperiod: int) -> list[float]:
    return _windows(x, timeperiod, _zscore)


def bbands(x: Sequence[float], timeperiod: int, nbdevup: float, nbdevdn: float) -> tuple[list[float], ...]:
    middle, deviation = sma(x, timeperiod), stddev(x, timeperiod)
    upper = [m + nbdevup * d for m, d in zip(middle, deviation, strict=True)]
    lower = [m - nbdevdn * d for m, d in zip(middle, deviation, strict=True)]
    return upper, middle, lower


def donchian(high: Sequence[float], low: Sequence[float], timeperiod: int) -> tuple[list[float], ...]:
    upper = _windows(high, timeperiod, max)
    lower = _windows(low, timeperiod, min)
    return upper, [(a + b) / 2 for a, b in zip(upper, lower, strict=True)], lower


def ema(x: Sequence[float], timeperiod: int) -> list[float]:
    first, end = _after_gap(x)
    out = [NAN] * len(x)
    alpha = 2 / (timeperiod + 1)
    for i in range(first + timeperiod - 1, end):
        if i == first + timeperiod - 1:
            out[i] = math.fsum(x[first : i + 1]) / timeperiod
        else:
            out[i] = alpha * x[i] + (1 - alpha) * out[i - 1]
    return out


def _wilder(x: Sequence[float], timeperiod: int) -> list[float]:
    """Return Wilder's average after each value of x: the mean of the first timeperiod, then one part in timeperiod."""
    out: list[float] = []
    for i, value in enumerate(x):
        if i < timeperiod:
            out.append(math.fsum(x[:timeperiod]) / timeperiod if i == timeperiod - 1 else NAN)
        else:
            out.append((out[-1] * (timeperiod - 1) + value) / timeperiod)
    return out


def rsi(x: Sequence[float], timeperiod: int) -> list[float]:
    first, end = _after_gap(x)
    changes = [x[i] - x[i - 1] for i in range(first + 1, end)]
    gains = _wilder([max(change, 0.0) for change in changes], timeperiod)
    losses = _wilder([max(-change, 0.0) for change in changes], timeperiod)
    out = [NAN] * len(x)
    for i, (gain, loss) in enumerate(zip(gains, losses, strict=True), start=first + 1):
        out[i] = 0.0 if gain + loss == 0 else 100 * gain / (gain + loss)
    return out


def atr(high: Sequence[float], low: Sequence[float], close: Sequence[float], timeperiod: int) -> list[float]:
    first, end = _after_gap([sum(bar) for bar in zip(high, low, close, strict=True)])
    ranges = [
        max(high[i], close[i - 1]) - min(low[i], close[i - 1])  # the true high less the true low
        for i in range(first + 1, end)
    ]
    out = [NAN] * len(close)
    for i, average in enumerate(_wilder(ranges, timeperiod), start=first + 1):
        out[i] = average
    return out


def mom(x: Sequence[float], timeperiod: int) -> list[float]:
    ends = [(x[i], x[i - timeperiod] if i >= timeperiod else NAN) for i in range(len(x))]
    return [now - before if math.isfinite(now) and math.isfinite(before) else NAN for now, before in ends]


def log_return(x: Sequence[float], timeperiod: int) -> list[float]:
    ends = [(x[i], x[i - timeperiod] if i >= timeperiod else NAN) for i in range(len(x))]
    good = [math.isfinite(now) and math.isfinite(before) and now > 0 and before > 0 for now, before in ends]
    return [math.log(now / before) if ok else NAN for ok, (now, before) in zip(good, ends, strict=True)]


def volatility(close: Sequence[float], timeperiod: int) -> list[float]:
    return stddev(log_return(close, 1), timeperiod)
