"""pip on the host: wheels are installed; source distributions are fetched in a box.

A wheel runs nothing when it is installed. To fetch a source distribution, pip runs code of
it (its build back end tells the metadata): so pip runs in bubblewrap then, with the network
but without the user's files and keys.
"""

import os
import re
import subprocess
import sys
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
    packages: Iterable[str], target: Path, options: Sequence[str] = ()
) -> None:
    """Install wheels into a directory.

    Args:
        packages: Names with versions (PEP 508), without addresses.
        target: The directory.
        options: More options of pip.

    Raises:
        PackagesUnavailable: With pip's last lines.
    """
    _run(
        "install",
        "--only-binary=:all:",
        "--no-compile",
        "--target",
        str(target),
        *options,
        *packages,
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
