"""README's first line where there is neither Docker nor bubblewrap, nor a git configuration."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from evolve.errors import INSTALL_GIT
from evolve.sandbox.cache import cache_folder
from tests.cli import EVOLVE
from tests.containers import in_a_default_container

ROOT = Path(__file__).parents[2]
NEEDED = ("git", "ldd", "sh", "cp")  # ldd and the rest: every distribution has them


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The whole environment of such a machine."""
    programs, home = tmp_path / "bin", tmp_path / "home"
    for folder in (programs, home):
        folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (programs / name).symlink_to(found)
    return {
        "PATH": str(programs),
        "HOME": str(home),
        "DOCKER_HOST": "unix:///nonexistent",
        "EVOLVE_CACHE_DIR": str(cache_folder()),
    }


def run(
    environment: dict[str, str], folder: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [EVOLVE, "run", str(ROOT / "tasks/circle_packing"), *more],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=120,
        check=False,
    )


def test_a_first_run_gets_better_than_its_seed(
    bare: dict[str, str], tmp_path: Path
) -> None:
    done = run(bare, tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    first, *_, last = map(json.loads, done.stdout.splitlines())
    assert last["best"]["score"] > first["best"]["score"] > 0
    assert "bubblewrap is used (docker: no Docker engine answers" in done.stderr
    assert "scorer: it runs as you" not in done.stderr


def test_without_git_it_says_at_once_how_to_install_it(
    bare: dict[str, str], tmp_path: Path
) -> None:
    Path(bare["PATH"], "git").unlink()
    done = run(bare, tmp_path)
    assert done.returncode == 3
    assert done.stderr == f"error: git is not installed\n  {INSTALL_GIT}\n"
    assert {"apt-get", "dnf", "apk"} <= set(INSTALL_GIT.split())


@pytest.mark.docker
def test_in_a_default_container_one_message_says_what_forbids_it() -> None:
    done = in_a_default_container("run", str(ROOT / "tasks/circle_packing"))
    assert done.returncode == 3
    error, fix = done.stderr.splitlines()
    assert "system call filter (seccomp)" in error and "Docker engine answers" in error
    assert "--security-opt seccomp=unconfined" in fix
