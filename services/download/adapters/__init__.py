"""The outside world: the exchange over HTTP, zip archives, imported files, Parquet."""
