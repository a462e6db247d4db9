"""From truth to masks: arrays in, arrays out."""
