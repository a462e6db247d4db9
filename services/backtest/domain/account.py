"""The account's rules, from the words of a request."""

from services.backtest.kernels.types import Rules
from tickloom.contracts.backtest import BacktestRequest, FixedFraction


def account_rules(request: BacktestRequest) -> Rules:
    """Return the rules by which the engine keeps the account."""
    return Rules(
        initial_cash=request.initial_cash,
        fraction=request.sizing.fraction if isinstance(request.sizing, FixedFraction) else 1.0,
        commission_rate=request.commission_rate,
        slippage_rate=request.slippage_rate,
        stop_loss_rate=request.stop_loss_rate or 0.0,
    )
