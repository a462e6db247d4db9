"""Target weights of many symbols, and the limits that cut them back.

Source: Moskowitz, Ooi and Pedersen (2012), Time Series Momentum, section 2.4, for positions of equal volatility.
"""

import numpy as np

from services.backtest.kernels.portfolio_types import (
    EQUAL,
    GROSS,
    HOLDINGS,
    NET,
    VOLATILITY_TARGET,
    WEIGHT,
    Book,
    Plan,
)
from tickloom.kernel import inlined_borrowing


@inlined_borrowing
def set_weights(book: Book, plan: Plan) -> None:
    """Write the weight that each symbol shall have, limits included; 0 for those not listed or not held.

    EQUAL              target / number held
    INVERSE_VOLATILITY target * (1 / volatility) / sum of it over those held
    VOLATILITY_TARGET  target / volatility / number of symbols whose volatility is known, held or not
    """
    total, n_known = 0.0, 0
    for s in range(book.position.size):
        pull = 0.0
        if book.mark[s] > 0.0 and (plan.weighting == EQUAL or book.volatility[s] > 0.0):
            n_known += 1
            pull = 1.0 if plan.weighting == EQUAL else 1.0 / book.volatility[s]
        book.weight[s] = book.held[s] * pull
        total += abs(book.weight[s])
    shared = float(n_known) if plan.weighting == VOLATILITY_TARGET else total
    if shared > 0.0:
        for s in range(book.position.size):
            book.weight[s] = plan.target * book.weight[s] / shared
    _limit(book, plan)


@inlined_borrowing
def _limit(book: Book, plan: Plan) -> None:
    """Cut the weights back, each limit by itself and in this order; `cut` keeps what was above each."""
    book.cut[WEIGHT] = _clip(book, plan.max_weight)
    book.cut[HOLDINGS] = _clip(book, plan.floor_weight)
    longs, shorts = 0.0, 0.0
    for s in range(book.weight.size):
        longs, shorts = longs + max(book.weight[s], 0.0), shorts + max(-book.weight[s], 0.0)
    gross = longs + shorts
    book.cut[GROSS] = np.nan
    if gross > plan.max_gross:
        book.cut[GROSS] = gross
        part = plan.max_gross / gross
        _scale(book, part, part)
        longs, shorts = longs * part, shorts * part
    book.cut[NET] = np.nan
    if abs(longs - shorts) > plan.max_net:
        book.cut[NET] = longs - shorts
        if longs > shorts:
            _scale(book, (shorts + plan.max_net) / longs, 1.0)
        else:
            _scale(book, 1.0, (longs + plan.max_net) / shorts)


@inlined_borrowing
def _clip(book: Book, most: float) -> float:
    """Bring weights down to `most`; return the largest that was above it, NaN if none was."""
    worst = np.nan
    for s in range(book.weight.size):
        size = abs(book.weight[s])
        if size > most:
            worst = size if not worst >= size else worst
            book.weight[s] = most if book.weight[s] > 0.0 else -most
    return worst


@inlined_borrowing
def _scale(book: Book, longs: float, shorts: float) -> None:
    for s in range(book.weight.size):
        book.weight[s] *= longs if book.weight[s] > 0.0 else shorts


@inlined_borrowing
def drift(book: Book, equity: float) -> float:
    """Return the largest distance of a symbol's weight from its target."""
    worst = 0.0
    for s in range(book.weight.size):
        worst = max(worst, abs(book.position[s] * book.mark[s] / equity - book.weight[s]))
    return worst
