"""Packets between the engine and the fork server in a sandbox (kinds: see `inside/server.py`)."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from sandbox.errors import ProviderFault

PACKET = struct.Struct(">cI")
MAX_BODY = 1 << 20


@dataclass(frozen=True)
class Packet:
    """One packet from the fork server."""

    kind: bytes
    body: bytes


class PacketStream:
    """Packets over a pair of asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, kind: bytes, body: bytes = b"") -> None:
        """Send one packet. Raises `ProviderFault` when the server is gone."""
        self._writer.write(PACKET.pack(kind, len(body)) + body)
        try:
            await self._writer.drain()
        except (ConnectionError, BrokenPipeError) as error:
            raise ProviderFault(f"the sandbox is gone: {error}") from None

    async def receive(self) -> Packet | None:
        """The next packet; None when the server is gone. Raises `ProviderFault` on nonsense."""
        try:
            kind, length = PACKET.unpack(await self._reader.readexactly(PACKET.size))
            if length > MAX_BODY:
                raise ProviderFault(f"the sandbox sent a packet of {length} bytes")
            return Packet(kind, await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """Close the writing side; the server ends with it."""
        self._writer.close()
