"""Processes beside the engine start wherever the package is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ASIDE = """
import asyncio
from evolve.sandbox.aside import run_aside
from evolve.sandbox.claims import listed
print(asyncio.run(run_aside(listed, b"[]", 1, size=1 << 20)))
"""


def in_another_folder(code: str, tmp_path: Path) -> str:
    """What a program prints that has no folder of the project on its path."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_worker_aside_finds_the_package(tmp_path: Path) -> None:
    assert in_another_folder(ASIDE, tmp_path) == "[]"


def test_the_path_of_such_a_process_leads_to_the_package(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "from evolve.sandbox.aside import import_path\n"
        "start = 'import sys; sys.path[:] = sys.argv[1:]; import evolve.agents.front'\n"
        "command = [sys.executable, '-I', '-S', '-c', start, *import_path()]\n"
        "print(subprocess.run(command).returncode)\n"
    )
    assert in_another_folder(code, tmp_path) == "0"
