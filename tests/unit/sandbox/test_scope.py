"""Scopes of the user's systemd: found only where a trial scope has its limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.sandbox.namespaces import entering
from evolve.sandbox.scope import ScopeRoot, find_scopes

# Makes the control group's directory with the limits of its options, then runs the
# command; $LIMITED is empty where the memory controller was not delegated.
SYSTEMD_RUN = """#!/bin/sh
for word; do
  shift
  case $word in
    --unit=*) folder=$GROUPS_AT/user/app.slice/${word#--unit=} ;;
    --property=MemoryMax=*) memory=${word#*=*=} ;;
    --property=TasksMax=*) tasks=${word#*=*=} ;;
    --) break ;;
  esac
done
mkdir -p "$folder"
[ "$LIMITED" ] && echo "$memory" > "$folder/memory.max"
echo "$tasks" > "$folder/pids.max"
shift 3  # sh -c SCRIPT: the real one reads the group from /proc
echo "${folder#$GROUPS_AT}"
exec cat "$folder/memory.max" "$folder/pids.max"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with control groups of version 2, and a systemd-run on the PATH."""
    mount = tmp_path / "cgroup"
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(
        f"30 1 0:26 / {mount} rw - cgroup2 cgroup2 rw\n"
    )
    program = tmp_path / "bin/systemd-run"
    program.parent.mkdir()
    program.write_text(SYSTEMD_RUN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("GROUPS_AT", str(mount))
    monkeypatch.setenv("LIMITED", "yes")
    return tmp_path


def test_a_box_starts_in_a_scope_with_its_limits(machine: Path) -> None:
    scopes = find_scopes(machine)
    assert scopes is not None
    assert scopes.folder == machine / "cgroup/user/app.slice"
    group = scopes.make(123 << 20, 17)
    other = scopes.make(123 << 20, 17)
    assert group.memory != other.memory
    command = entering(["bwrap"], group)
    assert command[-1] == "bwrap" and "--scope" in command
    for option in (
        f"--unit={group.memory.name}",
        f"--property=MemoryMax={123 << 20}",
        "--property=MemorySwapMax=0",
        "--property=TasksMax=17",
    ):
        assert option in command[: command.index("--")]


def test_a_scope_without_a_limit_on_memory_is_not_used(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMITED", "")
    assert find_scopes(machine) is None


def test_without_systemd_there_is_none(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_scopes(machine) is None


def test_a_scope_counts_kills_as_a_control_group_does(tmp_path: Path) -> None:
    group = ScopeRoot(tmp_path, ("systemd-run",)).make(1 << 30, 100)
    assert group.memory_kills() == 0  # it has not started
    group.memory.mkdir()
    (group.memory / "memory.events").write_text("low 0\noom_kill 2\n")
    assert group.memory_kills() == 2
    group.remove()  # left to systemd
    assert group.memory.exists()
