"""pip on the host: wheels are installed; source distributions are for a box.

A wheel runs nothing when it is installed. To fetch or build a source distribution, pip runs
code of it (its build back end): so pip runs in bubblewrap then, with the network but
without the user's files and keys.
"""

import errno
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from evolve.sandbox.errors import PackagesUnavailable

# What pip needs of the machine to reach the package index.
_SHOWN = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/alternatives",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/pip.conf",
    "/etc/xdg/pip",
)
_PASSED_ON = re.compile(r"PIP_\w+|\w+_proxy|SSL_CERT_\w+|LANG|LC_\w+", re.IGNORECASE)
_SECRET = re.compile(r"://[^/\s@]*@")  # user and password in an address
_SETTING = re.compile(r"global\.([\w-]+)='(.*)'")


def install_packages(
    packages: Iterable[str],
    target: Path,
    options: Sequence[str] = (),
    builds: Sequence[str] = (),
) -> None:
    """Install wheels into a directory.

    Args:
        packages: Names with versions (PEP 508), without addresses.
        target: The directory.
        options: More options of pip, which choose the wheels of another Python.
        builds: Names of those that are built from source, in a box; the packages that
            they need are wheels.

    Raises:
        PackagesUnavailable: pip failed, with its last lines; or a package has to be built
            for another Python, or without bubblewrap.
    """
    if not builds:
        _install(*options, *packages, target=target)
        return
    if options:
        raise PackagesUnavailable(
            f"{', '.join(builds)}: a package can't be built for the Python of an image",
            "install it in the Dockerfile of the task, with image_network = true",
        )
    with tempfile.TemporaryDirectory() as folder:
        wheels = str(Path(folder).resolve())
        _run(
            "wheel",
            "--only-binary=:all:",
            f"--no-binary={','.join(builds)}",
            "--no-cache-dir",
            "--wheel-dir",
            wheels,
            *packages,
            walls=_walls(Path(wheels)),
        )
        _install("--no-index", "--find-links", wheels, *packages, target=target)


def _install(*arguments: str, target: Path) -> None:
    _run(
        "install",
        "--only-binary=:all:",
        "--no-compile",
        "--target",
        str(target),
        *arguments,
    )


def fetch_sources(sources: Iterable[str], target: Path) -> None:
    """Download source distributions, as they were published.

    Args:
        sources: Names with versions (PEP 508), without addresses.
        target: A directory to create.

    Raises:
        PackagesUnavailable: pip failed, with its last lines, or there is no bubblewrap.
    """
    target.mkdir()
    _run(
        "download",
        "--no-deps",
        "--no-binary=:all:",
        "--no-cache-dir",
        "--dest",
        str(target),
        *sources,
        walls=_walls(target),
    )


def _run(*arguments: str, walls: Sequence[str] = ()) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        arguments[0],
        "--quiet",
        "--disable-pip-version-check",
        *arguments[1:],
    ]
    done = subprocess.run(
        [*walls, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",  # where no file can have the name of a package
    )
    for number in (errno.ENOSPC, errno.EDQUOT):
        if done.returncode != 0 and os.strerror(number) in done.stderr:
            raise OSError(number, os.strerror(number))
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "WARNING" not in line]
        raise PackagesUnavailable(
            f"the packages of the task can't be installed: pip reports: {' '.join(lines[-3:])}",
            f"check [environment] in task.toml; to try by hand: {' '.join(command)}",
        )


def _walls(target: Path) -> list[str]:
    """Return a bwrap command with the network, the machine's programs and one folder."""
    from evolve.sandbox.bwrap import find_bwrap

    variables = _variables()
    folders = [*_SHOWN, sys.prefix, sys.base_prefix, *_local_folders(variables)]
    walls = [find_bwrap(), "--unshare-all", "--share-net", "--die-with-parent"]
    walls += ["--new-session", "--cap-drop", "ALL", "--clearenv", "--proc", "/proc"]
    walls += ["--dev", "/dev", "--tmpfs", "/tmp"]
    for folder in dict.fromkeys(folders):
        walls += ["--ro-bind-try", folder, folder]
    resolver = "/etc/resolv.conf"
    walls += ["--ro-bind-try", os.path.realpath(resolver), resolver]
    walls += ["--bind", str(target), str(target), "--chdir", "/tmp"]
    own = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp"}
    for name, value in (variables | own).items():
        walls += ["--setenv", name, value]
    return [*walls, "--"]


def _variables() -> dict[str, str]:
    """Return the environment for pip in the box: where the index is, without secrets."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        check=False,
    )
    settings = {
        f"PIP_{key.upper().replace('-', '_')}": value
        for key, value in _SETTING.findall(listed.stdout)
    }
    given = {
        name: text for name, text in os.environ.items() if _PASSED_ON.fullmatch(name)
    }
    return {
        name: text
        for name, text in (settings | given).items()
        if not _SECRET.search(text)
    }


def _local_folders(variables: Mapping[str, str]) -> Iterator[str]:
    """Yield files and folders of this machine that pip's settings name."""
    for value in variables.values():
        for word in value.split():
            path = word.removeprefix("file://")
            if path.startswith("/") and path.strip("/"):
                yield path
