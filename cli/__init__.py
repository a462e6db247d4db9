"""The `tickloom` command: starts the parts, talks to the gateway, and looks after the lake."""
