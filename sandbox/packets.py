"""Packets between the engine and the fork server (kinds: see `inside/server.py`)."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Protocol

from evolve.sandbox.errors import ProviderFault

PACKET = struct.Struct(">cI")
MAX_BODY = 1 << 20


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
        try:
            await self._writer.drain()
        except (ConnectionError, BrokenPipeError) as error:
            raise ProviderFault(f"the sandbox is gone: {error}") from None

    async def receive(self) -> Packet | None:
        """Return the next packet; a cancelled call can be repeated without losing data.

        Returns:
            The packet; None when the server is gone.

        Raises:
            ProviderFault: The packet is longer than `MAX_BODY`.
        """
        try:
            if self._head is None:
                self._head = PACKET.unpack(await self._reader.readexactly(PACKET.size))
            kind, length = self._head
            if length > MAX_BODY:
                raise ProviderFault(f"the sandbox sent a packet of {length} bytes")
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self._head = None
        return Packet(kind, body)

    def close(self) -> None:
        """Close the writing side, which ends the server."""
        self._writer.close()
