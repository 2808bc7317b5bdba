"""Packets from the engine to the fork server, in memory that no candidate inherits.

Standard library only.
"""

from __future__ import annotations

import mmap
import os
import select
import struct

PACKET = struct.Struct(">cI")
CHUNK = 1 << 16
QUEUE_BYTES = 65 << 20  # holds one frame of the largest size


def private_memory(size: int) -> mmap.mmap:
    """Return memory that a forked candidate does not inherit.

    Args:
        size: Number of bytes.

    Returns:
        Zeroed memory.
    """
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_DONTFORK)
    return memory


class Incoming:
    """Packets from the engine; bodies are queued in memory that no fork inherits."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._body_left = 0
        self._queue = private_memory(QUEUE_BYTES)
        self._start = self._end = 0

    def wait_for_start(self) -> bool:
        """Wait for the next start packet; discard late packets of the last candidate.

        Returns:
            False when the engine is gone.
        """
        while True:
            select.select([0], [], [])
            kind = self.read()
            self.forget()
            if kind == b"S":
                return True
            if kind == b"":
                return False

    @property
    def waiting(self) -> bool:
        """Whether bytes are queued for the candidate."""
        return self._end > self._start

    @property
    def fits(self) -> bool:
        """Whether a whole packet is queued, and one write can pass it on."""
        return not self._body_left and self._end - self._start <= CHUNK

    @property
    def has_room(self) -> bool:
        """Whether the queue can take more bytes."""
        return self._end < QUEUE_BYTES

    def read(self) -> bytes | None:
        """Read without waiting.

        Returns:
            The kind of a packet that began; b"" at the end of the stream; None
            otherwise.
        """
        try:
            return self._read_body() if self._body_left else self._read_head()
        except BlockingIOError:
            return None

    def _read_body(self) -> bytes | None:
        size = min(CHUNK, self._body_left, QUEUE_BYTES - self._end)
        with (
            memoryview(self._queue) as queue,
            queue[self._end : self._end + size] as view,
        ):
            count = os.readv(0, [view])
        self._end += count
        self._body_left -= count
        return None if count else b""

    def _read_head(self) -> bytes | None:
        data = os.read(0, PACKET.size - len(self._head))
        if not data:
            return b""
        self._head += data
        if len(self._head) < PACKET.size:
            return None
        kind, self._body_left = PACKET.unpack(self._head)
        self._head.clear()
        return bytes(kind)

    def feed(self, descriptor: int) -> None:
        """Write queued bytes to the candidate, as many as it takes without waiting.

        Args:
            descriptor: The candidate's pipe; if it is closed, the queue is dropped.
        """
        try:
            end = min(self._end, self._start + CHUNK)
            with memoryview(self._queue) as queue, queue[self._start : end] as view:
                self._start += os.write(descriptor, view)
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._start = self._end
        if self._start == self._end:
            self._start = self._end = 0

    def forget(self) -> None:
        """Return the queue's memory to the system and empty the queue."""
        if self._end:
            self._start = self._end = 0
            self._queue.madvise(mmap.MADV_DONTNEED)
