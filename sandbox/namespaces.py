"""Why this machine refuses the user namespaces of bubblewrap, and the remedy."""

from pathlib import Path
from typing import NamedTuple


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
