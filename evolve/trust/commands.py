"""Commands that answer as models (`cmd:`): only those that the user has named are run.

A command runs as the user. It is taken from flags, the environment and the user's file; a
task, a `.env` and a run of somebody else can't name one. Those that the user has named once
are remembered in the user's data directory, so that a run can be resumed.
"""

import contextlib
import hashlib
from collections.abc import Iterable

from evolve.errors import PrerequisiteError, TrustError
from evolve.trust import store


def remember(commands: Iterable[str]) -> None:
    """Remember commands that the user has named.

    Args:
        commands: `cmd:` models from a flag, the environment or the user's file
    """
    for command in commands:
        # without such a directory, resuming needs the command again
        with contextlib.suppress(PrerequisiteError):
            store.accept(_digest(command))


def require_named(commands: Iterable[str]) -> None:
    """Refuse commands that the user has never named.

    Args:
        commands: `cmd:` models of a run

    Raises:
        TrustError: one of them comes from somebody else
    """
    for command in commands:
        if not store.is_accepted(_digest(command)):
            raise TrustError(
                f"the model {command!r} is a command, and you have never named it: a run of "
                "somebody else may not",
                "choose a model yourself: evolve resume RUN --model NAME; if you know the "
                "command, name it there",
            )


def _digest(command: str) -> str:
    return hashlib.sha256(f"model command\0{command}".encode()).hexdigest()
