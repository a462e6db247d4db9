"""What a report says, and how it says it: pure rules over plain data."""
