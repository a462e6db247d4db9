"""Bars of inverse futures: quantities are contracts, each worth the same amount of quote currency, whatever the price.

The source does not say what that amount is, so price times quantity is no amount of money, and nothing that is made of
it is published. `tickloom.contracts.bars.source_fault` says which bars cannot be made of them.
"""

from typing import Any, Final

MONEY: Final = frozenset({"notional", "vwap", "buy_notional"})
"""Columns and facts that are made of price times quantity."""


def without_money(facts: dict[str, Any]) -> dict[str, Any]:
    """Return a symbol's facts without sums of price times quantity."""
    return {
        name: without_money(value) if isinstance(value, dict) else value
        for name, value in facts.items()
        if name not in MONEY
    }
