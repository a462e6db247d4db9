"""The engine of many symbols on one cash account: one loop over the moments at which bars close and open.

docs/portfolio.md has the rules in full.
"""

from typing import NamedTuple

import numpy as np

from services.backtest.kernels.fills import entry_side
from services.backtest.kernels.margin import called_at_open, liquidated
from services.backtest.kernels.portfolio_types import (
    BY_REBALANCE,
    CHANGED,
    DAILY_LOSS,
    DRAWDOWN,
    EVERYBODY,
    GROSS,
    HALT_DAILY_LOSS,
    HALT_DRAWDOWN,
    HOLDINGS,
    MARGIN,
    NET,
    NONE,
    RESUMED,
    STILL_OPEN,
    WEIGHT,
    AccountCurve,
    Book,
    Events,
    Fills,
    Holdings,
    Markets,
    Plan,
    room,
    written,
)
from services.backtest.kernels.rebalancing import (
    exposures,
    fill_orders,
    order_flat,
    order_weights,
    tell,
    write_trade,
)
from services.backtest.kernels.weights import drift, set_weights
from tickloom.contracts.signals import LONG_EXIT, SHORT_EXIT
from tickloom.kernel import I8, borrowing, inlined_borrowing
from tickloom.strategy.rules import Rules

DAY_US = 86_400_000_000
NEVER = -(2**62)


class Watch(NamedTuple):
    """What the limits on losses remember.

    peak      the highest equity since the last halt by drawdown ended, the initial cash included
    base      the equity at the last close of the day before `day`; last: at the last close
    halt      why nothing may be held, and since when; period: of the last close
    """

    peak: float
    day: int
    base: float
    last: float
    halt: int
    since: int
    period: int


class PortfolioRun(NamedTuple):
    """A run in full. n_refused: orders that came to less than a lot or the least notional."""

    curve: AccountCurve
    fills: Fills
    trades: Holdings
    events: Events
    n_refused: int
    held_us: int


@inlined_borrowing
def _take_closes(markets: Markets, masks: I8, book: Book, step: int) -> bool:
    """Take the closes of this step into the book; return whether the signal of any symbol wants another side."""
    for s in range(book.changed.size):
        book.changed[s] = False
    any_changed = False
    for e in range(markets.step_first[step], markets.step_first[step + 1]):
        s, bar = markets.event_symbol[e], markets.event_bar[e]
        book.mark[s] = markets.close[bar]
        if markets.volatility.size:
            book.volatility[s] = markets.volatility[bar]
        held = before = book.held[s]
        if (held > 0 and masks[bar] & LONG_EXIT) or (held < 0 and masks[bar] & SHORT_EXIT):
            held = 0
        if held == 0:
            held = entry_side(masks[bar])
        book.held[s], book.changed[s] = held, held != before
        any_changed = any_changed or held != before
    return any_changed


@inlined_borrowing
def _is_over(watch: Watch, plan: Plan, ts: int, day: int) -> bool:
    """Return whether what halted the account has passed."""
    if watch.halt == DRAWDOWN:
        return plan.cooldown_us > 0 and ts >= watch.since + plan.cooldown_us
    halted_on = (watch.since - 1) // DAY_US
    return watch.halt == DAILY_LOSS and day > halted_on and ts >= watch.since + plan.cooldown_us


@inlined_borrowing
def _watched(watch: Watch, plan: Plan, book: Book, events: Events, ts: int, equity: float) -> Watch:
    """Return what is remembered after a close, and whether the account is halted from now on.

    Margin is not looked at here: a close is no worse than the way to its bar's worst price.
    """
    day = (ts - 1) // DAY_US
    base = watch.last if day != watch.day else watch.base
    peak, halt, since = max(watch.peak, equity), watch.halt, watch.since
    if _is_over(watch, plan, ts, day):
        tell(book, events, ts, RESUMED, equity, equity)
        peak = equity if halt == DRAWDOWN else peak
        halt = NONE
    if halt == NONE:
        if plan.max_drawdown > 0.0 and equity <= peak * (1.0 - plan.max_drawdown):
            halt, since = DRAWDOWN, ts
            tell(book, events, ts, HALT_DRAWDOWN, equity / peak - 1.0, -plan.max_drawdown)
        elif plan.max_daily_loss > 0.0 and equity <= base * (1.0 - plan.max_daily_loss):
            halt, since = DAILY_LOSS, ts
            tell(book, events, ts, HALT_DAILY_LOSS, equity / base - 1.0, -plan.max_daily_loss)
    period = (ts - plan.anchor_us) // plan.every_us if plan.every_us > 0 else 0
    return Watch(peak, day, base, equity, halt, since, period)


@inlined_borrowing
def _called(watch: Watch, ts: int) -> Watch:
    """Return what is remembered from a margin call on."""
    return Watch(watch.peak, watch.day, watch.base, watch.last, MARGIN, ts, watch.period)


@inlined_borrowing
def _tell_cuts(book: Book, plan: Plan, events: Events, ts: int) -> None:
    """Note the limits that cut the weights of which orders are sent."""
    for limit, allowed in (
        (WEIGHT, plan.max_weight),
        (HOLDINGS, plan.floor_weight),
        (GROSS, plan.max_gross),
        (NET, plan.max_net),
    ):
        if not np.isnan(book.cut[limit]):
            tell(book, events, ts, limit, book.cut[limit], allowed)


@inlined_borrowing
def _decide(plan: Plan, book: Book, events: Events, ts: int, equity: float, changed: bool, is_due: bool) -> None:
    """Send the orders of a close at which the account is not halted, if anything calls for them."""
    set_weights(book, plan)
    everybody = is_due or (changed and plan.on_signal == EVERYBODY)
    if not everybody and plan.threshold > 0.0:
        everybody = drift(book, equity) > plan.threshold
    if everybody or (changed and plan.on_signal == CHANGED):
        _tell_cuts(book, plan, events, ts)
        order_weights(book, equity, everybody)


@inlined_borrowing
def _write_close(book: Book, curve: AccountCurve, row: int, ts: int, equity: float, gross: float, net: float) -> int:
    """Write the account at a close; return how many symbols it holds."""
    n_held = 0
    for s in range(book.position.size):
        n_held += int(book.position[s] != 0.0)
    if row < curve.position.shape[0]:
        for s in range(book.position.size):
            curve.position[row, s] = book.position[s]
    curve.ts[row], curve.equity[row], curve.cash[row] = ts, equity, book.cash[0]
    curve.gross[row], curve.net[row], curve.n_held[row] = gross, net, n_held
    return n_held


@borrowing
def _simulate(
    markets: Markets,
    masks: I8,
    rules: Rules,
    plan: Plan,
    book: Book,
    curve: AccountCurve,
    fills: Fills,
    trades: Holdings,
    events: Events,
) -> int:
    """Run the account over all steps; return for how long anything was held, in microseconds."""
    row, held_us, last_ts = 0, 0, 0
    cash = rules.initial_cash
    watch = Watch(cash, NEVER, cash, cash, NONE, 0, NEVER)
    for step in range(markets.step_ts.size):
        ts = markets.step_ts[step]
        if markets.step_opens[step]:
            fill_orders(markets, rules, plan, book, fills, trades, events, step)
            if watch.halt != MARGIN and called_at_open(markets, rules, plan, book, fills, trades, events, step):
                watch = _called(watch, ts)
            continue
        was_held = watch.halt != MARGIN and liquidated(markets, rules, book, fills, trades, events, step)
        if was_held:
            watch = _called(watch, ts)
        changed = _take_closes(markets, masks, book, step)
        equity, gross, net = exposures(book)
        n_held = _write_close(book, curve, row, ts, equity, gross, net)
        if (n_held > 0 or was_held) and row > 0:
            held_us += ts - last_ts
        row, last_ts = row + 1, ts
        now = _watched(watch, plan, book, events, ts, equity)
        if now.halt != NONE:
            order_flat(book, now.halt + BY_REBALANCE)
        else:
            is_due = watch.halt != NONE or (plan.every_us > 0 and now.period != watch.period)
            _decide(plan, book, events, ts, equity, changed, is_due)
        watch = now
    for s in range(book.position.size):
        if book.position[s] != 0.0:
            write_trade(book, trades, s, -1, STILL_OPEN)
    return held_us


def _new_book(n_symbols: int, cash: float) -> Book:
    arrays = dict(zip(Book._fields, room(Book._fields, n_symbols), strict=True))
    arrays |= {"cash": np.array([cash]), "cut": np.full(4, np.nan), "counts": np.zeros(4, np.int64)}
    arrays |= {"changed": np.zeros(n_symbols, np.bool_), "volatility": np.full(n_symbols, np.nan)}
    return Book(**arrays)


def run_portfolio(
    markets: Markets, masks: I8, rules: Rules, plan: Plan, n_symbols: int, *, keep: bool = False
) -> PortfolioRun:
    """Trade the signals of all symbols on one account.

    masks  (n_bars,)  what the signal of each bar says: LONG_ENTRY, LONG_EXIT, SHORT_ENTRY and SHORT_EXIT
    keep   whether the curve has the positions of each symbol

    Nothing at a moment depends on a later one. O(n_events + n_steps * n_symbols) time.
    """
    n_closes, n_steps, n_opens = int((~markets.step_opens).sum()), markets.step_ts.size, markets.open.size
    book = _new_book(n_symbols, rules.initial_cash)
    kept = np.zeros((n_closes if keep else 0, n_symbols))
    curve = AccountCurve._make([*room(AccountCurve._fields[:-1], n_closes), kept])
    # Pages of room that nothing is written to are never made by the system.
    fills = Fills(*room(Fills._fields, 2 * (n_opens + n_symbols)))
    trades = Holdings(*room(Holdings._fields, n_opens + n_symbols))
    events = Events(*room(Events._fields, 6 * n_steps))
    held_us = _simulate(markets, masks, rules, plan, book, curve, fills, trades, events)
    n_fills, n_trades, n_events, n_refused = book.counts.tolist()
    return PortfolioRun(
        curve,
        Fills._make(written(fills, n_fills)),
        Holdings._make(written(trades, n_trades)),
        Events._make(written(events, n_events)),
        n_refused,
        held_us,
    )
