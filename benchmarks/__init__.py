"""How fast we are beside others: `make bench` measures all of them in one interleaved run and writes results.md."""
