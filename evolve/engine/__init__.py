"""The main loop of a run, its parts, and the recorder, the only writer of a run."""
