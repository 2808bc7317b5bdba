"""Emptying a directory inside a sandbox: everything goes, and no link is followed."""

from __future__ import annotations

import os
from pathlib import Path

from evolve.sandbox.inside.removal import empty


def test_everything_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    for number in range(300):  # more than one listing holds
        (folder / f"d{number}" / "inner").mkdir(parents=True)
        (folder / f"d{number}" / "inner" / ".hidden").touch()
        (folder / f"{number}{'x' * 240}").touch()
    for name in ("..x", ".x", "...", "\n", "a b"):
        (folder / name).touch()
    (folder / "link").symlink_to(outside)
    os.mkfifo(folder / "fifo")
    assert empty(str(folder)) and os.listdir(folder) == []
    assert (outside / "kept").exists()


def test_what_can_not_be_removed_is_said(tmp_path: Path) -> None:
    deep = tmp_path / "folder"
    for _ in range(300):
        deep /= "d"
    deep.mkdir(parents=True)
    assert not empty(str(tmp_path / "folder"))
    assert not empty(str(tmp_path / "nowhere"))
