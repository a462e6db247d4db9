"""What a run means: clean prices, metrics, the best trial."""
