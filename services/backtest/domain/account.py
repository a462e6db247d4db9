"""The account's rules, from the words of a request."""

from tickloom.contracts.backtest import (
    BacktestRequest,
    FixedFraction,
    FixedNotional,
    LimitEntry,
    RiskPerTrade,
    Sizing,
    VolatilityTarget,
    VolumeShare,
)
from tickloom.strategy.rules import (
    BY_FRACTION,
    BY_NOTIONAL,
    BY_RISK,
    BY_VOLATILITY,
    NO_IMPACT,
    SQUARE_ROOT,
    VOLUME_SHARE,
    Rules,
)


def account_rules(request: BacktestRequest) -> Rules:
    """Return the rules by which the engine keeps the account."""
    sizing, size = _sizing(request.sizing)
    impact = request.impact
    limit = request.entry if isinstance(request.entry, LimitEntry) else None
    maker_rate = request.commission_rate if request.maker_rate is None else request.maker_rate
    return Rules(
        initial_cash=request.initial_cash,
        fraction=size,
        commission_rate=request.commission_rate,
        slippage_rate=request.slippage_rate + request.spread_rate / 2,
        stop_loss_rate=request.stop_loss_rate or 0.0,
        take_profit_rate=request.take_profit_rate or 0.0,
        trailing_rate=request.trailing_stop_rate or 0.0,
        maker_rate=maker_rate,
        limit_rate=limit.offset_rate if limit else 0.0,
        limit_bars=limit.bars if limit else 0,
        lot_step=request.lot_step or 0.0,
        min_notional=request.min_notional,
        leverage=request.leverage,
        maintenance_rate=request.maintenance_rate or 0.0,
        sizing=sizing,
        impact_kind=NO_IMPACT if impact is None else VOLUME_SHARE if isinstance(impact, VolumeShare) else SQUARE_ROOT,
        impact=impact.factor if impact else 0.0,
        impact_cap=impact.cap if impact else 0.0,
        stop_multiple=request.stop_loss.multiple if request.stop_loss else 0.0,
    )


def _sizing(sizing: Sizing) -> tuple[int, float]:
    """Return what decides how large an entry is, and the number that goes with it."""
    if isinstance(sizing, FixedFraction):
        return BY_FRACTION, sizing.fraction
    if isinstance(sizing, FixedNotional):
        return BY_NOTIONAL, sizing.notional
    if isinstance(sizing, VolatilityTarget):
        return BY_VOLATILITY, sizing.volatility
    if isinstance(sizing, RiskPerTrade):
        return BY_RISK, sizing.risk
    return BY_FRACTION, 1.0


def reads_volume(rules: Rules) -> bool:
    """Return whether a fill needs to know how much was traded."""
    return rules.impact_kind != NO_IMPACT


def reads_volatility(rules: Rules) -> bool:
    """Return whether an entry or a fill needs to know how far prices move."""
    return rules.impact_kind == SQUARE_ROOT or rules.sizing == BY_VOLATILITY
