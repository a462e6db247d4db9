"""Golden accounts of many symbols: the twin in decimals (C6), the books (C3), and what comes later (C1)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.backtest.domain.portfolio import Account
from services.backtest.domain.timeline import merged
from services.backtest.kernels.portfolio import PortfolioRun
from services.backtest.kernels.types import Prices
from tests.golden.__main__ import kept
from tests.golden.accounts import ACCOUNTS, Shared, account_of
from tests.naive import portfolio as naive
from tests.services.backtest.portfolios import ON_SIGNAL, WEIGHTINGS
from tickloom.kernel import I8

every_account = pytest.mark.parametrize("shared", ACCOUNTS, ids=lambda shared: shared.name)
REASONS = ("signal", "rebalance", "drawdown", "daily_loss", "margin", "open", "liquidation")


@pytest.fixture
def data(shared: Shared, request: pytest.FixtureRequest) -> Path | None:
    return None if shared.is_made else request.getfixturevalue("shared_data")


def run(account: Account, masks: Iterable[I8]) -> PortfolioRun:
    return account.run(np.concatenate(list(masks)), keep=True)


def twin_of(account: Account, masks: list[I8]) -> naive.Twin:
    volatility, at, symbols = account.markets.volatility, 0, []
    for prices, opens, mask in zip(account.prices, account.ts_open, masks, strict=True):
        n = prices.close.size
        columns = (opens, prices.ts_close, prices.open, prices.close, prices.high, prices.low)
        symbols.append(
            {
                "bars": list(zip(*(column.tolist() for column in columns), strict=True)), "masks": mask.tolist(),
                "volatility": volatility[at : at + n].tolist() if volatility.size else [float("nan")] * n,
            }
        )  # fmt: skip
        at += n
    plan = account.plan
    words: dict[str, Any] = plan._asdict()
    words |= {"weighting": WEIGHTINGS[plan.weighting], "on_signal": ON_SIGNAL[plan.on_signal]}
    return naive.Twin(symbols, account.rules._asdict(), words).run()


@every_account
def test_c6_the_twin_in_decimals_fills_the_same(shared: Shared, data: Path | None) -> None:
    account, masks = account_of(shared, data)
    found = run(account, masks)
    with naive.decimals():
        twin = twin_of(account, masks)
    assert found.fills.symbol.tolist() == [fill["symbol"] for fill in twin.fills]
    assert found.fills.side.tolist() == [fill["side"] for fill in twin.fills]
    assert [REASONS[why] for why in found.fills.reason.tolist()] == [fill["reason"] for fill in twin.fills]
    for name in ("quantity", "price"):
        expected = [float(fill[name]) for fill in twin.fills]
        np.testing.assert_allclose(getattr(found.fills, name), expected, rtol=1e-9, atol=1e-9)
    equity = [float(row["equity"]) for row in twin.curve]
    np.testing.assert_allclose(found.curve.equity, equity, rtol=1e-9, atol=1e-6)


@every_account
def test_c3_the_books_balance_at_every_close(shared: Shared, data: Path | None) -> None:
    account, masks = account_of(shared, data)
    found = run(account, masks)
    near = {"rtol": 1e-9, "atol": 1e-9 * account.rules.initial_cash}
    np.testing.assert_allclose(found.curve.cash + found.curve.net, found.curve.equity, **near)
    np.testing.assert_allclose(found.trades.pnl.sum(), found.curve.equity[-1] - account.rules.initial_cash, **near)
    for s in range(len(shared.markets)):
        moved = (found.fills.side * found.fills.quantity)[found.fills.symbol == s].sum()
        np.testing.assert_allclose(found.curve.position[-1, s], moved, rtol=1e-9, atol=1e-6)


def cut_at(account: Account, masks: list[I8], ts: int, warm_up: int) -> tuple[Account, list[I8]]:
    """The account and its masks as far as bars had closed at `ts`, and one bar more of each symbol, poisoned."""
    prices, opens, said = [], [], []
    for one, opened, mask in zip(account.prices, account.ts_open, masks, strict=True):
        n = min(int((one.ts_close <= ts).sum()) + 1, one.close.size)
        late = np.flatnonzero(one.ts_close[:n] > ts)
        columns = {name: getattr(one, name)[:n].copy() for name in Prices._fields if getattr(one, name).size}
        columns = {name: column for name, column in columns.items() if name not in ("last_bar", "close_sum")}
        columns["close"][late], columns["high"][late], columns["low"][late] = 1e9, 1e9, 1e-9
        prices.append(one._replace(**columns))
        opens.append(opened[:n])
        said.append(mask[:n].copy())
        said[-1][late] = 15
    markets = merged(prices, opens, read_volatility=bool(account.markets.volatility.size), warm_up=warm_up)
    return Account(account.symbols, tuple(prices), tuple(opens), markets, account.rules, account.plan), said


@pytest.mark.parametrize("n_cuts", [5, pytest.param(50, marks=pytest.mark.chaos)])
@every_account
def test_c1_bars_of_a_later_time_change_nothing_of_an_account_before_it(
    shared: Shared, data: Path | None, n_cuts: int
) -> None:
    account, masks = account_of(shared, data)
    whole, rng = run(account, masks), np.random.default_rng(len(shared.name))
    warm_up = shared.of(shared.markets[0]).backtest_request().volatility_bars
    closed = np.concatenate([prices.ts_close for prices in account.prices])
    for ts in [*rng.choice(closed[whole.fills.bar], n_cuts), *rng.choice(whole.curve.ts, n_cuts)]:
        found = run(*cut_at(account, masks, int(ts), warm_up))
        n = int((whole.curve.ts <= ts).sum())
        for name in ("ts", "equity", "cash", "gross", "net", "n_held"):
            np.testing.assert_array_equal(getattr(found.curve, name)[:n], getattr(whole.curve, name)[:n])
        np.testing.assert_array_equal(found.curve.position[:n], whole.curve.position[:n])


def test_c5_between_them_the_accounts_fill_for_every_reason_and_are_liquidated() -> None:
    counts = [kept()[shared.name]["counts"] for shared in ACCOUNTS]
    fills = {name.removeprefix("fills by ") for count in counts for name in count if name.startswith("fills by ")}
    assert fills == {"signal", "rebalance", "max_drawdown", "max_daily_loss", "liquidation"}
