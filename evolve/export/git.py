"""git in a repository of a user; its error messages are reported."""

import os
import subprocess
from pathlib import Path

from evolve.errors import INSTALL_GIT, PrerequisiteError, UsageError


def run_git(
    repository: Path,
    *arguments: str,
    content: bytes = b"",
    index: str | None = None,
    hint: str = "",
) -> str:
    """Run one command of git.

    Args:
        repository: Any directory of the repository.
        arguments: The command and its arguments.
        content: Standard input.
        index: Index file to use instead of the repository's.
        hint: Advice in case the command fails.

    Returns:
        The output.

    Raises:
        PrerequisiteError: git is not installed.
        UsageError: The command failed.
    """
    environment = os.environ | ({"GIT_INDEX_FILE": index} if index else {})
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments],
            input=content,
            capture_output=True,
            env=environment,
            check=True,
        )
    except FileNotFoundError:
        raise PrerequisiteError("git is not installed", INSTALL_GIT) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise UsageError(f"git {arguments[0]}: {said}", hint) from None
    return done.stdout.decode(errors="surrogateescape").strip("\n")
