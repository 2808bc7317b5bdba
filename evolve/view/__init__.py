"""What people see: live views of a run, and renderings of an archive."""
