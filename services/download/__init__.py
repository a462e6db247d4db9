"""The download stage: archives of an exchange, or imported files, to verified partitions in the lake."""
