"""The Celery worker: it takes a lease on a stage, calls the stage's service, and records what came of it."""
