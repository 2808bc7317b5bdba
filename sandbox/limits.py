"""Limits of one candidate, and its resource usage."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Limits of one candidate. Times are enforced from outside its sandbox.

    Attributes:
        time_s: Wall-clock time of one request.
        memory_bytes: Memory, without scratch files.
        processes: Processes and threads.
        cpus: CPU cores; enforced by Docker only.
        output_bytes: Printed output.
        disk_bytes: Size of each scratch file system.
        files: Number of files in each of them.
        message_bytes: Size of one answer.
    """

    time_s: float = 10.0
    memory_bytes: int = 512 * MIB
    processes: int = 64
    cpus: float = 1.0
    output_bytes: int = 4 * MIB
    disk_bytes: int = 64 * MIB
    files: int = 20_000
    message_bytes: int = 32 * MIB


@dataclass(frozen=True)
class Usage:
    """Resources that one candidate used, as its parent process measured them.

    Attributes:
        cpu_s: CPU time of all its processes.
        peak_memory_bytes: Largest resident size of one process.
        log: The end of its output.
    """

    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    log: str = ""
