"""The lake on one side, trials on the other: trades of single bars, and what is finished of a search."""
