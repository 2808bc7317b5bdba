"""The log of the scorers: what an evaluator prints is kept in part if it is very long."""

import asyncio
import os
from pathlib import Path

HEAD_BYTES = TAIL_BYTES = 1 << 20
_EVERY_S = 0.2


def shorten(log: Path) -> None:
    """Leave out the middle of a log that is too long; writers append after it.

    Args:
        log: The file, which processes have open for appending.
    """
    size = log.stat().st_size
    if size <= 2 * (HEAD_BYTES + TAIL_BYTES):
        return
    with log.open("r+b") as file:
        file.seek(-TAIL_BYTES, os.SEEK_END)
        tail = file.read(TAIL_BYTES)
        left_out = size - HEAD_BYTES - len(tail)
        file.seek(HEAD_BYTES)
        file.write(f"\n[{left_out:,} bytes are left out]\n".encode() + tail)
        file.truncate()


async def keep_short(log: Path) -> None:
    """Shorten a log now and then, until cancelled.

    Args:
        log: The file.
    """
    while True:
        await asyncio.sleep(_EVERY_S)
        if log.exists():
            await asyncio.to_thread(shorten, log)
