"""Calls of the git program; no repository that it works on can make it run another.

A run directory may come from somebody else, with hooks and settings in its repository.
Hooks, fsmonitor, pagers and external diffs are switched off by the command line, and the
user's and the system's configuration are not read.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

_OFF = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.pager", "cat"),
    ("core.alternateRefsCommand", "true"),
    ("diff.external", ""),
    ("gc.auto", "0"),
    ("gc.recentObjectsHook", "true"),
    ("maintenance.auto", "false"),
)
_SETTINGS = [word for key, value in _OFF for word in ("-c", f"{key}={value}")]
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_IDENTITY = re.compile(r"GIT_(AUTHOR|COMMITTER|CONFIG)_")
CONFIG = (
    "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
    "[gc]\n\tauto = 0\n"
)


def run_git(
    *arguments: str,
    stdin: bytes = b"",
    variables: Mapping[str, str] | None = None,
    configured: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run git without hooks and helpers, and without the configuration of the user.

    Args:
        arguments: Options such as `--git-dir`, the verb, and its arguments.
        stdin: Input of the command.
        variables: Environment variables to add.
        configured: Read the configuration of user and system, which holds the author's
            name: for a repository of the user's own.

    Returns:
        The result; its output is bytes.

    Raises:
        FileNotFoundError: git is not installed.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or (configured and _IDENTITY.match(name))
    }
    own = {} if configured else ENVIRONMENT
    return subprocess.run(
        ["git", *_SETTINGS, *arguments],
        input=stdin,
        capture_output=True,
        env={**inherited, **own, **(variables or {})},
        check=False,
    )


def make_harmless(repository: Path) -> None:
    """Remove what git could run from a bare repository, and its links to others.

    Args:
        repository: Its directory.

    Raises:
        OSError: It can't be written.
    """
    for path in (
        *(repository / "hooks").glob("*"),
        repository / "objects" / "info" / "alternates",
        repository / "objects" / "info" / "http-alternates",
        repository / "config.worktree",
        repository / "info" / "attributes",
    ):
        path.unlink(missing_ok=True)
    config = repository / "config"
    if not repository.is_dir():
        return
    if config.is_symlink() or not config.is_file() or config.read_text() != CONFIG:
        config.unlink(missing_ok=True)
        config.write_text(CONFIG)
