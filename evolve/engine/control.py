"""A person controls a live run: a request to stop, messages in its inbox, and their execution."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evolve.archive import PERSON, Proposal, Snapshot, Steering, messages_taken
from evolve.engine.decisions import plan_proposals
from evolve.engine.recorder import Recorder
from evolve.errors import RunError
from evolve.search import Expand


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

    def send(self, verb: str, **data: Any) -> str:
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
            raise RunError(
                f"can't write to {self.path}: {error.strerror}",
                "mend the rights of the run folder",
            ) from None
        return name

    def messages(self) -> list[Message]:
        """What lies there. A file that is no message is put aside as `.bad`."""
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


class SteeringHandler:
    """Takes messages, each once. A program becomes a proposal like any other."""

    def __init__(self, inbox: Inbox, recorder: Recorder, seed: int) -> None:
        self._inbox, self._recorder, self._seed = inbox, recorder, seed
        self._steering = Steering(recorder.archive)
        self._taken = messages_taken(recorder.archive)

    async def take(self, number: int, settled: int | None) -> Proposal | None:
        """Carry out what lies there, up to the first program: the proposal that it is, as `number`."""
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
        recorder, snapshot, data = self._recorder, self._recorder.snapshot, message.data
        about = str(data.get("variant") or data.get("parent") or "")
        text = str(data.get("text", ""))
        if message.verb == "tell":
            await recorder.steer(partial(self._steering.tell, message.id, text))
            snapshot.hints = snapshot.last_event
        elif about not in snapshot:
            await recorder.steer(
                partial(
                    self._steering.refuse,
                    message.id,
                    f"{message.verb} {about}: it is not scored",
                )
            )
        elif message.verb == "ban":
            snapshot.quarantine(about)
            await recorder.steer(partial(self._steering.ban, message.id, about, text))
        elif message.verb == "add":
            return await self._add(
                message, _planned(about, self._seed, number, snapshot, settled)
            )
        return None

    async def _add(self, message: Message, proposal: Proposal) -> Proposal:
        recorder = self._recorder
        recorder.snapshot.expect(proposal.parents)
        recorder.last_number = max(recorder.last_number, proposal.number)
        await recorder.steer(
            partial(
                self._steering.add,
                message.id,
                proposal,
                str(message.data["reply"]),
                str(message.data.get("text", "")),
            )
        )
        recorder.replied.add(proposal.id)
        return proposal


def _planned(
    parent: str, seed: int, number: int, snapshot: Snapshot, settled: int | None
) -> Proposal:
    return plan_proposals(Expand((parent,), PERSON), seed, number, snapshot, settled)[0]
