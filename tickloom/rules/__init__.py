"""The language of rules: the gateway refuses what is not in it, the signals stage evaluates what is."""
