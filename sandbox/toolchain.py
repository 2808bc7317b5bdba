"""Compilers for compiled candidates, copied from this machine into the sandbox.

Like this machine's Python they need no registry. Debian's package manager knows which
files belong to a tool and which packages it needs; Rust's may come from rustup. On other
systems a task names an image that has its compiler.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from evolve.sandbox.errors import PackagesUnavailable, SandboxUnavailable
from evolve.sandbox.provider import Progress

# Packages that a tool needs in practice and does not declare as dependencies.
# Commands that a tool starts itself.
_STARTS = {"rustc": ("cc",), "cargo": ("rustc", "cc")}
_COMPANIONS = {"gcc": ("libc6-dev",), "cc": ("libc6-dev",)}
_LEFT_OUT = re.compile(
    r"^/usr/share/(doc|man|locale|lintian|bug|info|gdb)/|/lto1|lto-dump|/share/perl|"
    r"lib[atl]san|libubsan|libhwasan|/sanitizer/|\.gox$"
)
_TOP = 2  # parts of a path such as /lib64
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
    named = tuple(tools)
    if not named:
        return
    progress(f"sandbox: copying {', '.join(named)}")
    tools = dict.fromkeys(
        other for tool in named for other in (tool, *_STARTS.get(tool, ()))
    )
    from_rustup = [tool for tool in tools if _is_rustups(find_tool(tool))]
    for tool in from_rustup:
        _copy_from_rustup(root, tool)
    packaged = [tool for tool in tools if tool not in from_rustup]
    for package in sorted(
        _closure(package for tool in packaged for package in _packages_of(tool))
    ):
        for name in _ask("dpkg-query", "--listfiles", package).splitlines():
            _copy(Path(name), root)
    for tool in packaged:
        _copy_links(root, Path(find_tool(tool)))


def is_packaged(tool: str) -> bool:
    """Return whether a command is installed here and can be copied with its package.

    Args:
        tool: Its name.
    """
    path = shutil.which(tool)
    if path is None or shutil.which("dpkg-query") is None:
        return False
    try:
        return bool(_owner_of(path))
    except SandboxUnavailable:
        return False


def _copy_links(root: Path, path: Path) -> None:
    """Copy the links that lead to a tool: update-alternatives makes them, no package."""
    while path.is_symlink():
        target, copy = path.readlink(), root / str(path).lstrip("/")
        if not os.path.lexists(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(target)
        path = Path(os.path.normpath(path.parent / target))


def _is_rustups(path: str) -> bool:
    return Path(path).resolve().name == "rustup"


def _copy_from_rustup(root: Path, tool: str) -> None:
    """Copy the toolchain that rustup's command stands for, without its documentation.

    Raises:
        SandboxUnavailable: rustup has no such tool in its default toolchain.
    """
    real = Path(_ask(find_tool("rustup"), "which", tool).strip())
    home, place = real.parents[1], root / "opt" / "rust"
    if not place.exists():
        for part in ("bin", "lib"):
            shutil.copytree(
                home / part, place / part, symlinks=True, ignore=_not_of_rust
            )
    link = root / "usr" / "bin" / tool
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(f"/opt/rust/bin/{tool}")


def _not_of_rust(folder: str, names: list[str]) -> set[str]:
    """Return what a candidate's build never reads: sources and other programs."""
    others = {"src", "rust-analyzer", "clippy-driver", "cargo-clippy", "rust-gdb"}
    others |= {"rustdoc", "rust-lldb", "rust-gdbgui", "cargo-fmt", "rustfmt"}
    return others & set(names)


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
    # links such as /lib64 belong to the root file system itself
    is_link = source.is_symlink() and len(source.parts) > _TOP
    if (
        (source.is_dir() and not is_link)
        or not source.exists()
        or target.exists()
        or _LEFT_OUT.search(str(source))
    ):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink():
        shutil.copy2(source, target, follow_symlinks=False)
    if source.is_symlink() and source.is_file():  # a package's script may have made it
        _copy(source.resolve(), root)
