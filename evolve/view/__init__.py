"""Views for people: live views of a run, and renderings of an archive."""
