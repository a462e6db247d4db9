"""Tasks of the backtest stage: a batch of trials to their metrics, and the best trial to its trades and curve."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from services.backtest.adapters.finished import Row, fresh, keep
from services.backtest.adapters.inputs import (
    acting,
    bars_opener,
    joined,
    read_account,
    read_masks,
    read_prices,
    read_signals,
    read_volume,
)
from services.backtest.adapters.portfolio import summary, tables
from services.backtest.adapters.tables import equity_table, trades_table
from services.backtest.adapters.trades import exit_trades
from services.backtest.domain.account import account_rules
from services.backtest.domain.guess import against_guess
from services.backtest.domain.inside import Opener
from services.backtest.domain.judgement import judge
from services.backtest.domain.luck import daily_returns
from services.backtest.domain.metrics import (
    buy_and_hold_return,
    figures,
    metrics,
)
from services.backtest.domain.portfolio import (
    Account,
    buy_and_hold,
    judge_portfolio,
    last_of_days,
)
from services.backtest.domain.portfolio import outcome as outcome_of
from services.backtest.domain.untraded import untraded_facts
from services.backtest.kernels.types import (
    Signal,
)
from tickloom.contracts.artifact import FileEntry, Part
from tickloom.contracts.backtest import BacktestRequest
from tickloom.contracts.portfolio import PORTFOLIO
from tickloom.identity import digest
from tickloom.kernel import F64, I8, I64
from tickloom.lake import Lake
from tickloom.strategy.rules import Rules

STAGE = "backtest"


def run_batch(
    lake: Lake,
    key: str,
    symbol: str,
    features: FileEntry,
    signals: FileEntry,
    request: BacktestRequest,
    partitions: Sequence[FileEntry] = (),
) -> Part:
    """Run the trials of one file of signals over one symbol's bars; the part keeps their metrics, in order.

    partitions  the trades that the bars were made of, none for bars that were made of none

    Each is written down as soon as it is finished, and is not run again by whoever goes on after a kill.
    """
    if made := lake.part(STAGE, key):  # by this very task, in a process that was killed before it could answer
        return made
    prices, ts_open = read_prices(lake, symbol, features, request)
    rules = account_rules(request)
    opener = bars_opener(lake, symbol, features, prices, request, partitions)[0]
    benchmark = buy_and_hold_return(prices, rules)
    trials = (
        (combo, partial(run_trial, opener, combo, signal, rules, benchmark, request.objective))
        for combo, signal in read_signals(lake, signals, acting(prices, ts_open, request))
    )
    facts = {"symbol": symbol, "n_bars": int(prices.close.size), "has_trades": opener.has_trades}
    return _finished(lake, key, prices.ts_close[prices.last_bar[1:]], trials, facts)


def _finished(
    lake: Lake, key: str, ts: I64, trials: Iterable[tuple[int, Callable[[], tuple[Row, F64]]]], facts: dict[str, Any]
) -> Part:
    """Run those trials of a batch that nobody has written down yet, and keep all of them as one part.

    ts      the closes that end days, (n_days - 1,)
    trials  (combo, what runs it), in order
    """
    rows: list[Row] = []
    returns: dict[str, Any] = {"ts": ts}
    journal = lake.journal(STAGE, key)
    known = {row["combo"]: (row, daily) for row, daily in fresh(journal)}
    with journal.writer() as writer:
        for combo, run in trials:
            if combo not in known:
                known[combo] = run()
                keep(writer, *known[combo])
            row, returns[str(combo)] = known[combo]
            rows.append(row)
    symbol = facts["symbol"]
    name = f"returns/{symbol}/{rows[0]['combo']:05}-{rows[-1]['combo']:05}.parquet"
    file = lake.add_table(name, pa.table(returns), facts={"symbol": symbol})
    return lake.put_part(STAGE, key, Part(files=(file,), facts=facts | {"trials": rows}))


def run_trial(
    opener: Opener, combo: int, signal: Signal, rules: Rules, benchmark: float, objective: str
) -> tuple[Row, F64]:
    """Return a trial's metrics, what hung on the inside of bars, and its daily returns, (n_days - 1,)."""
    resolved = opener.run(signal, rules)
    inside = against_guess(opener.prices, rules, resolved, benchmark, objective)
    found = metrics(opener.prices, rules, resolved.outcome, resolved.daily, benchmark)
    return {"combo": combo, "inside": inside, **found}, daily_returns(resolved.daily)


def run_best(
    lake: Lake,
    key: str,
    symbol: str,
    features: FileEntry,
    signals: FileEntry,
    combo: int,
    request: BacktestRequest,
    partitions: Sequence[FileEntry] = (),
) -> Part:
    """Run one trial again, by the same loop, and keep its trades and its curve; `partitions` as in `run_batch`."""
    prices, ts_open = read_prices(lake, symbol, features, request)
    rules = account_rules(request)
    ((_, signal),) = read_signals(lake, signals, acting(prices, ts_open, request), combo)
    opener, reader = bars_opener(lake, symbol, features, prices, request, partitions)
    outcome, _, curve, trades = opener.full(signal, rules)
    facts = {"symbol": symbol, "combo": combo}
    table = trades_table(prices, ts_open, trades, exit_trades(trades, reader), read_volume(lake, features))
    files = (
        lake.add_table(f"trades/{symbol}.parquet", table, facts=facts),
        lake.add_table(f"equity/{symbol}.parquet", equity_table(prices, rules, curve), facts=facts),
    )
    return lake.put_part(STAGE, key, Part(files=files, facts=facts | _told(table, outcome.n_refused)))


def _told(trades: pa.Table, n_refused: int) -> dict[str, Any]:
    """Return what else is told of the best trial, whose trades these are."""
    untraded = untraded_facts(trades["n_untraded"].to_numpy(), trades["pnl"].to_numpy())
    return {"n_refused": n_refused, "untraded": untraded}


def run_luck(
    lake: Lake,
    key: str,
    symbol: str,
    features: FileEntry,
    signals: FileEntry,
    combo: int,
    returns: Sequence[FileEntry],
    request: BacktestRequest,
    partitions: Sequence[FileEntry] = (),
) -> Part:
    """Judge the choice of the best trial among the symbol's; `returns` are the files of `run_batch`, in order."""
    prices, ts_open = read_prices(lake, symbol, features, request)
    rules = account_rules(request)
    ((_, signal),) = read_signals(lake, signals, acting(prices, ts_open, request), combo)
    opener = bars_opener(lake, symbol, features, prices, request, partitions)[0]
    outcome, _, _, trades = opener.full(signal, rules)
    together = joined(lake, returns)
    names = together.column_names[1:]
    panel = np.stack([together[name].to_numpy() for name in names], axis=1)
    # Of what the numbers come from alone, so that the draws are the same however the trials were cut into batches.
    seed = int(digest([STAGE, symbol, features.sha256, combo, request.canonical()])[:15], 16)
    column = names.index(str(combo))
    facts = judge(prices, opener.summary, signal, rules, outcome, trades, panel, column, seed=seed)
    text = json.dumps(facts, indent=2, allow_nan=False)
    files = (
        lake.add_table(f"returns/{symbol}.parquet", together, facts={"symbol": symbol}),
        lake.add_bytes(f"luck/{symbol}.json", text.encode()),
    )
    return lake.put_part(STAGE, key, Part(files=files, facts={"symbol": symbol, "tries": facts["tries"]}))


def run_account_batch(
    lake: Lake,
    key: str,
    symbols: Sequence[str],
    features: Sequence[FileEntry],
    signals: Sequence[FileEntry],
    request: BacktestRequest,
) -> Part:
    """Do what `run_batch` does for all symbols on one account; one file of features and of signals a symbol."""
    if made := lake.part(STAGE, key):
        return made
    account = read_account(lake, symbols, features, request)
    ts = account.closes()
    benchmark = float(buy_and_hold(account, ts[-1:])[0] / request.initial_cash - 1.0)
    trials = (
        (combo, partial(run_account_trial, account, combo, masks, benchmark))
        for combo, masks in read_masks(lake, signals, account)
    )
    facts = {"symbol": PORTFOLIO, "n_bars": int(account.markets.open.size)}
    return _finished(lake, key, ts[last_of_days(ts)[1:]], trials, facts)


def run_account_trial(account: Account, combo: int, masks: I8, benchmark: float) -> tuple[Row, F64]:
    """Return the metrics of a trial of all symbols and its daily returns, (n_days - 1,)."""
    run, cash = account.run(masks), account.rules.initial_cash
    daily = run.curve.equity[last_of_days(run.curve.ts)]
    row = {"combo": combo, **figures(run.curve.ts, cash, outcome_of(run, cash), daily, benchmark)}
    return row, daily_returns(daily)


def run_account_best(
    lake: Lake,
    key: str,
    symbols: Sequence[str],
    features: Sequence[FileEntry],
    signals: Sequence[FileEntry],
    combo: int,
    request: BacktestRequest,
) -> Part:
    """Run one trial of the account again, by the same loop, and keep everything."""
    account = read_account(lake, symbols, features, request)
    ((_, masks),) = read_masks(lake, signals, account, combo)
    run = account.run(masks, keep=True)
    facts = {"symbol": PORTFOLIO, "combo": combo}
    made = tables(account, run, np.concatenate([read_volume(lake, file) for file in features]))
    files = [lake.add_table(f"{name}/{PORTFOLIO}.parquet", table, facts=facts) for name, table in made.items()]
    text = json.dumps(summary(account, run), indent=2, allow_nan=False, ensure_ascii=False)
    files.append(lake.add_bytes("portfolio.json", text.encode()))
    return lake.put_part(STAGE, key, Part(files=tuple(files), facts=facts | _told(made["trades"], run.n_refused)))


def run_account_luck(
    lake: Lake,
    key: str,
    symbols: Sequence[str],
    features: Sequence[FileEntry],
    signals: Sequence[FileEntry],
    combo: int,
    returns: Sequence[FileEntry],
    request: BacktestRequest,
) -> Part:
    """Judge the choice of the best trial of the account, as `run_luck` does for a symbol."""
    account = read_account(lake, symbols, features, request)
    ((_, masks),) = read_masks(lake, signals, account, combo)
    together = joined(lake, returns)
    names = together.column_names[1:]
    panel = np.stack([together[name].to_numpy() for name in names], axis=1)
    prices = [[symbol, file.sha256] for symbol, file in zip(symbols, features, strict=True)]
    seed = int(digest([STAGE, PORTFOLIO, prices, combo, request.canonical()])[:15], 16)
    facts = judge_portfolio(account, masks, panel, names.index(str(combo)), seed)
    text = json.dumps(facts, indent=2, allow_nan=False)
    files = (
        lake.add_table(f"returns/{PORTFOLIO}.parquet", together, facts={"symbol": PORTFOLIO}),
        lake.add_bytes(f"luck/{PORTFOLIO}.json", text.encode()),
    )
    return lake.put_part(STAGE, key, Part(files=files, facts={"symbol": PORTFOLIO, "tries": facts["tries"]}))
