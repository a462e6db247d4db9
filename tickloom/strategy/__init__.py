"""Strategies in Python: what a strategy is given, orders and their execution, the account, and the loop that runs it.

The rules of the account and the formulas of a fill are shared with the compiled engine of the backtest stage, so that
one idea earns the same whichever way it is written down. docs/howto-write-a-strategy.md begins at the beginning.
"""
