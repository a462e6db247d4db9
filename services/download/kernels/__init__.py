"""Text of exchange archives to integers, without a float on the way."""
