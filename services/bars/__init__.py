"""The bars stage: trades or klines to bars, exact over partition borders."""
