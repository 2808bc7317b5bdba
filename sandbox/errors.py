"""What can go wrong in a sandbox, and whose fault it is.

SandboxError
├── NoSuchSandbox        the name of a sandbox is wrong
├── SandboxUnavailable   a prerequisite is missing: nothing was started
│   └── PackagesUnavailable  what the task wants installed: no other sandbox will have it
├── ProviderFault        the machine's fault: try again elsewhere, never a score
└── CandidateFault       the candidate's fault: a failed variant with a typed reason
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a candidate failed."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    CRASH = "crash"
    REFUSED = "refused"  # it answered with something that may not cross the line


class SandboxError(Exception):
    """Base of all errors of this package; `hint` says what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NoSuchSandbox(SandboxError):
    """No provider has this name."""


class SandboxUnavailable(SandboxError):
    """The sandbox can't be used on this machine as it is."""


class PackagesUnavailable(SandboxUnavailable):
    """Packages or tools of the task can't be had: they would be missing in every sandbox."""


class ProviderFault(SandboxError):
    """The machine failed: daemon gone, container lost, disk full."""


class CandidateFault(SandboxError):
    """The candidate failed. `log` is the tail of what it printed."""

    def __init__(self, reason: Reason, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason, self.log = reason, log
