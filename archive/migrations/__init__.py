"""Schema migrations (alembic); `versions` has one file for each schema."""
