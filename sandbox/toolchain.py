"""Compilers for compiled candidates, copied from this machine into the sandbox.

Like this machine's Python they need no registry. Debian's package manager knows which
files belong to a tool and which packages it needs; on other systems a task names an
image that has its compiler.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from evolve.sandbox.errors import PackagesUnavailable, SandboxUnavailable
from evolve.sandbox.provider import Progress

# Packages that a tool needs in practice and does not declare as dependencies.
_COMPANIONS = {"gcc": ("libc6-dev",), "cc": ("libc6-dev",)}
_LEFT_OUT = re.compile(
    r"^/usr/share/(doc|man|locale|lintian|bug|info|gdb)/|/lto|lto-dump|/share/perl|"
    r"lib[atl]san|libubsan|libhwasan|/sanitizer/|\.gox?$"
)
_NAME = re.compile(r"[^\s,|(:]+")


def copy_tools(root: Path, tools: Iterable[str], progress: Progress) -> None:
    """Copy tools with all their dependencies.

    Args:
        root: The root file system.
        tools: Names of commands.
        progress: Called with a line.

    Raises:
        SandboxUnavailable: A tool is not installed, or this system is not Debian-based.
    """
    tools = tuple(tools)
    if not tools:
        return
    progress(f"sandbox: copying {', '.join(tools)}")
    for package in sorted(
        _closure(package for tool in tools for package in _packages_of(tool))
    ):
        for name in _ask("dpkg-query", "--listfiles", package).splitlines():
            _copy(Path(name), root)


def find_tool(tool: str) -> str:
    """Return the path of a command of this machine.

    Args:
        tool: Its name.

    Returns:
        Its path.

    Raises:
        PackagesUnavailable: It is not installed.
    """
    path = shutil.which(tool)
    if path is None:
        raise PackagesUnavailable(
            f"the task needs {tool}, which is not installed on this machine",
            f"apt-get install {tool}, or name an image that has it",
        )
    return path


def _packages_of(tool: str) -> list[str]:
    path = find_tool(tool)
    if shutil.which("dpkg-query") is None:
        raise SandboxUnavailable(
            f"{tool} can be copied into a sandbox only on Debian and its derivatives",
            'name an image in task.toml: [environment] image = "..."',
        )
    return [_owner_of(path), *_COMPANIONS.get(tool, ())]


def _owner_of(path: str) -> str:
    """Return the package that contains a command.

    Where /bin is a link to /usr/bin, packages may list their files with the shorter
    path.

    Raises:
        SandboxUnavailable: No package contains it.
    """
    for name in dict.fromkeys(
        (path, path.removeprefix("/usr"), str(Path(path).resolve()))
    ):
        done = subprocess.run(
            ("dpkg-query", "--search", name),
            capture_output=True,
            text=True,
            check=False,
        )
        owners = [
            line.split(":")[0]
            for line in done.stdout.splitlines()
            if not line.startswith("diversion ")
        ]
        if done.returncode == 0 and owners:
            return owners[0]
    raise SandboxUnavailable(
        f"no installed package contains {path}",
        'name an image in task.toml: [environment] image = "..."',
    )


def _closure(packages: Iterable[str]) -> set[str]:
    """Return the packages and all installed ones that they depend on."""
    listing = _ask(
        "dpkg-query",
        "--show",
        "--showformat=${Package}\t${db:Status-Status}\t${Pre-Depends}, ${Depends}\n",
    )
    rows = [line.split("\t") for line in listing.splitlines()]
    depends = {row[0]: row[2] for row in rows if row[1] == "installed"}
    known: set[str] = set()
    waiting = list(packages)
    while waiting:
        package = waiting.pop()
        # known already, or an alternative that is not installed
        if package in known or package not in depends:
            continue
        known.add(package)
        waiting += [
            match.group()
            for part in re.split("[,|]", depends[package])
            if (match := _NAME.search(part))
        ]
    return known


def _ask(*command: str) -> str:
    """Return the output of a command.

    Raises:
        SandboxUnavailable: It failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SandboxUnavailable(
            f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}",
            'name an image in task.toml: [environment] image = "..."',
        )
    return done.stdout


def _copy(source: Path, root: Path) -> None:
    """Copy one file or link; directories are created for their files."""
    target = root / str(source).lstrip("/")
    if (
        source.is_dir()
        or not source.exists()
        or target.exists()
        or _LEFT_OUT.search(str(source))
    ):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink():
        shutil.copy2(source, target, follow_symlinks=False)
