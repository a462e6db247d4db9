"""Arrays in, arrays out: what a chart shows of more data than it has room for."""
