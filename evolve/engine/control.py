"""Control of a live run by people: requests to stop, the inbox, and steering."""

import errno
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.archive import PERSON, Proposal, Steering, messages_taken
from evolve.engine.decisions import plan_proposals
from evolve.engine.recorder import Recorder
from evolve.errors import RunError
from evolve.search import Expand


@dataclass
class Interrupt:
    """A request to stop: proposals in flight are finished, then the run stops.

    Attributes:
        asked: Whether a signal asked for it.
        file: The run's stop file, which asks for it by its existence; None until the
            run exists.
    """

    asked: bool = False
    file: Path | None = None

    @property
    def requested(self) -> bool:
        """Whether a signal or the stop file asks the run to stop."""
        return self.asked or (self.file is not None and self.file.exists())

    def watch(self, file: Path) -> None:
        """Stop also when this file appears; delete one that an earlier request left."""
        file.unlink(missing_ok=True)
        self.file = file


MOST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Message:
    """A request of a person to a live run.

    Attributes:
        id: Name of its file, without the suffix; ids sort by time.
        verb: `ban`, `tell` or `add`.
        data: Arguments of the verb, such as `variant`, `parent`, `text` or `reply`.
    """

    id: str
    verb: str
    data: dict[str, Any]


class Inbox:
    """The directory of messages to a run, one file each, sorted by time.

    Args:
        path: The directory; created by the first message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def new_id() -> str:
        """Return an id for a message; ids sort by time."""
        return f"{time.time_ns():020d}-{secrets.token_hex(4)}"

    def send(self, verb: str, **data: Any) -> str:
        """Write a message; it is on disk when this returns.

        Args:
            verb: `ban`, `tell` or `add`.
            **data: Arguments of the verb, as JSON values.

        Returns:
            Id of the message.

        Raises:
            RunError: The directory is not writable.
        """
        name = self.new_id()
        fresh = self.path / f"{name}.new"
        try:
            if self.path.is_symlink():
                raise OSError(errno.ELOOP, "it is a link", str(self.path))
            self.path.mkdir(exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                json.dump({"verb": verb, "data": data}, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self.path / f"{name}.json")
        except OSError as error:
            raise RunError(
                f"can't write to {self.path}: {error.strerror}",
                "fix the permissions of the run directory",
            ) from None
        return name

    def messages(self) -> list[Message]:
        """Read the directory; rename invalid files to `.bad`.

        Returns:
            The messages, oldest first; empty if the directory does not exist.
        """
        try:
            names = sorted(
                name for name in os.listdir(self.path) if name.endswith(".json")
            )
        except FileNotFoundError:
            return []
        return [
            message
            for name in names
            if (message := _read(self.path / name)) is not None
        ]

    def remove(self, message: Message) -> None:
        """Delete a message that the archive has recorded."""
        (self.path / f"{message.id}.json").unlink(missing_ok=True)


def _read(path: Path) -> Message | None:
    """Read a message; rename an invalid file to `.bad`."""
    with suppress(OSError):
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ValueError("too long")
            found = json.loads(path.read_text(encoding="utf-8"))
            return Message(path.stem, str(found["verb"]), dict(found["data"]))
        except (ValueError, KeyError, TypeError):
            path.rename(path.with_suffix(".bad"))
    return None


class SteeringHandler:
    """Carries out the messages of an inbox, each once.

    A program that a person adds becomes a proposal like any other.

    Args:
        inbox: The inbox of the run.
        recorder: The writer of the run.
        seed: Seed of the run, from which ids of proposals follow.
    """

    def __init__(self, inbox: Inbox, recorder: Recorder, seed: int) -> None:
        self._inbox, self._recorder, self._seed = inbox, recorder, seed
        self._steering = Steering(recorder.archive)
        self._taken = messages_taken(recorder.archive)

    def programs(self) -> int:
        """Return the number of programs that wait."""
        waiting = self._inbox.messages()
        return sum(m.verb == "add" and m.id not in self._taken for m in waiting)

    async def take(self, number: int, settled: int | None) -> Proposal | None:
        """Carry out waiting messages, up to the first that adds a program.

        Args:
            number: Decision number for the program.
            settled: All results up to this decision number are recorded; None if results
                are not recorded by number.

        Returns:
            The proposal of the program; None if no message adds one.
        """
        for message in self._inbox.messages():
            proposal = None
            if message.id not in self._taken:
                proposal = await self._carry_out(message, number, settled)
                self._taken.add(message.id)
            self._inbox.remove(message)
            if proposal is not None:
                return proposal
        return None

    async def _carry_out(
        self, message: Message, number: int, settled: int | None
    ) -> Proposal | None:
        recorder, snapshot, steering = (
            self._recorder,
            self._recorder.snapshot,
            self._steering,
        )
        data, id_ = message.data, message.id
        about = str(data.get("variant") or data.get("parent") or "")
        text = str(data.get("text", ""))
        if message.verb == "tell":
            await recorder.write(steering.tell, id_, text)
            snapshot.hints = snapshot.last_event
        elif about not in snapshot:
            refused = f"{message.verb} {about}: it is not scored"
            await recorder.write(steering.refuse, id_, refused)
        elif message.verb == "ban":
            snapshot.quarantine(about)
            await recorder.write(steering.ban, id_, about, text)
        elif message.verb == "add":
            expand = Expand((about,), PERSON)
            proposal = plan_proposals(expand, self._seed, number, snapshot, settled)[0]
            snapshot.expect(proposal.parents)
            recorder.last_number = max(recorder.last_number, number)
            reply = str(data["reply"])
            await recorder.write(steering.add, id_, proposal, reply, text)
            recorder.replied.add(proposal.id)
            return proposal
        return None
