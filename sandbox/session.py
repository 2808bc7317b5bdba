"""One live candidate: load its files, call it, end it. The same for every provider."""

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

from evolve.sandbox.claims import read_files
from evolve.sandbox.errors import (
    CandidateFault,
    ProviderFault,
    Reason,
    SandboxError,
    machine_faults,
)
from evolve.sandbox.folder import SharedFolder, is_executable
from evolve.sandbox.inside import wire
from evolve.sandbox.limits import Limits, Usage
from evolve.sandbox.packets import Packet
from evolve.sandbox.provider import Box
from evolve.sandbox.time_limit import TimeLimit

LOG_TAIL_BYTES = 8 * 1024
KILL_PATIENCE_S = 5.0
_PREFIX_BYTES = 8
# Reasons that a candidate may claim of itself; the others are seen from outside.
_CLAIMS = (Reason.EXCEPTION, Reason.MEMORY, Reason.OUTPUT, Reason.REFUSED)
_FOLDER = re.compile(r"(?:/candidate-\d++)+/")  # the end of the path of its directory
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")


Tree = Mapping[str, tuple[bytes, bool]]  # path -> content, executable


@dataclass(frozen=True)
class Reply:
    """An answer of the candidate: an unverified claim.

    Attributes:
        payload: Its undecoded content.
        seconds: Time from the request to the answer.
        exit: Status of a command; None if it ran none.
    """

    payload: bytes
    seconds: float
    exit: int | None = None


@dataclass(frozen=True)
class Measured:
    """A request that was measured outside of the candidate.

    Attributes:
        payload: The undecoded answer, or list of answers: an unverified claim.
        wall_ns: Time until the server held the whole answer.
        before_ns: CPU time of all its processes so far, before the request.
        after_ns: The same after the answer.
        exit: Status of a command; None if it ran none.
        instructions: Executed by all its processes, outside of the kernel; None where the
            kernel gives no such count.
    """

    payload: bytes
    wall_ns: int
    before_ns: int
    after_ns: int
    exit: int | None = None
    instructions: int | None = None


@dataclass
class _Inbox:
    """Data that arrived from the candidate and is not read yet."""

    data: bytearray = field(default_factory=bytearray)
    log: bytearray = field(default_factory=bytearray)

    def frame(self, max_payload: int) -> tuple[dict[str, Any], bytes] | None:
        """Take one whole frame.

        Args:
            max_payload: Maximum size of its payload in bytes.

        Returns:
            Header and payload; None if the frame is not complete.

        Raises:
            wire.Malformed: It is not a valid frame, or too long.
        """
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
    """The server's stream has ended; the cause must still be found."""


class Session:
    """A candidate in a box.

    After a fault that ended the candidate, every call raises that fault again.

    Args:
        box: The box, which serves no other candidate meanwhile.
        limits: Limits of the candidate.
    """

    def __init__(self, box: Box, limits: Limits) -> None:
        self._box, self._limits = box, limits
        self._inbox = _Inbox()
        self._end: dict[str, Any] | None = None  # facts that the server reported
        self._measured: list[dict[str, int]] = []  # what the server reported
        self._fault: SandboxError | None = None
        self._before = Usage()  # of candidates before a restart
        self.held = True  # whether the box is still this session's

    @property
    def limits(self) -> Limits:
        """Limits of the candidate."""
        return self._limits

    @property
    def folder(self) -> SharedFolder | None:
        """The directory that the host shows to this box, if the task asked for one."""
        return self._box.folder

    @property
    def box(self) -> Box:
        """The box of the candidate."""
        return self._box

    def begin(self) -> None:
        """Have the server fork a candidate, together with the first request to it."""
        self._box.packets.hold(b"S")

    def restart(self, box: Box) -> None:
        """Begin with another candidate after the end of this one; its usage is kept.

        Args:
            box: Where the next one lives.
        """
        self._before, self._box = self._usage(), box
        self._inbox, self._end, self._fault = _Inbox(), None, None
        self.held = True
        self.begin()

    async def load(
        self,
        files: Mapping[str, bytes],
        module: str | None,
        timeout_s: float | None = None,
    ) -> Reply:
        """Write files into the candidate's directory and import its module.

        Args:
            files: Relative path -> content; a file that starts with `#!` becomes
                executable.
            module: Name of the module to import; None imports none.
            timeout_s: Time limit; None: that of the limits.

        Returns:
            The reply, without a payload.

        Raises:
            CandidateFault: The candidate failed or took too long, or a path is not
                allowed.
            ProviderFault: The machine failed.
        """
        check_tree(files, self._limits)
        listing = [[path, data, is_executable(data)] for path, data in files.items()]
        return await self._exchange(
            {"op": "load", "module": module}, wire.encode(listing), timeout_s
        )

    async def tree(self) -> Tree:
        """Return the files of the candidate's directory, as the candidate claims them.

        Returns:
            Path -> content and whether it is executable.

        Raises:
            CandidateFault: They are too large for an answer, or can't be read.
            ProviderFault: The machine failed.
        """
        reply = await self._exchange({"op": "tree"}, b"", None)
        found = await read_files(reply.payload, self._limits.files)
        return {
            path[1:]: (data, path[0] == "x") for path, data in found.items() if path
        }

    async def restore(self, tree: Tree) -> None:
        """Write the files of a tree into the candidate's directory.

        Args:
            tree: Path -> content and whether it is executable.

        Raises:
            CandidateFault: A path is not allowed, or a limit is exceeded.
            ProviderFault: The machine failed.
        """
        check_tree({path: data for path, (data, _) in tree.items()}, self._limits)
        listing = [[path, data, x] for path, (data, x) in tree.items()]
        await self._exchange({"op": "load", "module": None}, wire.encode(listing), None)

    async def call(
        self, function: str, arguments: bytes, timeout_s: float | None = None
    ) -> Reply:
        """Call a function of the loaded module.

        Args:
            function: Its name.
            arguments: Encoded (args, kwargs).
            timeout_s: Time limit; None: that of the limits.

        Returns:
            The reply; its payload is the encoded result.

        Raises:
            CandidateFault: The candidate failed or took too long.
            ProviderFault: The machine failed.
        """
        return await self._exchange(
            {"op": "call", "function": function}, arguments, timeout_s
        )

    async def hold(
        self,
        function: str | None,
        calls: bytes,
        core: int | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Send the arguments of calls, which are decoded now and made by `go`.

        Args:
            function: Name of a function of the loaded module; None: `calls` is a list of
                answers, which `go` only encodes.
            calls: Encoded list of (args, kwargs).
            core: Processor that the candidate stays on; None: any.
            timeout_s: Time limit; None: that of the limits.

        Raises:
            CandidateFault: The candidate failed or took too long.
            ProviderFault: The machine failed.
        """
        header = {"op": "hold", "function": function, "core": core}
        await self._exchange(header, calls, timeout_s)

    async def go(self, timeout_s: float | None = None) -> Measured:
        """Make the calls that are held, and measure them outside of the candidate.

        Args:
            timeout_s: Time limit; None: that of the limits.

        Returns:
            The answers and the measurement.

        Raises:
            CandidateFault: The candidate failed or took too long.
            ProviderFault: The machine failed.
        """
        return await self._measure({"op": "go"}, b"", timeout_s)

    async def measure_call(
        self, function: str, arguments: bytes, timeout_s: float | None = None
    ) -> Measured:
        """Call a function of the loaded module, and measure it outside of the candidate.

        Args:
            function: Its name.
            arguments: Encoded (args, kwargs).
            timeout_s: Time limit; None: that of the limits.

        Returns:
            The encoded result and the measurement, with decoding and encoding.

        Raises:
            CandidateFault: The candidate failed or took too long.
            ProviderFault: The machine failed.
        """
        header = {"op": "call", "function": function}
        return await self._measure(header, arguments, timeout_s)

    async def measure_run(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        timeout_s: float | None = None,
        folder: str = "",
    ) -> Measured:
        """Run a command, and measure it outside of the candidate.

        Args:
            argv: Program and arguments.
            stdin: Its input.
            timeout_s: Time limit; None: that of the limits.
            folder: Where it runs, below the candidate's directory.

        Returns:
            The encoded (stdout, stderr), the status and the measurement.

        Raises:
            CandidateFault: The command printed too much or took too long.
            ProviderFault: The machine failed.
        """
        header = {"op": "run", "argv": list(argv), "folder": folder}
        return await self._measure(header, stdin, timeout_s)

    async def run(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        timeout_s: float | None = None,
        folder: str = "",
    ) -> Reply:
        """Run a command in the candidate's directory.

        Args:
            argv: Program and arguments.
            stdin: Its input.
            timeout_s: Time limit; None: that of the limits.
            folder: Where it runs, below the candidate's directory.

        Returns:
            The reply; its payload is the encoded (stdout, stderr), with the status.

        Raises:
            CandidateFault: The command printed too much or took too long.
            ProviderFault: The machine failed.
        """
        header = {"op": "run", "argv": list(argv), "folder": folder}
        return await self._exchange(header, stdin, timeout_s)

    async def end(self) -> Usage:
        """End the candidate; then `clean` shows whether the box may be used again.

        Returns:
            The resources it used; zero if the server is lost.
        """
        if self._end is None and not isinstance(self._fault, ProviderFault):
            await self._kill()
        return self._usage()

    def _usage(self) -> Usage:
        """Return the resources of this candidate and of those before a restart."""
        facts, before = self._end or {}, self._before
        return Usage(
            before.cpu_s + facts.get("cpu_s", 0.0),
            max(before.peak_memory_bytes, facts.get("peak_memory_bytes", 0)),
            (before.log + self.log)[-LOG_TAIL_BYTES:],
        )

    @property
    def clean(self) -> bool:
        """Whether the server has proved that nothing of the candidate is left."""
        return bool(self._end and self._end["clean"])

    @property
    def log(self) -> str:
        """The end of the candidate's output."""
        return repeatable(self._inbox.log.decode(errors="replace"))

    async def _exchange(
        self,
        header: dict[str, Any],
        payload: bytes,
        timeout_s: float | None,
        kind: bytes = b"D",
    ) -> Reply:
        if self._fault is not None:
            raise self._fault
        limit = self._limits.time_s if timeout_s is None else timeout_s
        header["id"] = secrets.token_hex(8)
        started = time.perf_counter()
        try:
            async with TimeLimit(limit).running():
                await self._box.packets.send(kind, wire.frame(header, payload))
                answer, body = await self._answer()
        except TimeoutError:
            await self._kill()
            fault = CandidateFault(
                Reason.TIMEOUT, f"no answer within {limit:g} s", self.log
            )
            raise self._broken(fault) from None
        except _Gone:  # finding the cause does not count as the candidate's time
            raise self._broken(await self._cause_of_death()) from None
        except SandboxError as fault:
            raise self._broken(fault) from None
        if answer.get("id") != header["id"]:
            await self._kill()
            raise self._broken(
                CandidateFault(
                    Reason.REFUSED, "its answer does not match the request", self.log
                )
            )
        return self._checked(answer, body, time.perf_counter() - started)

    async def _measure(
        self, header: dict[str, Any], payload: bytes, timeout_s: float | None
    ) -> Measured:
        reply = await self._exchange(header, payload, timeout_s, kind=b"G")
        self._measured.clear()
        try:
            async with asyncio.timeout(KILL_PATIENCE_S):
                await self._box.packets.send(b"M")
                while not self._measured and self._end is None:
                    await self._take(await self._box.packets.receive())
        except TimeoutError:
            await self._kill()
            raise self._broken(ProviderFault("the sandbox does not measure")) from None
        except SandboxError as fault:
            raise self._broken(fault) from None
        if not self._measured:
            raise self._broken(self._fault_of_end(self._end or {}))
        found = self._measured.pop()
        return Measured(
            reply.payload,
            found["wall"],
            found["before"],
            found["after"],
            reply.exit,
            found["instructions"],
        )

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

    async def _cause_of_death(self) -> SandboxError:
        try:
            with machine_faults("the sandbox is gone"):
                return await self._box.explain_death()
        except ProviderFault as fault:
            return fault

    async def _take(self, packet: Packet | None) -> None:
        if packet is None:
            raise _Gone("the sandbox is gone")
        if packet.kind == b"D":
            self._inbox.data += packet.body
        elif packet.kind == b"L":
            self._inbox.log += packet.body
            del self._inbox.log[:-LOG_TAIL_BYTES]
        elif packet.kind == b"T":
            self._measured.append(json.loads(packet.body))
        elif packet.kind == b"E":
            self._end = json.loads(packet.body)

    async def _kill(self) -> None:
        """Kill the candidate and wait for the report; kill a silent server, too."""
        try:
            async with asyncio.timeout(KILL_PATIENCE_S):
                await self._box.packets.send(b"K")
                while self._end is None:
                    self._inbox.data.clear()
                    await self._take(await self._box.packets.receive())
        except (TimeoutError, SandboxError):
            await self._box.end()
            self._end = {"clean": False}

    def _checked(self, header: Mapping[str, Any], body: bytes, seconds: float) -> Reply:
        if header.get("ok") is True:
            return Reply(body, seconds, _exit_status(header.get("exit")))
        error = _text(header, "error")
        reason = Reason(error) if error in _CLAIMS else Reason.REFUSED
        # Its output takes another path and may be late: after `end` it is complete.
        log = _text(header, "traceback").strip()[-LOG_TAIL_BYTES:]
        raise CandidateFault(
            reason, _text(header, "message")[:1000] or "no message", log
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
        if facts.get("exceeded") == "files":
            limit = self._limits.files
            return CandidateFault(
                Reason.OUTPUT, f"made more than {limit:,} files", self.log
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
    """Check that a tree of files can be written below one directory.

    Args:
        files: Relative path -> content.
        limits: Limits of the candidate.

    Raises:
        CandidateFault: With reason `REFUSED`: a path is not allowed, or a limit is
            exceeded.
    """
    total = sum(len(data) for data in files.values())
    if total > limits.disk_bytes or len(files) > limits.files:
        raise CandidateFault(
            Reason.REFUSED,
            f"its {len(files):,} files have {total:,} bytes; the "
            f"limit is {limits.files:,} files and {limits.disk_bytes:,} bytes",
        )
    for path in files:
        if not _is_inside(path) or _is_in_a_file(path, files):
            raise CandidateFault(Reason.REFUSED, f"invalid file name: {path!a:.200}")


def _is_in_a_file(path: str, files: Mapping[str, bytes]) -> bool:
    """Return whether a directory of the path is a file of the same tree."""
    end = path.find("/")
    while end >= 0 and path[:end] not in files:
        end = path.find("/", end + 1)
    return end >= 0


def _is_inside(path: str) -> bool:
    """Return whether a path is plain and relative, without "..", and valid in UTF-8."""
    parts = PurePosixPath(path).parts
    plain = "/".join(parts) == path and path.isprintable() and not path.startswith("/")
    return (
        bool(parts)
        and plain
        and ".." not in parts
        and all(len(p.encode()) < 256 for p in parts)
    )


def _text(header: Mapping[str, Any], key: str) -> str:
    """Return a text from a claimed header, safe to store and print; "" if missing."""
    value = header.get(key)
    if not isinstance(value, str):
        return ""
    return repeatable(value.encode(errors="backslashreplace").decode())


def repeatable(text: str) -> str:
    """Remove the parts of a text that differ between runs of the same candidate.

    These are the path of its directory, which contains its user id, and memory
    addresses.

    Args:
        text: Output or a message of a candidate.

    Returns:
        A text that the same candidate repeats.
    """
    kept, last = [], 0
    for found in _FOLDER.finditer(text):
        first = found.start()
        while first > last and (text[first - 1].isalnum() or text[first - 1] in "_./-"):
            first -= 1
        kept.append(text[last:first])
        last = found.end()
    return _ADDRESS.sub("0x...", "".join([*kept, text[last:]]))


def _exit_status(claimed: Any) -> int | None:
    """Return a claimed exit status; None if it can't be one."""
    return claimed if type(claimed) is int and abs(claimed) < 2**31 else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no name
        return f"signal {number}"
