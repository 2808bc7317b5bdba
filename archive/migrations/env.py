"""Alembic's environment: migrate the connection of `evolve.archive.database`."""

from __future__ import annotations

from alembic import context

from evolve.archive.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata
)
with context.begin_transaction():
    context.run_migrations()
