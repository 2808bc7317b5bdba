"""The version of the database schema."""

REVISION = "0004"  # the newest migration
