"""Made trades look like real ones, and every day keeps the promises of its calendar."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exchange_sim.bars import day_bars
from exchange_sim.calendar import calendar
from exchange_sim.dataset import Dataset
from exchange_sim.intervals import DAY_US, Grid
from exchange_sim.market import MadeMarket
from exchange_sim.symbols import SYMBOLS
from exchange_sim.trades import EPOCH, _activity, make_day

INDEX = 2300


@pytest.fixture(scope="module", params=["BTCUSDT", "ETHUSDT", "XRPUSDT"])
def market(request):
    return MadeMarket(Dataset(), "spot", request.param)


def closes(market: MadeMarket, interval: str, n_days: int) -> np.ndarray:
    grid = Grid(interval)
    start = ((market.calendar.listed - EPOCH).days + INDEX) * DAY_US
    return market.klines(grid, grid.between(start, start + n_days * DAY_US)).close


def kurtosis(values: np.ndarray) -> float:
    centred = values - values.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2)


def autocorrelation(values: np.ndarray, lag: int) -> float:
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / (centred**2).mean())


def test_minute_returns_have_heavy_tails(market):
    assert kurtosis(np.diff(np.log(closes(market, "1m", 14)))) > 4


def test_volatility_comes_in_clusters_and_returns_do_not(market):
    returns = np.diff(np.log(closes(market, "1m", 14)))
    n = returns.size
    for lag in (1, 5, 10, 30):
        assert autocorrelation(np.abs(returns), lag) > 3 / np.sqrt(n)
    assert autocorrelation(returns**2, 1) > 3 / np.sqrt(n)
    assert abs(autocorrelation(returns, 1)) < 0.05


def test_days_are_volatile_in_clusters_and_heavy_tailed(market):
    returns = np.diff(np.log(market.calendar.close[:3000].astype(float)))
    assert kurtosis(returns) > 4
    assert autocorrelation(np.abs(returns), 1) > 3 / np.sqrt(returns.size)


def test_the_aggressor_keeps_his_side(market):
    side = np.concatenate([market.day(INDEX + n).side for n in range(3)]).astype(float)
    assert autocorrelation(side, 1) > 0.5
    assert autocorrelation(side, 5) > 0.1
    assert abs(side.mean()) < 0.1


def test_the_afternoon_is_busier_than_the_night(market):
    hours = np.concatenate([(market.day(INDEX + n).ts % DAY_US) // 3_600_000_000 for n in range(14)])
    share = np.bincount(hours, minlength=24) / hours.size
    assert share[13:17].mean() > 1.5 * share[3:7].mean()
    assert share.min() > 0.01


def test_trades_arrive_in_bursts(market):
    """A Poisson stream has a variance of its mean; news and answers to trades make it many times that."""
    per_second = np.bincount((market.day(INDEX).ts % DAY_US) // 1_000_000, minlength=86_400)
    assert per_second.var() > 2 * per_second.mean()


def test_sizes_are_skewed_and_often_round(market):
    lots = market.day(INDEX).quantity
    assert lots.mean() > 1.5 * np.median(lots)
    digits = 10 ** np.floor(np.log10(lots)).astype(np.int64)
    assert (lots[lots > 100] % digits[lots > 100] == 0).mean() > 0.2


def test_prices_stay_plausible_for_years(market):
    spec = SYMBOLS[market.symbol]
    price = market.calendar.close[:3500] / 10**market.rules.price_places
    assert price.max() < 30 * spec.level
    assert price.min() > spec.level / 100


def test_counts_are_near_what_was_asked_for():
    for size in (10, 400, 20_000, 5_000_000):
        counts = calendar(7, size, "BTCUSDT", "spot").n_trades[:3000]
        assert abs(counts.mean() / size - 1) < 0.1
        assert 0.5 * size - 1 <= counts.min() <= counts.max() <= 1.5 * size + 1


def test_every_symbol_fits_the_eight_decimals_of_spot_archives():
    for symbol in SYMBOLS.values():
        if symbol.spot is not None:
            assert symbol.spot.price_places + symbol.spot.quantity_places <= 8
            assert symbol.um is None or symbol.um.listed >= symbol.spot.listed
            assert symbol.listed == symbol.spot.listed


@hypothesis_settings(max_examples=60)
@given(
    seed=st.integers(0, 2**63 - 1),
    size=st.sampled_from([10, 11, 50, 1000, 20_000]),
    where=st.sampled_from([("BTCUSDT", "spot"), ("SOLUSDT", "um"), ("DOGEUSDT", "spot"), ("币安人生USDT", "spot")]),
    index=st.integers(0, 3000),
)
def test_any_day_keeps_the_promises_of_its_calendar(seed, size, where, index):
    days = calendar(seed, size, *where)
    day = make_day(seed, *where, days, index)
    assert day.quantity.size == days.n_trades[index] == day.fills.sum()
    assert day.ts.size == days.n_aggs[index]
    assert day.price[-1] == days.close[index + 1]
    assert day.price.min() >= 1
    assert day.fills.min() >= 1
    assert day.quantity.min() >= 1
    assert (np.diff(day.ts) >= 0).all()
    midnight = ((days.listed - EPOCH).days + index) * DAY_US
    assert midnight <= day.ts[0] <= day.ts[-1] < midnight + DAY_US
    neighbours = (np.diff(day.ts // 1000) == 0) & (np.diff(day.price) == 0) & (np.diff(day.side) == 0)
    assert not neighbours.any()


def test_a_crowded_day_keeps_its_promises_too():
    days = calendar(11, 3_000_000, "DOGEUSDT", "spot")
    day = make_day(11, "DOGEUSDT", "spot", days, 0)
    neighbours = (np.diff(day.ts // 1000) == 0) & (np.diff(day.price) == 0) & (np.diff(day.side) == 0)
    assert not neighbours.any()
    assert day.price.min() >= 1


def test_a_day_is_the_same_whether_or_not_others_were_made():
    days = calendar(5, 1000, "BTCUSDT", "spot")
    alone = make_day(5, "BTCUSDT", "spot", days, 100)
    for index in (99, 101):
        make_day(5, "BTCUSDT", "spot", days, index)
    again = make_day(5, "BTCUSDT", "spot", days, 100)
    for name in ("ts", "price", "side", "fills", "quantity"):
        assert np.array_equal(getattr(alone, name), getattr(again, name))


def test_the_size_of_a_market_does_not_move_its_daily_closes():
    assert np.array_equal(calendar(5, 10, "BTCUSDT", "spot").close, calendar(5, 1000, "BTCUSDT", "spot").close)


def test_a_sum_that_might_not_fit_is_refused():
    from dataclasses import replace

    day = make_day(5, "BTCUSDT", "spot", calendar(5, 10, "BTCUSDT", "spot"), 0)
    with pytest.raises(OverflowError, match="trades_per_day"):
        day_bars(replace(day, price=day.price * 2**40), Grid("1d"), SYMBOLS["BTCUSDT"].rules("spot"))


def test_most_days_have_wild_and_quiet_stretches_without_any_news():
    spread = [np.log(_activity(np.random.default_rng(seed))).std() for seed in range(60)]
    assert np.quantile(spread, 0.1) > 0.15
