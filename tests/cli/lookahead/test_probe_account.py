"""The probe of one account of many symbols: clean ones raise no alarm, and what looks ahead in them is named."""

import csv
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.lookahead.command import lines
from cli.lookahead.run import Finding
from services.backtest.adapters import inputs
from services.backtest.domain.portfolio import Account
from tests.cli.lookahead.bugs import BUGS
from tests.cli.lookahead.markets import CROSS, SMAS, TICK, pipeline, probed, trades
from tests.services.bars.runs import T0, imported, write_trades
from tickloom.contracts.artifact import Manifest

HOUR_US = 3_600_000_000
LONG = {"long_entry": "close > sma_{n}", "long_exit": "close < sma_{n}", "parameters": {"n": [2, 4]}}
BY_VOLATILITY = {"weights": {"kind": "inverse_volatility"}, "rebalance": {"on_signal": "all"}}
TARGET: dict[str, Any] = {
    "weights": {"kind": "volatility_target", "volatility": 0.4},
    "rebalance": {"on_signal": "none", "every": "6h", "threshold": 0.1},
    "limits": {"max_weight": 0.6, "max_gross": 1, "max_drawdown": 0.05, "cooldown": "12h", "max_daily_loss": 0.02},
}


@pytest.fixture
def three(source: Manifest, probe_home: Path) -> Manifest:
    """Three symbols; one is listed a day later, one ends a day earlier. Their bars close whenever they do."""
    assert source
    rows = {
        "AAA": trades(1),
        "BBB": trades(2, days=2),
        "CCC": [row for row in trades(3) if row[1] > T0 + 86_400_000_000],
    }
    files: dict[str, str] = {}
    for symbol, of in rows.items():
        files |= write_trades(probe_home / "imports", symbol, of)
    return imported(data_type="trades", files=files)


@pytest.fixture
def hourly(source: Manifest, probe_home: Path) -> Manifest:
    """Three symbols whose klines all close on the hour, some of them missing, one listed later."""
    assert source
    files = {}
    for s, symbol in enumerate(("AAA", "BBB", "CCC")):
        rng, price = random.Random(s), 100.0
        with (probe_home / "imports" / f"hourly{symbol}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["timestamp", "open", "high", "low", "close", "volume"])
            for k in range(30 * (s == 2), 96):
                opened = price
                price = max(price * (1 + rng.gauss(0, 0.01)), 20)
                high, low = max(opened, price) * 1.001, min(opened, price) * 0.999
                if rng.random() < 0.95:
                    values = (f"{value:.2f}" for value in (opened, high, low, price))
                    writer.writerow([(T0 + k * HOUR_US) // 1000, *values, rng.randint(1, 99)])
        files[symbol] = f"hourly{symbol}.csv"
    return imported(data_type="klines", interval="1h", files=files)


def found_in(source: Manifest, spec: Any, signals: Any, portfolio: Any, **asked: Any) -> Finding:
    account = {"portfolio": portfolio, "volatility_bars": 8}
    return probed(source, pipeline(spec, SMAS, signals, **account), **asked)


TRADED = [(TICK, LONG, {}), ({"kind": "dollar", "threshold": 600}, CROSS, BY_VOLATILITY), (TICK, CROSS, TARGET),
          ({"kind": "time", "interval": "1h"}, CROSS, BY_VOLATILITY)]  # fmt: skip


@pytest.mark.parametrize(("spec", "signals", "portfolio"), TRADED, ids=["tick", "dollar", "target", "time"])
def test_c1b_a_clean_account_of_many_symbols_raises_no_alarm(
    three: Manifest, spec: Any, signals: Any, portfolio: Any
) -> None:
    found = found_in(three, spec, signals, portfolio, cuts=8, seed=len(str(spec)))
    assert found.leaks == ()
    assert not found.refused
    assert set(found.stages) == {"bars", "features", "signals", "fills", "equity"}
    assert found.symbols == ("AAA", "BBB", "CCC")


@pytest.mark.parametrize(("interval", "portfolio"), [("1h", TARGET), ("4h", BY_VOLATILITY)], ids=["1h", "4h"])
def test_c1b_a_clean_account_over_klines_raises_no_alarm(hourly: Manifest, interval: str, portfolio: Any) -> None:
    found = found_in(hourly, {"kind": "time", "interval": interval}, LONG, portfolio, cuts=4, seed=3)
    assert found.leaks == ()
    assert not found.refused
    assert set(found.stages) == {"bars", "features", "signals", "fills", "equity"}


def account(change: Callable[[Account, Any], tuple[Account, Any]]) -> Callable[[pytest.MonkeyPatch], None]:
    def plant(patch: pytest.MonkeyPatch) -> None:
        true = Account.run

        def run(self: Account, masks: Any, rules: Any = None, *, keep: bool = False) -> Any:
            changed, masks = change(self, masks)
            return true(changed, masks, rules, keep=keep)

        patch.setattr(Account, "run", run)

    return plant


def at_the_close(self: Account, masks: Any) -> tuple[Account, Any]:
    return replace(self, markets=self.markets._replace(open=self.markets.close)), masks


def later_winners(self: Account, masks: Any) -> tuple[Account, Any]:
    """Hold those alone that end higher than the others."""
    gains = [prices.close[-1] / prices.close[0] for prices in self.prices]
    kept = [np.full(one.close.size, gain == max(gains)) for one, gain in zip(self.prices, gains, strict=True)]
    return self, np.where(np.concatenate(kept), masks, 0).astype(masks.dtype)


def signals_of_the_next_bar(self: Account, masks: Any) -> tuple[Account, Any]:
    return self, np.append(masks[1:], 0).astype(masks.dtype)


def volatility_to_come(patch: pytest.MonkeyPatch) -> None:
    true = inputs.merged

    def merged(*args: Any, **kwargs: Any) -> Any:
        made = true(*args, **kwargs)
        return made._replace(volatility=np.append(made.volatility[1:], np.nan))

    patch.setattr(inputs, "merged", merged)


ACCOUNT_BUGS = {
    "a fill at the same bar's close": account(at_the_close),
    "a universe of later winners": account(later_winners),
    "signals of the next bar": account(signals_of_the_next_bar),
    "weights by the volatility to come": volatility_to_come,
}


@pytest.mark.parametrize("name", ACCOUNT_BUGS)
@pytest.mark.parametrize("market", ["three", "hourly"])
def test_c1b_a_bug_planted_in_an_account_of_many_symbols_is_caught(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, market: str, name: str
) -> None:
    ACCOUNT_BUGS[name](monkeypatch)
    spec = TICK if market == "three" else {"kind": "time", "interval": "1h"}
    found = found_in(request.getfixturevalue(market), spec, CROSS, BY_VOLATILITY, cuts=2, seed=1)
    assert found.leaks, f"{name} was not caught"
    assert found.leaks[0].stage == "fills"
    assert "LOOK-AHEAD in fills" in lines(found)[0]


def test_c1b_a_bug_before_the_account_is_named_in_its_own_stage(
    hourly: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    BUGS["bfill"][0](monkeypatch)
    found = found_in(hourly, {"kind": "time", "interval": "1h"}, LONG, TARGET, cuts=1)
    assert found.leaks[0].stage == "features"


def test_a_fill_of_an_account_at_a_price_that_never_was_is_named(
    hourly: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cheaper(self: Account, masks: Any) -> tuple[Account, Any]:
        return replace(self, markets=self.markets._replace(open=self.markets.open * 0.9)), masks

    account(cheaper)(monkeypatch)
    first = found_in(hourly, {"kind": "time", "interval": "1h"}, LONG, {}, cuts=1).leaks[0]
    assert (first.stage, first.column) == ("fills", "fill_price")
