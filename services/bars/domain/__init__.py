"""The rule by which bars close, applied partition by partition with a state carried between them."""
