"""From signals to money: fills, accounts, metrics, a grid of trials."""
