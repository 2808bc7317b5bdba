"""Limits of one candidate, and what it used."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What one candidate may use. Times are enforced from outside its sandbox."""

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
    """What one candidate used, as its parent process saw it."""

    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    log: str = ""
