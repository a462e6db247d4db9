"""Alembic's entry: it is given a connection by tickloom.ledger.migrate."""

from alembic import context

from tickloom.ledger.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
if connection.in_transaction():
    connection.commit()
