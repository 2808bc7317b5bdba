"""Schema migrations (alembic); `versions` has one file per schema version."""
