"""Tickloom's own code as the services call it, less HTTP and queue. Each module imports no more than its task needs."""
