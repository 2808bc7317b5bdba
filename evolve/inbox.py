"""What people leave for a run: one file a message, whole or not at all, until the archive has it.

The engine is the only writer of an archive, so whoever wants something writes here. A message is taken
in the transaction of what it changes, and its file is removed after that: killed in between, the engine
finds it again and knows that it was taken.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.errors import RunError

MOST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """`verb` is ban, tell or add."""

    id: str
    verb: str
    data: dict[str, Any]


class Inbox:
    """The folder of messages, the oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, verb: str, **data: Any) -> str:
        """Put a message down; it is on the disk when this returns. Raises `RunError`."""
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        fresh = self.path / f"{name}.new"
        try:
            self.path.mkdir(exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                json.dump({"verb": verb, "data": data}, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self.path / f"{name}.json")
        except OSError as error:
            raise RunError(f"can't write to {self.path}: {error.strerror}",
                           "mend the rights of the run folder") from None
        return name

    def messages(self) -> list[Message]:
        """What lies there. A file that is no message is put aside as `.bad`."""
        try:
            names = sorted(name for name in os.listdir(self.path) if name.endswith(".json"))
        except FileNotFoundError:
            return []
        return [message for name in names if (message := _read(self.path / name)) is not None]

    def remove(self, message: Message) -> None:
        """The archive has it."""
        (self.path / f"{message.id}.json").unlink(missing_ok=True)


def _read(path: Path) -> Message | None:
    try:
        return _parse(path)
    except OSError:  # gone meanwhile, or not ours to read
        return None


def _parse(path: Path) -> Message | None:
    """Puts aside what is no message. Raises `OSError`."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("too long")
        found = json.loads(path.read_text(encoding="utf-8"))
        return Message(path.stem, str(found["verb"]), dict(found["data"]))
    except (ValueError, KeyError, TypeError):
        path.rename(path.with_suffix(".bad"))
        return None
