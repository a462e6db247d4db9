"""The look-ahead detector, `tickloom probe`: the same stages again on data that end early or are false from then on."""
