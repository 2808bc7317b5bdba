"""The version of the archive's tables."""

REVISION = "0004"  # the newest migration
