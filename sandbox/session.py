"""One live candidate: load its files, call it, end it. The same for every provider."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from evolve.sandbox.errors import CandidateFault, ProviderFault, Reason, SandboxError
from evolve.sandbox.folder import SharedFolder
from evolve.sandbox.inside import wire
from evolve.sandbox.limits import Limits, Usage
from evolve.sandbox.packets import Packet
from evolve.sandbox.provider import Box

LOG_TAIL_BYTES = 8 * 1024
KILL_PATIENCE_S = 5.0
_PREFIX_BYTES = 8
_FOLDER = re.compile(r"[\w./-]*/candidate-\d+/")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")


@dataclass(frozen=True)
class Reply:
    """An answer of the candidate: a claim, as undecoded bytes, and the seconds it took."""

    header: dict[str, Any]
    payload: bytes
    seconds: float


@dataclass
class _Inbox:
    """What has arrived from the candidate and is not read yet."""

    data: bytearray = field(default_factory=bytearray)
    log: bytearray = field(default_factory=bytearray)

    def frame(self, max_payload: int) -> tuple[dict[str, Any], bytes] | None:
        """Take one whole frame. Raises `wire.Malformed`."""
        if len(self.data) < _PREFIX_BYTES:
            return None
        header, payload = wire.frame_lengths(
            bytes(self.data[:_PREFIX_BYTES]), max_payload
        )
        end = _PREFIX_BYTES + header + payload
        if len(self.data) < end:
            return None
        whole = bytes(self.data[_PREFIX_BYTES:end])
        del self.data[:end]
        return wire.parse_header(whole[:header]), whole[header:]


class _Gone(ProviderFault):
    """The server's stream has ended; whose fault that is must be found out."""


class Session:
    """A candidate in a box. After a fault that ended it, every call raises that fault again."""

    def __init__(self, box: Box, limits: Limits) -> None:
        self._box, self._limits = box, limits
        self._inbox = _Inbox()
        self._end: dict[str, Any] | None = None  # the server's facts about the end
        self._fault: SandboxError | None = None

    @property
    def limits(self) -> Limits:
        """What the candidate may use."""
        return self._limits

    @property
    def folder(self) -> SharedFolder | None:
        """What the host shows to this box, where the provider was asked for it."""
        return self._box.folder

    def begin(self) -> None:
        """Have the server fork a candidate, with the first request to it."""
        self._box.packets.hold(b"S")

    async def load(
        self,
        files: Mapping[str, bytes],
        module: str | None,
        timeout_s: float | None = None,
    ) -> Reply:
        """Write the files inside and import `module`, if given.

        Raises `CandidateFault` (it failed or took too long) or `ProviderFault`.
        """
        check_tree(files, self._limits)
        listing = [[path, data, data.startswith(b"#!")] for path, data in files.items()]
        return await self._exchange(
            {"op": "load", "module": module}, wire.encode(listing), timeout_s
        )

    async def call(
        self, function: str, arguments: bytes, timeout_s: float | None = None
    ) -> Reply:
        """Call a function of the loaded module; `arguments` is an encoded (args, kwargs).

        The reply's payload is the encoded result. Raises as `load` does.
        """
        return await self._exchange(
            {"op": "call", "function": function}, arguments, timeout_s
        )

    async def run(
        self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float | None = None
    ) -> Reply:
        """Run a command in the candidate's folder; the payload is an encoded (stdout, stderr)."""
        return await self._exchange({"op": "run", "argv": list(argv)}, stdin, timeout_s)

    async def end(self) -> Usage:
        """End the candidate; the box is clean afterwards or says that it is not."""
        if self._end is None and not isinstance(self._fault, ProviderFault):
            await self._kill()
        facts = self._end or {}
        return Usage(
            facts.get("cpu_s", 0.0), facts.get("peak_memory_bytes", 0), self.log
        )

    @property
    def clean(self) -> bool:
        """True when the server has proved that nothing of the candidate is left."""
        return bool(self._end and self._end["clean"])

    @property
    def log(self) -> str:
        """The tail of what the candidate printed."""
        return repeatable(self._inbox.log.decode(errors="replace"))

    async def _exchange(
        self, header: dict[str, Any], payload: bytes, timeout_s: float | None
    ) -> Reply:
        if self._fault is not None:
            raise self._fault
        limit = self._limits.time_s if timeout_s is None else timeout_s
        header["id"] = secrets.token_hex(8)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(limit):
                await self._box.packets.send(b"D", wire.frame(header, payload))
                answer, body = await self._answer()
        except TimeoutError:
            await self._kill()
            fault = CandidateFault(
                Reason.TIMEOUT, f"no answer within {limit:g} s", self.log
            )
            raise self._broken(fault) from None
        except _Gone:  # asked for the cause outside the candidate's own time limit
            raise self._broken(await self._box.explain_death()) from None
        except SandboxError as fault:
            raise self._broken(fault) from None
        if answer.get("id") != header["id"]:
            await self._kill()
            raise self._broken(
                CandidateFault(
                    Reason.REFUSED, "its answer is not to what it was asked", self.log
                )
            )
        return self._checked(Reply(answer, body, time.perf_counter() - started))

    async def _answer(self) -> tuple[dict[str, Any], bytes]:
        while True:
            try:
                whole = self._inbox.frame(self._limits.message_bytes)
            except wire.Malformed as error:
                await self._kill()
                raise CandidateFault(
                    Reason.REFUSED, f"its answer: {error}", self.log
                ) from None
            if whole is not None:
                return whole
            if self._end is not None:
                raise self._fault_of_end(self._end)
            await self._take(await self._box.packets.receive())

    async def _take(self, packet: Packet | None) -> None:
        if packet is None:
            raise _Gone("the sandbox is gone")
        if packet.kind == b"D":
            self._inbox.data += packet.body
        elif packet.kind == b"L":
            self._inbox.log += packet.body
            del self._inbox.log[:-LOG_TAIL_BYTES]
        elif packet.kind == b"E":
            self._end = json.loads(packet.body)

    async def _kill(self) -> None:
        """Kill the candidate and wait for the server's word; a silent server is killed, too."""
        try:
            async with asyncio.timeout(KILL_PATIENCE_S):
                await self._box.packets.send(b"K")
                while self._end is None:
                    self._inbox.data.clear()
                    await self._take(await self._box.packets.receive())
        except (TimeoutError, SandboxError):
            await self._box.kill()
            self._end = {"clean": False}

    def _checked(self, reply: Reply) -> Reply:
        if reply.header.get("ok") is True:
            return reply
        error = _text(reply.header, "error")
        reason = Reason(error) if error in set(Reason) else Reason.REFUSED
        # What it printed comes by another way and may be late: `end` has all of it.
        log = _text(reply.header, "traceback").strip()[-LOG_TAIL_BYTES:]
        raise CandidateFault(
            reason, _text(reply.header, "message")[:1000] or "no message", log
        )

    def _fault_of_end(self, facts: dict[str, Any]) -> SandboxError:
        if facts.get("fault"):
            return ProviderFault(
                f"the sandbox could not set up a candidate: {facts['fault']}"
            )
        status = int(facts.get("exit", 0))
        if facts.get("flooded"):
            limit = self._limits.output_bytes
            return CandidateFault(
                Reason.OUTPUT, f"printed more than {limit:,} bytes", self.log
            )
        if facts.get("exceeded") == "processes":
            limit = self._limits.processes
            return CandidateFault(
                Reason.CRASH, f"started more than {limit:,} processes", self.log
            )
        if facts.get("oom") or facts.get("exceeded") == "memory":
            return CandidateFault(Reason.MEMORY, "killed: out of memory", self.log)
        if status < 0:
            return CandidateFault(
                Reason.CRASH,
                f"killed by {_signal_name(-status)} before it answered",
                self.log,
            )
        return CandidateFault(
            Reason.CRASH, f"exited with status {status} before it answered", self.log
        )

    def _broken(self, fault: SandboxError) -> SandboxError:
        if self._fault is None and (
            self._end is not None or isinstance(fault, ProviderFault)
        ):
            self._fault = fault
        return fault


def check_tree(files: Mapping[str, bytes], limits: Limits) -> None:
    """Raise `CandidateFault` (refused) for a tree that can't be written below one folder."""
    total = sum(len(data) for data in files.values())
    if total > limits.disk_bytes or len(files) > limits.files:
        raise CandidateFault(
            Reason.REFUSED,
            f"its {len(files):,} files have {total:,} bytes; the "
            f"limit is {limits.files:,} files and {limits.disk_bytes:,} bytes",
        )
    for path in files:
        if not _is_inside(path):
            raise CandidateFault(
                Reason.REFUSED, f"a file name that is not allowed: {path!a:.200}"
            )


def _is_inside(path: str) -> bool:
    """A plain relative path: no way up, no odd spelling of another one, representable as UTF-8."""
    parts = PurePosixPath(path).parts
    plain = "/".join(parts) == path and path.isprintable() and not path.startswith("/")
    return (
        bool(parts)
        and plain
        and ".." not in parts
        and all(len(p.encode()) < 256 for p in parts)
    )


def _text(header: Mapping[str, Any], key: str) -> str:
    """A text from a claimed header, such that it can be stored and printed; empty when none."""
    value = header.get(key)
    if not isinstance(value, str):
        return ""
    return repeatable(value.encode(errors="backslashreplace").decode())


def repeatable(text: str) -> str:
    """Without what differs from life to life, so that the same candidate says the same twice.

    That is its folder, which is named after its user id, and addresses in memory.
    """
    return _ADDRESS.sub("0x...", _FOLDER.sub("", text))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time ones have no name
        return f"signal {number}"
