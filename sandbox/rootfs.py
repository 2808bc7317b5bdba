"""A root file system from this machine's Python: no registry, no download, no shell.

It holds the interpreter, the standard library, the shared libraries they need, the
packages that a task asks for, and the fork server. Docker imports it as an image;
bubblewrap mounts it directly.
"""

import compileall
import hashlib
import os
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from evolve.sandbox.cache import built_once
from evolve.sandbox.errors import SandboxUnavailable
from evolve.sandbox.folder import MOUNT
from evolve.sandbox.pip import fetch_sources, install_packages
from evolve.sandbox.provider import Progress
from evolve.sandbox.toolchain import copy_tools

INSIDE = "/evolve"  # the fork server
PACKAGES = "/opt/packages"  # packages of the task
SOURCES = "sdists"  # subfolder of a folder of packages: distributions not installed
_LEFT_OUT = (
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "__pycache__",
)
_STUBS = (
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libm.so.6",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)
_LDD_PATH = re.compile(r"(?<!\S)(/\S+) \(0x")


def interpreter() -> str:
    """Return the binary of the running Python, not a shim or an environment's link.

    Returns:
        Its resolved path.
    """
    return os.path.realpath(sys.executable)


_COPYING = (Path(__file__), Path(__file__).with_name("toolchain.py"))


def rootfs_key(
    packages: Iterable[str], tools: Iterable[str] = (), builds: Iterable[str] = ()
) -> str:
    """Return a hash of everything that a root file system consists of.

    Args:
        packages: pip requirements.
        tools: Commands of this machine.
        builds: Packages that are built from source.

    Returns:
        16 hexadecimal digits.
    """
    return _hash_of(
        [
            *_this_python(),
            *sorted(packages),
            "builds",
            *sorted(builds),
            "tools",
            *sorted(tools),
            *(path.read_text() for path in (*_inside_files(), *_COPYING)),
        ]
    )


def _this_python() -> list[str]:
    """Return the properties of this Python that decide which packages fit."""
    return [platform.python_version(), platform.machine(), interpreter()]


def _hash_of(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def build_rootfs(
    packages: tuple[str, ...],
    progress: Progress,
    tools: tuple[str, ...] = (),
    builds: tuple[str, ...] = (),
) -> Path:
    """Return the directory of a root file system, built on first use.

    Args:
        packages: pip requirements.
        progress: Called with a line per step.
        tools: Commands of this machine.
        builds: Packages that are built from source.

    Returns:
        The directory in the cache.

    Raises:
        SandboxUnavailable: A package can't be installed, or the machine is not
            supported.
    """
    key = rootfs_key(packages, tools, builds)
    return built_once(
        "rootfs", key, lambda root: _fill(root, packages, builds, tools, progress)
    )


def _fill(
    root: Path,
    packages: tuple[str, ...],
    builds: tuple[str, ...],
    tools: tuple[str, ...],
    progress: Progress,
) -> None:
    progress("sandbox: copying this machine's Python")
    stdlib = Path(sysconfig.get_path("stdlib"))
    for folder in {
        stdlib,
        Path(
            sysconfig.get_path(
                "platstdlib",
                vars={
                    "platbase": sys.base_prefix,
                    "installed_platbase": sys.base_prefix,
                },
            )
        ),
    }:
        _copy_library(folder, _inside_of(root, folder))
    binary = _inside_of(root, Path(interpreter()))
    binary.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(interpreter(), binary)
    (root / "usr/bin").mkdir(parents=True, exist_ok=True)
    if not (root / "usr/bin/python3").exists():  # for candidates that are commands
        (root / "usr/bin/python3").symlink_to(interpreter())
    if packages:
        progress(f"sandbox: installing {', '.join(packages)}")
        place = _inside_of(root, Path(PACKAGES))
        install_packages(packages, place, builds=builds)
    copy_inside(_inside_of(root, Path(INSIDE)))
    copy_tools(root, tools, progress)
    progress("sandbox: collecting shared libraries")
    _copy_shared_libraries(root)
    progress("sandbox: compiling")
    compileall.compile_dir(
        root,
        quiet=2,
        workers=os.cpu_count() or 1,
        stripdir=str(root),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    for name in ("tmp", "proc", "dev", "sys", "etc", MOUNT.lstrip("/")):
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/tmp:/bin/false\n")


def _inside_of(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def _copy_library(source: Path, target: Path) -> None:
    def ignore(folder: str, names: list[str]) -> list[str]:
        return [
            n
            for n in names
            if n in _LEFT_OUT or n.startswith("config-") or n.endswith(".a")
        ]

    shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True)


def packages_folder(
    packages: tuple[str, ...],
    progress: Progress,
    sources: tuple[str, ...] = (),
    builds: tuple[str, ...] = (),
) -> Path:
    """Return a cached directory with packages, separate from this Python.

    Args:
        packages: pip requirements to install.
        progress: Called with a line per step.
        sources: Distributions that are only downloaded, into the subfolder `sdists`.
        builds: Packages that are built from source.

    Returns:
        The directory.

    Raises:
        SandboxUnavailable: A package or distribution can't be had.
    """
    parts = [
        "listed",
        *sorted(packages),
        "builds",
        *sorted(builds),
        "sources",
        *sorted(sources),
    ]
    key = _hash_of([*_this_python(), *parts])

    def fill(site: Path) -> None:
        if packages:
            progress(f"installing {', '.join(packages)}")
            install_packages(packages, site, builds=builds)
        if sources:
            progress(f"fetching the sources of {', '.join(sources)}")
            fetch_sources(sources, site / SOURCES)

    return built_once("packages", key, fill)


def _inside_files() -> list[Path]:
    return sorted((Path(__file__).parent / "inside").glob("*.py"))


def copy_inside(folder: Path) -> None:
    """Copy the fork server's files into a new directory.

    Args:
        folder: Must not exist yet.
    """
    folder.mkdir(parents=True)
    for path in _inside_files():
        shutil.copy2(path, folder / path.name)


def _copy_shared_libraries(root: Path) -> None:
    """Copy the shared libraries that `ldd` lists for every binary in the tree."""
    binaries = [str(path) for path in root.rglob("*.so*") if path.is_file()]
    binaries.append(str(_inside_of(root, Path(interpreter()))))
    if shutil.which("ldd") is None:
        raise SandboxUnavailable(
            "ldd is missing: the Python of this machine can't be copied",
            'name an image in task.toml: [environment] image = "..."',
        )
    listing = ""
    for start in range(0, len(binaries), 100):
        done = subprocess.run(
            ["ldd", *binaries[start : start + 100]],
            capture_output=True,
            # ldd fails for static files, so its status is ignored
            text=True,
            check=False,
        )
        listing += done.stdout
    libraries = {
        path for path in _LDD_PATH.findall(listing) if not path.startswith(str(root))
    }
    libc = next((path for path in libraries if "/libc.so" in path), None)
    if libc:
        libraries |= {str(Path(libc).parent / stub) for stub in _STUBS}
    for library in sorted(libraries):
        source, target = Path(library), _inside_of(root, Path(library))
        if source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def write_tar(root: Path, stream: BinaryIO) -> None:
    """Write the file system as a tar, owned by root, with the modes that Docker needs.

    Args:
        root: The directory of the file system.
        stream: Receives the tar.
    """

    def own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        if entry.isdir():  # Docker mounts over /tmp with the mode of the image
            entry.mode = 0o1777 if entry.name == "./tmp" else 0o755
        else:
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
        return entry

    with tarfile.open(fileobj=stream, mode="w|") as tar:
        tar.add(root, arcname=".", filter=own)
