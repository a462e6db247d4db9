"""What trading cost: commission, slippage, and what would have been left without either."""

from dataclasses import dataclass

import numpy as np

from services.viz.domain.run import Trades


@dataclass(frozen=True)
class Costs:
    """Sums over the best trial's trades, quote currency. gross = net + commission + slippage."""

    net: float
    commission: float
    slippage: float
    gross: float
    notional: float

    @property
    def per_notional(self) -> float | None:
        """Return costs over traded notional, a fraction; None when nothing was traded."""
        return (self.commission + self.slippage) / self.notional if self.notional > 0 else None

    @property
    def share_of_gross(self) -> float | None:
        """Return costs over the gain before costs, a fraction; None when there was no gain to share."""
        return (self.commission + self.slippage) / self.gross if self.gross > 0 else None


def costs(trades: Trades, slippage_rate: float) -> Costs:
    """Return what the trades cost. A fill is the price it came from times 1 + slippage_rate against the trader."""
    side = trades.side.astype(np.float64)
    closed = ~trades.is_open
    entry_cost = np.abs(trades.entry_price - trades.entry_price / (1 + side * slippage_rate))
    exit_price = np.where(closed, trades.exit_price, 0.0)
    exit_cost = np.abs(exit_price - exit_price / (1 - side * slippage_rate))
    commission = float(trades.fees.sum())
    slippage = float((trades.quantity * (entry_cost + exit_cost)).sum())
    net = float(trades.pnl.sum())
    notional = float((trades.quantity * (trades.entry_price + exit_price)).sum())
    return Costs(net, commission, slippage, net + commission + slippage, notional)
