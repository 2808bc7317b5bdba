"""A root file system made from this machine's own Python: no registry, no download, no shell in it.

It holds the interpreter, the standard library, the shared libraries they need, the packages a task
asks for, and the fork server. Docker imports it as an image; bubblewrap mounts it as it is.
"""

from __future__ import annotations

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
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from evolve.sandbox.errors import PackagesUnavailable, SandboxUnavailable
from evolve.sandbox.folder import MOUNT
from evolve.sandbox.provider import Progress
from evolve.sandbox.toolchain import copy_tools

INSIDE = "/evolve"  # the fork server
PACKAGES = "/opt/packages"  # what the task asked for
SOURCES = "sdists"  # in a folder of packages: the distributions that are not installed
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
_LDD_PATH = re.compile(r"(/\S+) \(0x")


def cache_folder() -> Path:
    """Where built file systems lie; root's are world-readable, for the sandbox drops root."""
    if given := os.environ.get("EVOLVE_CACHE_DIR"):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/cache/evolve")
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "evolve"


def interpreter() -> str:
    """The running Python's own binary (never a shim or a virtual environment's link)."""
    return os.path.realpath(sys.executable)


def rootfs_key(packages: Iterable[str], tools: Iterable[str] = ()) -> str:
    """A hash of everything that goes in."""
    return _hash_of(
        [
            *_this_python(),
            *sorted(packages),
            "tools",
            *sorted(tools),
            *(path.read_text() for path in (*_inside_files(), Path(__file__))),
        ]
    )


def _this_python() -> list[str]:
    """What packages are chosen by."""
    return [platform.python_version(), platform.machine(), interpreter()]


def _hash_of(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def build_rootfs(
    packages: tuple[str, ...], progress: Progress, tools: tuple[str, ...] = ()
) -> Path:
    """The folder of the file system, built on first use.

    Raises `SandboxUnavailable` when a package can't be installed or the machine is not supported.
    """
    target = cache_folder() / "rootfs" / rootfs_key(packages, tools)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix="building-", dir=target.parent))
    try:
        _fill(staging, packages, tools, progress)
        staging.chmod(0o755)
        _publish(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _publish(staging: Path, target: Path) -> None:
    """Rename into place; another process may have been faster."""
    try:
        staging.rename(target)
    except OSError:
        if not target.exists():
            raise


def _fill(
    root: Path, packages: tuple[str, ...], tools: tuple[str, ...], progress: Progress
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
        install_packages(packages, _inside_of(root, Path(PACKAGES)))
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


def install_packages(
    packages: Iterable[str], target: Path, options: Sequence[str] = ()
) -> None:
    """Install wheels into a folder. Raises `PackagesUnavailable` with pip's last lines."""
    _pip(
        "install",
        "--only-binary=:all:",
        "--no-compile",
        "--target",
        str(target),
        *options,
        *packages,
    )


def _pip(*arguments: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        arguments[0],
        "--quiet",
        "--disable-pip-version-check",
        *arguments[1:],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "WARNING" not in line]
        raise PackagesUnavailable(
            f"the packages of the task can't be installed: pip says: {' '.join(lines[-3:])}",
            f"look at [environment] in task.toml; by hand: {' '.join(command)}",
        )


def packages_folder(
    packages: tuple[str, ...], progress: Progress, sources: tuple[str, ...] = ()
) -> Path:
    """A cached folder with these packages, beside this Python and not in it.

    `sources` are distributions that are not installed: their archives lie in its folder `sdists`.
    Raises `SandboxUnavailable` when they can't be had.
    """
    key = _hash_of([*_this_python(), *sorted(packages), "sources", *sorted(sources)])
    target = cache_folder() / "packages" / key
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as staging:
        site = Path(staging) / "site"
        site.mkdir()
        if packages:
            progress(f"installing {', '.join(packages)}")
            install_packages(packages, site)
        if sources:
            progress(f"fetching the sources of {', '.join(sources)}")
            _fetch_sources(sources, site / SOURCES)
        _publish(site, target)
    return target


def _fetch_sources(sources: Iterable[str], target: Path) -> None:
    """Fetch source distributions, as they were published. Raises `PackagesUnavailable`."""
    _pip("download", "--no-deps", "--no-binary=:all:", "--dest", str(target), *sources)


def _inside_files() -> list[Path]:
    return sorted((Path(__file__).parent / "inside").glob("*.py"))


def copy_inside(folder: Path) -> None:
    """Put the fork server's files into a folder."""
    folder.mkdir(parents=True)
    for path in _inside_files():
        shutil.copy2(path, folder / path.name)


def _copy_shared_libraries(root: Path) -> None:
    """What the loader would look for, by asking it (`ldd`) about every binary in the tree."""
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
            # ldd fails for files that are not dynamic
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
    """The file system as a tar, owned by root, with the modes Docker needs."""

    def own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        if entry.isdir():  # Docker mounts over /tmp with the mode that it finds
            entry.mode = 0o1777 if entry.name == "./tmp" else 0o755
        else:
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
        return entry

    with tarfile.open(fileobj=stream, mode="w|") as tar:
        tar.add(root, arcname=".", filter=own)
