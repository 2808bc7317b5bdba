"""Instructions that processes execute, counted by the kernel: perf_event_open(2).

Such a count hardly depends on other load on the machine. Most virtual machines and Docker's
filter of system calls give none: then there is no count, and times alone decide. Standard
library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys

HARDWARE, INSTRUCTIONS = 0, 1  # PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS
_CALL = {"x86_64": 298, "aarch64": 241}.get(platform.machine())
_SIZE = 112  # PERF_ATTR_SIZE_VER5
# of later threads and processes, too; not in the kernel, which ordinary users may not count
_INHERIT, _NOT_KERNEL, _NOT_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_CLOSE_ON_EXEC = 8


class Counter:
    """Counts an event in processes and in all that they start.

    Args:
        pids: Processes.
        kind: Type of the event, as in perf_event_open(2).
        event: The event.
    """

    def __init__(
        self, pids: list[int], kind: int = HARDWARE, event: int = INSTRUCTIONS
    ) -> None:
        self._files = []
        for thread in (thread for pid in pids for thread in _threads(pid)):
            file = _open(thread, kind, event)
            if file is None:
                self.close()
                return
            self._files.append(file)

    def read(self) -> int | None:
        """Return the count since the start; None where the kernel gives none."""
        if not self._files:
            return None
        return sum(
            int.from_bytes(os.read(file, 8), sys.byteorder) for file in self._files
        )

    def close(self) -> None:
        """Stop counting."""
        for file in self._files:
            os.close(file)
        self._files = []


def _threads(pid: int) -> list[int]:
    with contextlib.suppress(OSError):  # it has ended
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    return []


def _open(thread: int, kind: int, event: int) -> int | None:
    """Return a file to read the count from; None if the kernel refuses."""
    if _CALL is None:
        return None
    flags = _INHERIT | _NOT_KERNEL | _NOT_HYPERVISOR
    head = struct.pack("IIQQQQQ", kind, _SIZE, event, 0, 0, 0, flags)
    attributes = ctypes.create_string_buffer(head, _SIZE)
    call = ctypes.CDLL(None).syscall
    file = int(call(_CALL, attributes, thread, -1, -1, _CLOSE_ON_EXEC))
    return file if file >= 0 else None
