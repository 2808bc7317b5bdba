"""The version of the database schema."""

REVISION = "0003"  # the newest migration
