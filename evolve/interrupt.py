"""Asking a run to stop: Ctrl-C in its terminal, or `evolve stop` from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Interrupt:
    """What runs is drained, then the run stops."""

    asked: bool = False
    file: Path | None = None  # the run's stop file, once there is a run

    @property
    def requested(self) -> bool:
        return self.asked or (self.file is not None and self.file.exists())

    def watch(self, file: Path) -> None:
        """Also stop when this file appears. One that is left from before asks for nothing."""
        file.unlink(missing_ok=True)
        self.file = file
