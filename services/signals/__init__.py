"""From features to signals: rules, a grid of parameters, masks."""
