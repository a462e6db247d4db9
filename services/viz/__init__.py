"""The viz stage: a finished backtest becomes a report that opens from disk, pictures and tables."""
