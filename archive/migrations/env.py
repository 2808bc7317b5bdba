"""Alembic's environment: it migrates the connection that `evolve.archive.database` hands over."""

from __future__ import annotations

from alembic import context

from evolve.archive.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata
)
with context.begin_transaction():
    context.run_migrations()
