"""What `pip install` puts on a machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from evolve.sandbox.inside import start

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_holds_one_package(tmp_path: Path) -> None:
    source = shutil.copytree(
        ROOT,
        tmp_path / "source",
        symlinks=True,
        ignore=shutil.ignore_patterns(".*", "tests", "benchmarks"),
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "-w",
            tmp_path,
            source,
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "evolve"
    }
    inside = "evolve/sandbox/inside"
    assert {
        f"{inside}/{path.name}" for path in Path(start.__file__).parent.glob("*.py")
    } <= set(names)
    assert {
        "evolve/archive/migrations/versions/0001_first.py",
        "evolve/agents/seed/agent.py",
        "evolve/operators/prompts/diff.j2",
        "evolve/view/web/static/tree.js",
        "evolve/py.typed",
        "evolve/shipped/circle_packing/task.toml",
        "evolve/shipped/circle_packing/initial/packing.py",
    } <= set(names)
    assert not [name for name in names if "__pycache__" in name]
