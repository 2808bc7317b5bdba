"""The engine's side of a scorer process: kept warm, and replaced after a fault."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.evaluation.confinement import bwrap_failed, confined
from evolve.evaluation.fresh_runs import FreshRuns
from evolve.evaluation.memory import wait_until_above
from evolve.evaluation.printed import keep_short, mask_controls, shorten
from evolve.sandbox import CandidateFault, Measured, ProviderFault, Reply
from evolve.sandbox.errors import machine_faults
from evolve.sandbox.inside import wire
from evolve.tasks import CaseSpec
from evolve.text import Data

_PACKAGES = Path(__file__).parents[2]  # the folder that holds `evolve`
START_PATIENCE_S = 60.0
REQUESTS = (
    "call",
    "run",
    "put",
    "block",
    "rehearse",
    "tool",
)  # of a scorer to the candidate


class ScorerDied(Exception):
    """The scorer's process ended or did not answer in time."""


class WallsFell(ScorerDied):
    """The scorer did not start because bubblewrap failed; a retry may succeed."""


class ScorerFull(ScorerDied):
    """The scorer exceeded its memory limit and was killed."""


@dataclass(frozen=True)
class Said:
    """The scorer's final message about a candidate.

    Attributes:
        op: "result", "refused" or "broken"
        header: fields of the message
        payload: encoded result
    """

    op: str
    header: Mapping[str, Any]
    payload: bytes


class ScorerProcess:
    """A scorer process. After `ScorerDied` it must not be used again.

    Args:
        process: the running process
        reader: from the scorer
        writer: to the scorer
        memory_bytes: limit, with all its child processes
        log: file for its output
        printed: size of the log before it started
        scratch: folder of its own, removed with it
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        memory_bytes: int,
        log: Path,
        printed: int,
        scratch: Path,
    ) -> None:
        self._scratch = scratch
        self._process, self._reader, self._writer = process, reader, writer
        self._log, self._printed = log, printed  # the log, and its size at the start
        self.scored = 0  # number of requested evaluations
        self._used: int | None = None  # memory in bytes that it was killed for
        self._watcher = asyncio.create_task(self._watch(memory_bytes))
        self._shortener = asyncio.create_task(keep_short(log))

    @classmethod
    async def start(
        cls,
        evaluator: Path,
        packages: Path | None,
        log: Path,
        folder: Path,
        environment: Mapping[str, str],
        memory_bytes: int,
    ) -> "ScorerProcess":
        """Start a scorer with one socket and an almost empty environment.

        Args:
            evaluator: the task's evaluate.py
            packages: folder of packages; None for none
            log: file for its output
            folder: the task's folder
            environment: further environment variables
            memory_bytes: limit, with all its child processes

        Returns:
            The started process, which may still be loading.
        """
        ours, theirs = socket.socketpair()
        packs = [packages] if packages else []
        command = [
            sys.executable,
            "-P",
            "-s",
            "-m",
            "evolve.evaluation.scorer",
            str(evaluator),
            str(theirs.fileno()),
            *map(str, packs),
        ]
        scratch = Path(tempfile.mkdtemp(prefix="evolve-scorer-"))
        with log.open("ab") as file, theirs:
            printed = file.tell()
            process = subprocess.Popen(
                confined(command, folder, packs, memory_bytes, scratch),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                pass_fds=[theirs.fileno()],
                cwd=folder,
                env={
                    "PATH": "/usr/local/bin:/usr/bin:/bin",
                    "LANG": "C.UTF-8",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **environment,
                    "PYTHONPATH": str(_PACKAGES),
                },
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        return cls(process, reader, writer, memory_bytes, log, printed, scratch)

    async def _watch(self, memory_bytes: int) -> None:
        self._used = await wait_until_above(self._process, memory_bytes)
        if self._used is not None:
            self._kill()

    async def wait_until_ready(self) -> Said | None:
        """Wait until the evaluator is loaded.

        Returns:
            None on success; else the message about the problem.

        Raises:
            ScorerDied: the process ended, or took too long
            WallsFell: the process did not even start
        """
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                header, payload = await self._read()
        except TimeoutError:
            raise ScorerDied(
                f"it was not loaded within {START_PATIENCE_S:g} s"
            ) from None
        except ScorerDied as error:
            if bwrap_failed(self._log.read_bytes()[self._printed :]):
                raise WallsFell(str(error)) from None
            raise
        return None if header["op"] == "ready" else Said("broken", header, payload)

    async def score(
        self,
        live: FreshRuns,
        files: Mapping[str, bytes],
        case: CaseSpec,
        seed: int,
        attempt: int,
    ) -> Said:
        """Score the candidate of a session, relaying the scorer's requests to it.

        Faults of the sandbox propagate.

        Args:
            live: the candidate in its sandbox
            files: the candidate's tree, path -> content
            case: the case
            seed: secret seed of the case
            attempt: number of the attempt

        Returns:
            The final message.

        Raises:
            ScorerDied: the process ended
        """
        header: Data = {
            "op": "evaluate",
            "case": case.id,
            "split": case.split,
            "seed": seed,
            "attempt": attempt,
        }
        self.scored += 1
        await self._write(header, wire.encode((dict(files), dict(case.params))))
        while True:
            header, payload = await self._read()
            if header["op"] not in REQUESTS:
                return Said(header["op"], header, payload)
            await self._write(*await _ask_candidate(live, header, payload))

    async def prepare(self, op: str, case: CaseSpec, seed: int) -> Said:
        """Call evaluate.py's function `cases` or `workspace`.

        Args:
            op: name of the function
            case: argument of `workspace`
            seed: secret seed of the case

        Returns:
            The message; its op is "nothing" if the function does not exist.

        Raises:
            ScorerDied: the process ended
        """
        header: Data = {
            "op": op,
            "case": case.id,
            "split": case.split,
            "seed": seed,
            "attempt": 0,
        }
        await self._write(header, wire.encode(({}, dict(case.params))))
        header, payload = await self._read()
        return Said(header["op"], header, payload)

    async def _read(self) -> tuple[Data, bytes]:
        try:
            prefix = await self._reader.readexactly(8)
            header, payload = wire.frame_lengths(prefix)
            said = wire.parse_header(await self._reader.readexactly(header))
            if not isinstance(said.get("op"), str):
                raise wire.Malformed("a message without a kind")
            return said, await self._reader.readexactly(payload)
        except wire.Malformed as error:
            raise ScorerDied(f"it sent {error}") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            status = await asyncio.to_thread(self._process.wait)
            raise self._death(f"it ended with status {status}") from None
        except OSError as error:
            raise ProviderFault(f"the scorer can't be read: {error}") from error

    async def _write(self, header: Data, payload: bytes) -> None:
        try:
            self._writer.write(wire.frame(header, payload))
            with machine_faults("the scorer can't be asked"):
                await self._writer.drain()
        except ProviderFault as fault:
            if isinstance(fault.__cause__, ConnectionError):
                raise self._death("it closed its socket") from None
            raise

    def _death(self, how: str) -> ScorerDied:
        if self._used is None:
            return ScorerDied(how)
        return ScorerFull(
            f"it used {self._used / 1e6:,.0f} MB of memory, more than it may "
            "(limits.scorer_memory_mb)"
        )

    def _kill(self) -> None:
        # together with child processes of evaluate.py
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Kill the process; it has no state to save."""
        self._watcher.cancel()
        self._shortener.cancel()
        self._writer.close()
        self._kill()
        await asyncio.to_thread(self._process.wait)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):  # the run's folder may be gone
            await asyncio.to_thread(shorten, self._log)
            await asyncio.to_thread(mask_controls, self._log)


async def _ask_candidate(
    live: FreshRuns, header: Mapping[str, Any], payload: bytes
) -> tuple[Data, bytes]:
    """Relay one request; a candidate's fault is also an answer."""
    live.hidden = live.hidden or header.get("drawn") is True
    try:
        reply = await _passed_on(live, header, payload)
    except CandidateFault as fault:
        # Cut, so that the frame stays within its limit however the text is escaped.
        return {
            "ok": False,
            "token": header["token"],
            "reason": fault.reason.value,
            "message": fault.message[:1000],
            "log": fault.log[-2000:],
        }, b""
    answer: Data = {"ok": True, "token": header["token"], "exit": reply.exit}
    if isinstance(reply, Measured):
        answer["measured"] = [reply.wall_ns, reply.before_ns, reply.after_ns]
    else:
        answer["seconds"] = reply.seconds
    return answer, reply.payload


async def _passed_on(
    live: FreshRuns, header: Mapping[str, Any], payload: bytes
) -> Reply | Measured:
    if header["op"] == "rehearse":
        return await live.rehearse(payload, header["times"])
    if header.get("measured"):
        return await live.measure(header, payload)
    if header["op"] == "call":
        return await live.call(header["function"], payload, header["timeout_s"])
    if header["op"] == "block":
        return await live.block(header, payload)
    if header["op"] == "tool":
        return await live.tool(header, payload)
    if header["op"] == "put":
        return await live.put(wire.decode(payload))
    return await live.run(
        header["argv"], payload, header["timeout_s"], header.get("folder", "")
    )
