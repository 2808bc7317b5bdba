"""Errors of a sandbox, by cause.

SandboxError
├── NoSuchSandbox        the name of a sandbox is wrong
├── SandboxUnavailable   a prerequisite is missing: nothing was started
│   └── PackagesUnavailable  packages of the task can't be installed, in any sandbox
├── ProviderFault        the machine's fault: try again elsewhere, never a score
└── CandidateFault       the candidate's fault: a failed variant with a typed reason
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Reason(StrEnum):
    """Why a candidate failed."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    CRASH = "crash"
    REFUSED = "refused"  # its answer is not allowed by the protocol


class SandboxError(Exception):
    """Base class of all errors of this package.

    Attributes:
        message: The fault.
        hint: What to do next; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class NoSuchSandbox(SandboxError):
    """No provider has this name."""


class SandboxUnavailable(SandboxError):
    """A prerequisite of the sandbox is missing on this machine."""


class PackagesUnavailable(SandboxUnavailable):
    """The task's packages or tools can't be installed, in this or any other sandbox."""


class ProviderFault(SandboxError):
    """The machine failed: daemon gone, container lost, disk full."""


class CandidateFault(SandboxError):
    """The candidate failed.

    Attributes:
        reason: Type of the failure.
        log: The end of the candidate's output.
    """

    def __init__(self, reason: Reason, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason, self.log = reason, log


@contextmanager
def machine_faults(what: str) -> Iterator[None]:
    """Context manager: turn errors of the system into faults of the machine.

    They are, for example, too many open files, or no memory for a socket. A `TimeoutError`
    is not one of them.

    Args:
        what: What failed, for the message.

    Yields:
        While errors are turned.

    Raises:
        ProviderFault: The system refused something.
    """
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        raise ProviderFault(f"{what}: {error}") from error
