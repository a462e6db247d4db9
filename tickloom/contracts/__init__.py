"""The messages between parts, one file per stage. What crosses a process boundary is defined here."""
