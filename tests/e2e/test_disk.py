"""A disk that is full or read-only: one clear message, nothing lost, and the run goes on later."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity

from tests.cli import evolve
from tests.crash.test_kill import assert_one_tree, assert_stores_clean


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


@tenacity.retry(
    stop=tenacity.stop_after_delay(5), wait=tenacity.wait_fixed(0.1), reraise=True
)
def remount_read_only(folder: Path) -> None:
    """Wait while the kernel calls the disk busy: a killed process may still have a file open."""
    mount("-o", "remount,ro", folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", folder)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        assert not os.environ.get("CI"), "CI runs as root"
        pytest.skip(f"only root can mount: {error}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(small_disk: Path, steps_task: Path) -> None:
    full = evolve(
        "run",
        steps_task,
        "--sandbox",
        "local",
        "--max-variants",
        400,
        "--name",
        "r",
        "--runs-dir",
        small_disk,
        "--workers",
        2,
        env={"EVOLVE_PATIENCE_S": "1"},
    )
    assert full.code == 1, full.err[-2000:]
    assert full.err.count("error:") == 1 and "Traceback" not in full.err, full.err[
        -2000:
    ]
    assert "evolve resume" in full.err
    mount("-o", "remount,size=64m", small_disk)
    done_before = [
        v
        for v in evolve("tree", "r", "--runs-dir", small_disk, "--json").json()
        if v["status"] in ("scored", "failed")
    ]
    assert done_before
    more = len(done_before) + 10
    done = evolve(
        "resume", "r", "--runs-dir", small_disk, "--max-variants", more, "--json"
    )
    assert done.code == 0, done.err
    variants = evolve("tree", "r", "--runs-dir", small_disk, "--json").json()
    assert {v["id"] for v in done_before} <= {v["id"] for v in variants}
    assert len([v for v in variants if v["number"] > 0]) == more
    assert_one_tree(variants)
    assert_stores_clean(small_disk / "r")


def test_a_read_only_disk(small_disk: Path, steps_task: Path) -> None:
    done = evolve(
        "run",
        steps_task,
        "--sandbox",
        "local",
        "--max-variants",
        2,
        "--name",
        "r",
        "--runs-dir",
        small_disk,
    )
    assert done.code == 0, done.err
    remount_read_only(small_disk)
    tree = evolve("tree", "r", "--runs-dir", small_disk, "--json")
    assert tree.code == 0 and len(tree.json()) == 3, tree.err
    for command in (["resume", "r"], ["run", steps_task, "--sandbox", "local"]):
        refused = evolve(*command, "--runs-dir", small_disk)
        assert refused.code == 1, refused.err
        assert refused.err.count("error:") == 1 and "can't write" in refused.err
