"""The engine's side of a front: see `front.py`. Warm processes, each for one box at a time."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from evolve.agents import front
from evolve.agents.front import MAX_BODY, ROLES, Asked
from evolve.sandbox import ProviderFault
from evolve.sandbox.aside import import_path
from evolve.sandbox.errors import machine_faults
from evolve.sandbox.inside import wire

_START = (
    "import runpy, sys; sys.path[:] = sys.argv[2:]; "
    "runpy.run_path(sys.argv[1], run_name='__main__')"
)
PATIENCE_S = 30.0  # for a process to start, and to close a box


class Front:
    """A process that serves one box at a time.

    Args:
        process: the running process
        reader: from it
        writer: to it
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer

    @classmethod
    async def start(cls) -> "Front":
        """Start a process with one socket and no environment.

        Returns:
            The process, which may still be loading.

        Raises:
            ProviderFault: it can't be started
        """
        paths = import_path()
        with machine_faults("the agents' proxy can't be started"):
            ours, theirs = socket.socketpair()
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _START, front.__file__, *paths],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env={},
                    start_new_session=True,
                )
            return cls(
                process, *await asyncio.open_connection(sock=ours, limit=1 << 20)
            )

    async def open(self, path: Path) -> None:
        """Listen for a box.

        Args:
            path: of the Unix socket

        Raises:
            ProviderFault: it can't listen
        """
        async with self._patience():
            await self._send(wire.frame({"op": "open", "path": str(path)}))
            await self._read()

    async def close_box(self) -> None:
        """Stop listening; the next message is then None.

        Raises:
            ProviderFault: the process is gone
        """
        await self._send(wire.frame({"op": "close"}))

    async def question(self) -> tuple[int, Asked] | None:
        """Wait for the next request.

        Returns:
            Its number and the request; None when the box is closed.

        Raises:
            ProviderFault: the process is gone
        """
        header, payload = await self._read()
        if header.get("op") == "closed":
            return None
        try:
            return int(header["number"]), _unpacked(header, payload)
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderFault(f"the agents' proxy sent {error!r}") from None

    async def answer(self, number: int, status: int, body: bytes) -> None:
        """Answer a request.

        Args:
            number: of the request
            status: HTTP status
            body: of the response

        Raises:
            ProviderFault: the process is gone
        """
        header = {"op": "answer", "number": number, "status": status}
        await self._send(wire.frame(header, body))

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        with machine_faults("the agents' proxy is gone"):
            await self._writer.drain()

    async def _read(self) -> tuple[dict[str, Any], bytes]:
        try:
            with machine_faults("the agents' proxy is gone"):
                sizes = wire.frame_lengths(await self._reader.readexactly(8), MAX_BODY)
                header = wire.parse_header(await self._reader.readexactly(sizes[0]))
                return header, await self._reader.readexactly(sizes[1])
        except (asyncio.IncompleteReadError, wire.Malformed) as error:
            raise ProviderFault(f"the agents' proxy is gone: {error}") from None

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield
        except TimeoutError:
            raise ProviderFault("the agents' proxy does not answer") from None

    async def close(self) -> None:
        """Kill the process; it has no state to save."""
        self._writer.close()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)


def _unpacked(header: dict[str, Any], payload: bytes) -> Asked:
    """Return the request; raise KeyError, TypeError or ValueError if it is not valid."""
    roles, sizes = header["roles"], header["sizes"]
    if len(roles) != len(sizes) or sum(sizes) != len(payload) or min(sizes) < 0:
        raise ValueError("texts of other sizes")
    messages, start = [], 0
    for letter, size in zip(roles, sizes, strict=True):
        text = payload[start : start + size].decode()
        messages.append((ROLES[letter], text))
        start += size
    return Asked(tuple(messages), header["reply_tokens"], header["temperature"])


class Fronts:
    """Warm processes: one per box that is open at the same time."""

    def __init__(self) -> None:
        self._idle: list[Front] = []

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Front]:
        """Context manager: lend a process; it is kept if the body succeeds.

        Yields:
            The process, without a box.

        Raises:
            ProviderFault: it can't be started
        """
        lent = self._idle.pop() if self._idle else await Front.start()
        try:
            yield lent
        except BaseException:
            await lent.close()
            raise
        self._idle.append(lent)

    async def close(self) -> None:
        """Kill all idle processes."""
        while self._idle:
            await self._idle.pop().close()
