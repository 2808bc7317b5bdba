"""Commands as an ordinary user, also where the tests run as root and Python is in root's home."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cli import EVOLVE, Result
from tests.conftest import ROOT

USER = 12_345


@contextmanager
def folder_of_user() -> Iterator[Path]:
    """An empty directory of this user, which is also its home."""
    folder = Path(tempfile.mkdtemp(prefix="user-", dir="/tmp"))
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, USER, USER)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def evolve_as_user(
    folder: Path,
    *arguments: str | Path,
    before: str = "true",
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run `evolve` in a directory of `folder_of_user`, after a command of the shell."""
    command = shlex.join([EVOLVE, *map(str, arguments)])
    variables = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        **(env or {}),
    }
    given = shlex.join(f"{name}={value}" for name, value in variables.items())
    whole = f"cd {folder} && {before} && exec env -i {given} {command}"
    steps = ["bash", "-c", whole]
    if os.geteuid() == 0:
        drop = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        steps = [*drop, *steps]
        script = "\n".join([*_opening(), f"exec {shlex.join(steps)}"])
        steps = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "bash",
            "-ec",
            script,
        ]
    done = subprocess.run(
        steps, capture_output=True, text=True, timeout=120, check=False, cwd="/"
    )
    return Result(done.returncode, done.stdout, done.stderr)


def _opening() -> Iterator[str]:
    """Commands after which every user reaches this Python and these files."""
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT}
    closed = {
        next((p for p in reversed(path.parents) if not p.stat().st_mode & 0o001), None)
        for path in needed
    } - {None}
    yield "kept=$(mktemp -d)"
    for door in sorted(filter(None, closed)):
        inside = [path for path in sorted(needed) if path.is_relative_to(door)]
        for number, path in enumerate(inside):
            yield f"mkdir $kept/{number} && mount --bind {path} $kept/{number}"
        yield f"mount -t tmpfs -o mode=755 tmpfs {door}"
        for number, path in enumerate(inside):
            yield f"mkdir -p {path} && mount --bind $kept/{number} {path}"
            yield f"umount $kept/{number}"
