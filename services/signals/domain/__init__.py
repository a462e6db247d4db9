"""Rules: what may be written in one, what it means, and the grid of parameters."""
