"""Namespaces by bubblewrap: how a box is separated, and why this machine refuses it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from evolve.sandbox import enter
from evolve.sandbox.cgroup import Cgroup
from evolve.sandbox.errors import SandboxUnavailable
from evolve.sandbox.process_limits import NOBODY

_PROBE_S = 20.0


def separation(bwrap: str) -> list[str]:
    """Return the beginning of a command of bwrap: separate namespaces of all kinds.

    Args:
        bwrap: Path of the program.

    Returns:
        Program and options.
    """
    return [
        bwrap,
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--die-with-parent",
        "--new-session",
        "--as-pid-1",
    ]


def entering(command: list[str], cgroup: Cgroup | None) -> list[str]:
    """Return a command that starts in a control group, and without root.

    Args:
        command: Program and arguments.
        cgroup: The control group; None: none.

    Returns:
        The command, below `enter.py` if anything is to be done.
    """
    user = str(NOBODY) if os.geteuid() == 0 else "-"
    starts = cgroup.starts if cgroup else ()
    files = ":".join(cgroup.entries if cgroup else ())
    if user == "-" and not files:
        return [*starts, *command]
    enters = [sys.executable, "-I", "-S", enter.__file__, user, files]
    return [*starts, *enters, *command]


def try_namespaces(bwrap: str) -> None:
    """Make namespaces once, before anything is built.

    Args:
        bwrap: Path of the program.

    Raises:
        SandboxUnavailable: They are forbidden; names the setting and the remedy.
    """
    root = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    command = [*separation(bwrap), *root, "--", bwrap, "--version"]
    try:
        done = subprocess.run(
            entering(command, None),
            capture_output=True,
            text=True,
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SandboxUnavailable(
            f"bwrap did not start within {_PROBE_S:g} s",
            f"try it by hand: {' '.join(command)}",
        ) from None
    if done.returncode != 0:
        raise SandboxUnavailable(*explain_refusal(done.stderr.strip()[-300:]))


class Refusal(NamedTuple):
    """The setting that forbids user namespaces, and the command that changes it."""

    why: str
    fix: str


_OTHERWISE = "or start Docker and use --sandbox docker"
_CONTAINER = (
    "start the container with: docker run --security-opt seccomp=unconfined --security-opt "
    "apparmor=unconfined --security-opt systempaths=unconfined ..."
)


# Settings of the kernel that forbid user namespaces: name, that value, a better one.
_SYSCTLS = (
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "15000"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
)


def explain_refusal(detail: str, root: Path = Path("/")) -> Refusal:
    """Find the setting that forbids user namespaces here.

    Args:
        detail: bwrap's message, shown if no setting is found.
        root: Directory that holds `proc`; other than "/" only in tests.

    Returns:
        The setting and the remedy.
    """
    if "mount proc" in detail:
        return Refusal(
            "the container around this process hides parts of /proc, so that a sandbox "
            f"can't mount its own /proc ({detail})",
            f"{_CONTAINER}, {_OTHERWISE}",
        )
    for name, value, better in _SYSCTLS:
        if _read(root, f"proc/sys/{name.replace('.', '/')}") == value:
            return Refusal(
                "this machine forbids user namespaces for unprivileged users "
                f"({name} = {value})",
                f"sudo sysctl -w {name}={better}, {_OTHERWISE}",
            )
    if _in_chroot(root):
        return Refusal(
            "this process runs in a chroot, where the kernel refuses user namespaces",
            f"run outside the chroot, {_OTHERWISE}",
        )
    if _status(root, "Seccomp") == "2":
        return Refusal(
            "the container around this process forbids user namespaces by its system call "
            "filter (seccomp)",
            f"{_CONTAINER}, {_OTHERWISE}",
        )
    return Refusal(
        f"bwrap can't make namespaces here: {detail}",
        "start Docker and use --sandbox docker",
    )


def _read(root: Path, name: str) -> str | None:
    try:
        return (root / name).read_text().strip()
    except OSError:
        return None


def _status(root: Path, key: str) -> str | None:
    for line in (_read(root, "proc/self/status") or "").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return value.strip()
    return None


def _in_chroot(root: Path) -> bool:
    """Return whether "/" is not a mount point, as it is in every mount namespace."""
    mounts = _read(root, "proc/self/mountinfo")
    return mounts is not None and all(
        line.split()[4] != "/" for line in mounts.splitlines()
    )
