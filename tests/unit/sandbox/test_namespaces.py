"""The message where user namespaces are refused: which setting forbids them, and what changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.sandbox.namespaces import explain_refusal

DENIED = "bwrap: No permissions to create new namespace"
MOUNTS = "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"


def machine(root: Path, **settings: str) -> Path:
    """A /proc with these settings; a dot in a path is written as two underscores."""
    files = {"self/mountinfo": MOUNTS, "self/status": "Name:\tx\nSeccomp:\t0\n"}
    files |= {
        f"sys/{name.replace('__', '/')}": value for name, value in settings.items()
    }
    for name, text in files.items():
        path = root / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("settings", "name", "fix"),
    [
        (
            {"kernel__unprivileged_userns_clone": "0\n"},
            "kernel.unprivileged_userns_clone = 0",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            {"user__max_user_namespaces": "0\n"},
            "user.max_user_namespaces = 0",
            "sysctl -w user.max_user_namespaces=15000",
        ),
        (
            {
                "kernel__apparmor_restrict_unprivileged_userns": "1\n",
                "kernel__unprivileged_userns_clone": "1",
            },
            "kernel.apparmor_restrict_unprivileged_userns = 1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_a_sysctl_is_named_with_the_command(
    tmp_path: Path, settings: dict[str, str], name: str, fix: str
) -> None:
    refusal = explain_refusal(DENIED, machine(tmp_path, **settings))
    assert name in refusal.why and fix in refusal.fix


def test_the_filter_of_a_container_is_named(tmp_path: Path) -> None:
    root = machine(tmp_path)
    (root / "proc/self/status").write_text("Name:\tx\nSeccomp:\t2\n")
    refusal = explain_refusal(DENIED, root)
    assert (
        "seccomp" in refusal.why and "--security-opt seccomp=unconfined" in refusal.fix
    )


def test_a_chroot_is_named(tmp_path: Path) -> None:
    root = machine(tmp_path)
    (root / "proc/self/mountinfo").write_text(
        "22 1 8:1 / /home rw - ext4 /dev/sda1 rw\n"
    )
    assert "chroot" in explain_refusal(DENIED, root).why


def test_a_proc_that_a_container_hides_is_named(tmp_path: Path) -> None:
    refusal = explain_refusal(
        "bwrap: Can't mount proc on /newroot/proc: Operation not permitted",
        machine(tmp_path),
    )
    assert "/proc" in refusal.why and "systempaths=unconfined" in refusal.fix


def test_what_is_not_known_is_shown_as_it_is(tmp_path: Path) -> None:
    assert DENIED in explain_refusal(DENIED, machine(tmp_path)).why
