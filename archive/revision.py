"""The version of the archive's tables."""

REVISION = "0003"  # the newest migration
