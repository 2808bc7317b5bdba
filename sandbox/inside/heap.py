"""A heap that keeps its memory, as that of a process that has worked for a while.

A program that is called over the wire would else get new pages from the kernel for each
call, after the memory of the last answer was given back; a program in its evaluator's process
mostly gets used ones. Standard library only.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES, _MMAP_BYTES = 1 << 30, 32 << 20
_RESERVE_BYTES, _ARENA_BYTES = 8 << 20, 1 << 20
_OBJECT_BYTES = 64
_pins: list[object] = []


def keep() -> None:
    """Keep freed memory from now on, and a reserve of it for small objects."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
    objects = [
        bytes(_OBJECT_BYTES - 40) for _ in range(_RESERVE_BYTES // _OBJECT_BYTES)
    ]
    # one object in each arena keeps the interpreter from giving it back
    _pins.extend(objects[:: _ARENA_BYTES // _OBJECT_BYTES // 4])
