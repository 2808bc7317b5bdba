"""The cache: entries are made once, whatever the umask is, and again when they are damaged."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evolve.sandbox.cache import (
    Snapshot,
    built_once,
    cache_folder,
    is_whole,
    unwritable,
)
from evolve.sandbox.errors import SandboxUnavailable


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv("EVOLVE_CACHE_DIR", str(tmp_path / "cache"))
    return []


def build(made: list[Path]) -> Path:
    def fill(root: Path) -> None:
        made.append(root)
        (root / "lib").mkdir()
        (root / "lib" / "a.py").write_text("a = 1\n")
        (root / "run").write_text("#!/bin/sh\n")
        (root / "run").chmod(0o700)
        (root / "link").symlink_to("nowhere")

    return built_once("rootfs", "key", fill)


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o777])
def test_every_user_can_read_it(made: list[Path], mask: int) -> None:
    before = os.umask(mask & 0o377 if os.geteuid() else mask & 0o077)
    try:
        root = build(made)
    finally:
        os.umask(before)
    assert (root / "lib").stat().st_mode & 0o777 == 0o755
    assert (root / "lib" / "a.py").stat().st_mode & 0o444 == 0o444
    assert (root / "run").stat().st_mode & 0o111 == 0o111


def remove(root: Path) -> None:
    (root / "lib" / "a.py").unlink()


def change(root: Path) -> None:
    (root / "lib" / "a.py").write_text("a = 2\n")


def close(root: Path) -> None:
    (root / "lib").chmod(0o700)


def add(root: Path) -> None:
    (root / "lib" / "b.py").write_text("")


def forget(root: Path) -> None:
    root.with_name("key.files").unlink()


@pytest.mark.parametrize("damage", [remove, change, close, add, forget])
def test_a_damaged_one_is_made_again(made: list[Path], damage: object) -> None:
    root = build(made)
    assert build(made) == root and len(made) == 1
    assert callable(damage)
    damage(root)
    assert not is_whole(root)
    assert build(made) == root and len(made) == 2 and is_whole(root)
    assert (root / "lib" / "a.py").read_text() == "a = 1\n"
    leftovers = {path.name for path in root.parent.iterdir()}
    assert leftovers == {"key", "key.files", "key.lock"}


@pytest.mark.parametrize("damage", [remove, change, close, add])
def test_a_running_process_notices_damage(made: list[Path], damage: object) -> None:
    root = build(made)
    before = Snapshot(root)
    assert before.holds(thorough=True) and before.holds(thorough=False)
    assert callable(damage)
    damage(root)
    assert not before.holds(thorough=True)
    # directories alone don't tell that a file was written over
    assert before.holds(thorough=False) is (damage is change)


def test_a_running_process_notices_that_all_is_gone(made: list[Path]) -> None:
    root = build(made)
    before = Snapshot(root)
    root.rename(root.with_name("elsewhere"))
    assert not before.holds(thorough=False)


def test_several_first_starts_make_it_once(made: list[Path]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: build(made), range(4)))
    assert len(found) == 1 and len(made) == 1


def test_errors_of_many_files_are_one_short_line() -> None:
    many = [("a" * 100, "b", f"[Errno 28] No space: {n}") for n in range(1000)]
    problem = unwritable(Path("/place"), OSError(many), "EVOLVE_CACHE_DIR")
    assert problem.message == "/place can't be written: No space left on device"
    assert "EVOLVE_CACHE_DIR" in problem.hint


def test_a_cache_that_is_a_file_is_named(
    made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVOLVE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(SandboxUnavailable, match="Not a directory"):
        build(made)
    assert cache_folder() == tmp_path / "file"
