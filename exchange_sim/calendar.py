"""The days of a made market: each day's close, volatility and number of trades, known without making the days before.

Ids run on from day to day and a day opens where the last one closed, yet any day can be made alone: closes and counts
come from one cheap walk over days, ids from running sums of the counts. The walk is drawn over a fixed horizon, so
it does not depend on which day is asked for.

Source: GARCH(1,1), Bollerslev (1986), with Student t innovations; the log price is drawn back to a level (an
Ornstein-Uhlenbeck term), which the source does not have, so that prices stay plausible over decades.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from exchange_sim.symbols import SYMBOLS, Market, Symbol

HORIZON = date(2100, 1, 1)
FIRST_ID: dict[Market, int] = {"spot": 0, "um": 1, "cm": 1}
_ALPHA, _BETA = 0.08, 0.88
_REVERSION = 1 / 400  # per day
_LARGEST_MOVE = 0.25  # log return of one day
_FEWEST_TICKS = 150  # no close is lower: one tick stays a small step
_T_DF = 4.0
_MARKET_STREAM: dict[Market, int] = {"spot": 1, "um": 2, "cm": 3}
_WALK_STREAM = 0

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Calendar:
    """The days of one symbol on one market; index 0 is the listing day.

    close        (n_days + 1,)  ticks; close[i] is the last price before day i, close[i + 1] the last price of day i
    vol          (n_days,)      standard deviation of the day's return
    n_trades     (n_days,)      > 0
    n_aggs       (n_days,)      0 < n_aggs <= n_trades
    first_trade  (n_days + 1,)  id of the first trade of day i
    first_agg    (n_days + 1,)  id of the first aggregate trade of day i
    """

    listed: date
    close: I64
    vol: F64
    n_trades: I64
    n_aggs: I64
    first_trade: I64
    first_agg: I64

    def index(self, day: date) -> int:
        """Return the index of a day; negative before the listing."""
        return (day - self.listed).days

    def day(self, index: int) -> date:
        """Return the day of an index."""
        return self.listed + timedelta(days=index)


def random_stream(seed: int, symbol: str, stream: int, day: int) -> np.random.Generator:
    """Return the generator of one (seed, symbol, stream, day): equal arguments draw equal numbers anywhere."""
    key = int.from_bytes(hashlib.sha256(symbol.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, key, stream, day])))


def day_stream(seed: int, symbol: str, market: Market, day: date) -> np.random.Generator:
    """Return the generator of one day of one market."""
    return random_stream(seed, symbol, _MARKET_STREAM[market], day.toordinal())


@lru_cache(maxsize=128)
def calendar(seed: int, trades_per_day: int, symbol: str, market: Market) -> Calendar:
    """Return the calendar of a listed symbol, or raise KeyError. O(days from the listing to 2100), then cached."""
    spec = SYMBOLS[symbol]
    rules = spec.rules(market)
    if rules is None:
        raise KeyError(f"{symbol} is not listed on {market}")
    prices, vol = _daily_walk(seed, spec)
    skipped = (rules.listed - spec.listed).days
    prices, vol = prices[skipped:], vol[skipped:]
    rng = random_stream(seed, symbol, _MARKET_STREAM[market], 0)
    n_days = vol.size
    basis = 0.0 if market == "spot" else 0.0004 * rng.standard_normal(n_days + 1)
    ticks = np.rint(prices * (1 + basis) * 10**rules.price_places)
    close = np.maximum(ticks, _FEWEST_TICKS).astype(np.int64)
    n_trades = _counts(rng, trades_per_day, vol / spec.daily_vol, rules.listed)
    n_aggs = np.maximum(1, (n_trades * (0.56 + 0.12 * rng.random(n_days))).astype(np.int64))
    first_trade, first_agg = _running(n_trades, FIRST_ID[market]), _running(n_aggs, FIRST_ID[market])
    return Calendar(rules.listed, close, vol, n_trades, n_aggs, first_trade, first_agg)


@lru_cache(maxsize=32)
def _daily_walk(seed: int, spec: Symbol) -> tuple[F64, F64]:
    """Return the prices (n_days + 1,) at the ends of days and the volatilities (n_days,), from the first listing on."""
    n_days = (HORIZON - spec.listed).days
    rng = random_stream(seed, spec.name, _WALK_STREAM, 0)
    shocks = (rng.standard_t(_T_DF, n_days) / math.sqrt(_T_DF / (_T_DF - 2))).tolist()
    level, log_price = math.log(spec.level), math.log(spec.first_price)
    long_run = spec.daily_vol**2
    variance = long_run
    prices, vols = [spec.first_price], []
    for shock in shocks:
        vol = math.sqrt(variance)
        move = max(-_LARGEST_MOVE, min(_LARGEST_MOVE, vol * shock))
        log_price += move + _REVERSION * (level - log_price)
        variance = (1 - _ALPHA - _BETA) * long_run + _ALPHA * move * move + _BETA * variance
        prices.append(math.exp(log_price))
        vols.append(vol)
    return np.array(prices), np.array(vols)


def _counts(rng: np.random.Generator, trades_per_day: int, relative_vol: F64, listed: date) -> I64:
    """Return the trades of each day: more on volatile days, fewer on weekends, 0.5 to 1.5 times the mean."""
    weekday = (listed.weekday() + np.arange(relative_vol.size)) % 7
    factor = np.sqrt(relative_vol) * np.where(weekday >= 5, 0.89, 1.11) * (1 + 0.12 * rng.standard_normal(weekday.size))
    return np.maximum(1, np.rint(trades_per_day * np.clip(factor, 0.5, 1.5))).astype(np.int64)


def _running(counts: I64, first: int) -> I64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]) + first
