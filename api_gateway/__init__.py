"""The public face: it accepts work, answers what became of it, and hands out what was made."""
