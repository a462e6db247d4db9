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


def costs(trades: Trades) -> Costs:
    """Return what the trades cost. Slippage holds half the spread and the impact of the fills' own size too."""
    exit_price = np.where(trades.is_open, 0.0, trades.exit_price)
    commission, slippage, net = (float(values.sum()) for values in (trades.fees, trades.slippage, trades.pnl))
    notional = float((trades.quantity * (trades.entry_price + exit_price)).sum())
    return Costs(net, commission, slippage, net + commission + slippage, notional)
