"""Control groups: where they can be made, in both versions, and what they leave behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evolve.sandbox.cgroup import Cgroup, CgroupRoot, find_root
from evolve.sandbox.owner import this_process


def proc(root: Path, mountinfo: str, cgroup: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(mountinfo)
    (root / "proc/self/cgroup").write_text(cgroup)
    return root


def test_on_this_machine_limits_are_set_and_nothing_is_left() -> None:
    root = find_root()
    if root is None:
        assert os.geteuid() != 0, "root can make control groups"
        return
    before = set(root.memory.iterdir())
    made = root.make(123 << 20, 17)
    assert made.memory_kills() == 0
    limit = {1: "memory.limit_in_bytes", 2: "memory.max"}[made.version]
    assert int((made.memory / limit).read_text()) == 123 << 20
    assert int((made.folders[-1] / "pids.max").read_text()) == 17
    made.remove()
    assert set(root.memory.iterdir()) == before


def test_those_of_a_dead_engine_are_removed_and_those_of_a_live_one_stay(
    tmp_path: Path,
) -> None:
    root = CgroupRoot(2, tmp_path, tmp_path)
    dead, mine, other = (
        tmp_path / name
        for name in ("evolve-999999999-1-0", f"evolve-{this_process()}-3", "user.slice")
    )
    for folder in (dead, mine, other):
        folder.mkdir()
    root.remove_abandoned()
    assert (dead.exists(), mine.exists(), other.exists()) == (False, True, True)


def test_version_2_is_made_beside_the_own_group_for_that_one_holds_processes(
    tmp_path: Path,
) -> None:
    mount = tmp_path / "cgroup"
    (mount / "user/app/run-1.scope").mkdir(parents=True)
    root = proc(
        tmp_path,
        f"30 1 0:26 / {mount} rw - cgroup2 cgroup2 rw\n",
        "0::/user/app/run-1.scope\n",
    )
    found = find_root(root)
    assert found == CgroupRoot(2, mount / "user/app", mount / "user/app")


def test_version_1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    memory, pids = tmp_path / "memory", tmp_path / "pids"
    (memory / "own").mkdir(parents=True)
    pids.mkdir()
    lines = [
        f"30 1 0:26 / {memory} rw - cgroup cgroup rw,memory\n",
        f"31 1 0:27 / {pids} rw - cgroup cgroup rw,pids\n",
    ]
    root = proc(tmp_path, "".join(lines), "5:memory:/own\n4:pids:/\n")
    assert find_root(root) == CgroupRoot(1, memory / "own", pids)


def test_where_there_are_none_none_is_found(tmp_path: Path) -> None:
    assert (
        find_root(proc(tmp_path, "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "")) is None
    )
    assert find_root(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("version", "name", "text"),
    [
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        (2, "memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 1\n"),
    ],
)
def test_kills_for_memory_are_counted(
    tmp_path: Path, version: int, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    assert Cgroup((tmp_path,), tmp_path, version).memory_kills() == 3
