"""The log of the scorers: long output is kept in part, and controls no terminal.

An evaluator may print answers of a candidate. Each byte of a control character is
replaced in place by `?`, so that processes that append to the log are not disturbed.
"""

import asyncio
import os
import re
from pathlib import Path

HEAD_BYTES = TAIL_BYTES = 1 << 20
_EVERY_S = 0.2
_LONGEST = 3  # bytes of a character below
# the characters of `evolve.text.visible`, as bytes of UTF-8
_CONTROL = re.compile(
    rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]"
    rb"|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf"
)


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


def mask_controls(log: Path, start: int = 0) -> int:
    """Replace control characters in place.

    Args:
        log: The file, which processes have open for appending.
        start: Number of bytes that are known to be safe.

    Returns:
        Number of bytes that are safe now.
    """
    with log.open("r+b") as file:
        file.seek(max(0, start - _LONGEST))  # a character may have been written in part
        place, text = file.tell(), file.read()
        for found in _CONTROL.finditer(text):
            file.seek(place + found.start())
            file.write(b"?" * len(found[0]))
    return place + len(text)


async def keep_short(log: Path) -> None:
    """Shorten a log and mask its control characters now and then, until cancelled.

    Args:
        log: The file.
    """
    safe = 0
    while True:
        await asyncio.sleep(_EVERY_S)
        if log.exists():
            await asyncio.to_thread(shorten, log)
            if log.stat().st_size != safe:
                safe = await asyncio.to_thread(mask_controls, log, safe)
