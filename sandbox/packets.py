"""Packets between the engine and the fork server (kinds: see `inside/server.py`)."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Protocol

from evolve.sandbox.errors import ProviderFault, machine_faults

PACKET = struct.Struct(">cI")
MAX_BODY = 1 << 20
AT_ONCE = 64  # packets that are read before other tasks of the loop run


@dataclass(frozen=True)
class Packet:
    """One packet from the fork server."""

    kind: bytes
    body: bytes


class Reader(Protocol):
    """The input of a packet stream; a cancelled read must not lose data."""

    async def readexactly(self, n: int, /) -> bytes:
        """Return exactly `n` bytes; raise `IncompleteReadError` if the input ends before."""

    def at_eof(self) -> bool:
        """Return whether the input has ended and everything was read."""


class PacketStream:
    """Packets over a pair of streams.

    Args:
        reader: The server's output.
        writer: The server's input.
    """

    def __init__(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._head: tuple[bytes, int] | None = None
        self._held = b""
        self._at_once = 0  # packets read without a pause

    @property
    def ended(self) -> bool:
        """Whether the server is known to be gone, without waiting."""
        return self._reader.at_eof()

    def hold(self, kind: bytes) -> None:
        """Queue an empty packet for the next `send`: one system call, one wake-up.

        Args:
            kind: One byte.
        """
        self._held += PACKET.pack(kind, 0)

    async def send(self, kind: bytes, body: bytes = b"") -> None:
        """Send one packet.

        Args:
            kind: One byte.
            body: Its content.

        Raises:
            ProviderFault: The server is gone.
        """
        self._writer.write(b"".join((self._held, PACKET.pack(kind, len(body)), body)))
        self._held = b""
        with machine_faults("the sandbox is gone"):
            await self._writer.drain()

    async def receive(self) -> Packet | None:
        """Return the next packet; a cancelled call can be repeated without losing data.

        Packets that have arrived are read without waiting; so that a candidate that
        fills the buffer with tiny ones does not keep the event loop, other tasks run
        after every `AT_ONCE`.

        Returns:
            The packet; None when the server is gone.

        Raises:
            ProviderFault: The packet is longer than `MAX_BODY`, or the system refuses.
        """
        self._at_once = (self._at_once + 1) % AT_ONCE
        if not self._at_once:
            await asyncio.sleep(0)
        try:
            if self._head is None:
                self._head = PACKET.unpack(await self._reader.readexactly(PACKET.size))
            kind, length = self._head
            if length > MAX_BODY:
                raise ProviderFault(f"the sandbox sent a packet of {length} bytes")
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except OSError as error:
            raise ProviderFault(f"a sandbox can't be read: {error}") from error
        self._head = None
        return Packet(kind, body)

    def close(self) -> None:
        """Close the writing side, which ends the server."""
        self._writer.close()
