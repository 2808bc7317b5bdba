"""Errors for people: the problem, its place, and the next step; a traceback with --debug only.

EvolveError            exit 1
├── UsageError         exit 2   wrong flag, setting, task or run name
│   ├── ConfigError             a setting, with the key and where it came from
│   └── TaskError               a task directory, with file and line
├── PrerequisiteError  exit 3   something this machine lacks
│   └── TrustError              a task or a run of somebody else, not trusted yet
└── RunError           exit 1   a run that can't go on; it is resumable
    └── RunLocked      exit 2   another engine works on it
"""

import difflib
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

INSTALL_GIT = (
    "apt-get install git (Debian), dnf install git (Fedora), apk add git (Alpine)"
)


class EvolveError(Exception):
    """Base of all errors of the engine.

    Args:
        message: The problem, in one sentence.
        hint: What to do next, such as a command; empty: nothing.

    Attributes:
        exit_code: Exit code of the command.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class UsageError(EvolveError):
    """The command line is wrong, or it names something that is."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is wrong."""


class TaskError(UsageError):
    """A task directory is wrong; the message names file and line or key."""


class PrerequisiteError(EvolveError):
    """Something is missing on this machine."""

    exit_code = 3


def require_git() -> None:
    """Check that git is installed: the code of variants is kept in a repository.

    Raises:
        PrerequisiteError: It is not; names the commands that install it.
    """
    if shutil.which("git") is None:
        raise PrerequisiteError("git is not installed", INSTALL_GIT)


class TrustError(PrerequisiteError):
    """A task or run from somebody else wants what only the user may allow."""


class RunError(EvolveError):
    """A run can't go on; its stored state is complete."""


class RunLocked(RunError):
    """Another engine works on the run."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint for a misspelled word.

    Args:
        word: The word.
        known: All valid words.

    Returns:
        The closest valid word, or all of them if none is close.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def validation_message(problem: Mapping[str, Any]) -> str:
    """Rephrase an error of pydantic for people who write TOML.

    Args:
        problem: One element of `ValidationError.errors()`.

    Returns:
        The message.
    """
    if problem["type"] == "tuple_type":
        return 'it must be a list, like ["one", "two"]'
    return str(problem["msg"]).removeprefix("Value error, ")


DISTRIBUTION = "evolutionary-code-search"


def pip_line(extra: str) -> str:
    """Return the command that installs an extra into this installation.

    Args:
        extra: Its name in pyproject.toml.

    Returns:
        A pip command, for the checkout if the package was installed from one.
    """
    import json
    import shlex
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        origin = json.loads(
            distribution(DISTRIBUTION).read_text("direct_url.json") or "{}"
        )
    # the package is on sys.path, but not installed
    except PackageNotFoundError:
        origin = {}
    place = urlsplit(origin.get("url", ""))
    if place.scheme != "file" or "dir_info" not in origin:
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    editable = "-e " if origin["dir_info"].get("editable") else ""
    return f"pip install {editable}{shlex.quote(f'{unquote(place.path)}[{extra}]')}"
