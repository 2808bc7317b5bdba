"""What an attack is, and the words its code is written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evolve.sandbox import CandidateFault, Reason
from evolve.sandbox.contract import LIMITS, Outcome

# Every attack carries this in its source; the next candidate must find it nowhere.
MARK_PREFIX = "trAce8e1"
MARK = MARK_PREFIX + "5b0f6c1d9a7742e3b8"

PRELUDE = f'''
import ctypes, os, signal, socket, struct, subprocess, sys, threading, time
MARK = "{MARK}"
won = []
libc = ctypes.CDLL(None, use_errno=True)
def gain(name, work, *args):
    """Note the name when the work succeeds: it must not."""
    try:
        result = work(*args)
    except BaseException:
        return
    if not (type(result) is int and result < 0):
        won.append(name)
def spawn(work):
    """A child that does the work and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid
def question():
    """The request that is being answered, taken from the caller's frames."""
    frame = sys._getframe()
    while frame:
        header = frame.f_locals.get("header")
        if isinstance(header, dict) and "op" in header:
            return header
        frame = frame.f_back
def forge(header, payload=b"", **more):
    """Write a reply of one's own on the reply pipe and say nothing else."""
    import json
    text = header if isinstance(header, bytes) else json.dumps({{**header, **more}}).encode()
    os.write(4, struct.pack(">II", len(text), len(payload)) + text + payload)
    time.sleep(20)
def answer(*args):
    attack(*args)
    return won
'''

Verdict = Callable[[Outcome], bool]


@dataclass(frozen=True)
class Attack:
    """One hostile candidate; `holds` says whether what became of it is what must."""

    name: str
    body: str
    holds: Verdict
    timeout_s: float = 5.0
    slow: bool = False
    arguments: Callable[[], tuple[Any, ...]] = tuple

    @property
    def source(self) -> str:
        return PRELUDE + self.body


def nothing_won(outcome: Outcome) -> bool:
    """It ran to its end and none of its attempts succeeded."""
    return outcome.fault is None and outcome.value == []


def faulted(*reasons: Reason) -> Verdict:
    """It ended with one of these faults, and with no value."""

    def holds(outcome: Outcome) -> bool:
        return (
            isinstance(outcome.fault, CandidateFault)
            and outcome.fault.reason in reasons
        )

    return holds


def at_most(limit: float) -> Verdict:
    """It got hold of no more than this, by its own count; or it was ended for trying."""

    def holds(outcome: Outcome) -> bool:
        if outcome.fault:
            return outcome.fault.reason in (Reason.MEMORY, Reason.OUTPUT)
        return bool(outcome.value[0] <= limit)

    return holds


__all__ = [
    "LIMITS",
    "MARK",
    "MARK_PREFIX",
    "PRELUDE",
    "Attack",
    "Reason",
    "at_most",
    "faulted",
    "nothing_won",
]
