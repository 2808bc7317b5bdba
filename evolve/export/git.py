"""git in a repository of a user; its error messages are reported."""

from pathlib import Path

from evolve.archive.git import run_git
from evolve.errors import INSTALL_GIT, PrerequisiteError, UsageError


def ask_git(
    repository: Path,
    *arguments: str,
    content: bytes = b"",
    index: str | None = None,
    configured: bool = False,
    hint: str = "",
) -> str:
    """Run one command of git.

    Args:
        repository: Any directory of the repository.
        arguments: The command and its arguments.
        content: Standard input.
        index: Index file to use instead of the repository's.
        configured: Whether to read the user's configuration, which has the author.
        hint: Advice in case the command fails.

    Returns:
        The output.

    Raises:
        PrerequisiteError: git is not installed.
        UsageError: The command failed.
    """
    variables = {"GIT_INDEX_FILE": index} if index else {}
    place = ("-C", str(repository))
    try:
        done = run_git(
            *place,
            *arguments,
            stdin=content,
            variables=variables,
            configured=configured,
        )
    except FileNotFoundError:
        raise PrerequisiteError("git is not installed", INSTALL_GIT) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"git {arguments[0]}: {said}", hint)
    return done.stdout.decode(errors="surrogateescape").strip("\n")
