"""The six stages, one service each: download, bars, features, signals, backtest, viz."""
