"""The gateway's routes, one file per thing they are about."""
