"""Technical indicators: float64 arrays in, arrays of the same length out, NaN until the first value, as in TA-Lib."""
