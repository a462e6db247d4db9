"""Partitions of the lake in, partitions of the lake out."""
