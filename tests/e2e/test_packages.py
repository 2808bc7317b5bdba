"""What a task needs installed: packages for candidate and scorer, and an image of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli import evolve

USES_SIX = "import six\n\n\ndef cap_set(n):\n    return [[int(six.PY3)] * n]\n"


@pytest.fixture
def task(tmp_path: Path, tasks: Path) -> Path:
    folder = Path(shutil.copytree(tasks / "cap_set", tmp_path / "task"))
    (folder / "initial" / "capset.py").write_text(USES_SIX)
    return folder


def add(task: Path, text: str) -> None:
    with (task / "task.toml").open("a") as file:
        file.write(f"\n[environment]\n{text}\n")


@pytest.mark.parametrize(
    "sandbox", [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
)
def test_packages_of_the_candidate(task: Path, sandbox: str) -> None:
    missing = evolve("eval", task, "--sandbox", sandbox, "--json")
    assert (
        missing.code == 1
        and "No module named 'six'" in missing.json()["cases"][0]["message"]
    )
    add(task, 'packages = ["six==1.16.0"]\npreload = ["six"]')
    scored = evolve("eval", task, "--sandbox", sandbox, "--json")
    assert scored.code == 0 and scored.json()["score"] == 1.0, scored.err


def test_packages_of_the_scorer(task: Path, tasks: Path) -> None:
    shutil.copy(tasks / "cap_set/initial/capset.py", task / "initial/capset.py")
    text = (task / "evaluate.py").read_text()
    (task / "evaluate.py").write_text(
        f"import six\nassert six.__version__ == '1.16.0'\n{text}"
    )
    assert "evaluate.py:2" in evolve("eval", task, "--sandbox", "bubblewrap").err
    add(task, 'scorer_packages = ["six==1.16.0"]')
    scored = evolve("eval", task, "--sandbox", "bubblewrap", "--json")
    assert scored.code == 0 and scored.json()["score"] == 64.0, scored.err


@pytest.mark.docker
def test_an_image_of_the_tasks_own(task: Path, base_image: str) -> None:
    add(task, f'image = "{base_image}"\npackages = ["six==1.16.0"]')
    scored = evolve("eval", task, "--json")
    assert scored.code == 0 and scored.json()["score"] == 1.0, scored.err


@pytest.mark.docker
def test_an_image_that_can_not_be_had(task: Path) -> None:
    add(task, 'image = "no-such-image-of-ours:0"')
    done = evolve("eval", task, "--sandbox", "docker")
    assert done.code == 3 and "no-such-image-of-ours:0 can't be pulled" in done.err
    assert "Traceback" not in done.err


@pytest.mark.docker
def test_a_dockerfile_of_the_tasks_own(
    task: Path, tasks: Path, base_image: str
) -> None:
    shutil.copy(tasks / "cap_set/initial/capset.py", task / "initial/capset.py")
    (task / "Dockerfile").write_text(f"FROM {base_image}\nCOPY marker /marker\n")
    (task / "marker").write_text("built here")
    program = (task / "initial/capset.py").read_text()
    (task / "initial/capset.py").write_text(
        "assert open('/marker').read() == 'built here'\n" + program
    )
    add(task, 'image = "Dockerfile"\nimage_files = ["mark*"]')
    scored = evolve("eval", task, "--sandbox", "docker", "--json")
    assert scored.code == 0 and scored.json()["score"] == 64.0, scored.err
    (task / "Dockerfile").write_text("FROM no-such-image-of-ours:0\n")
    done = evolve("eval", task, "--sandbox", "docker")
    assert (
        done.code == 3
        and "Dockerfile can't be built" in done.err
        and "Traceback" not in done.err
    )
