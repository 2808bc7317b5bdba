"""Names of functions in a repository, and the files and packages that they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.errors import UsageError
from evolve.repository.project import packages_of_tests, read_project
from evolve.repository.target import find_target
from tests.repositories import LEDGER, WAVES, write_repository


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return write_repository(tmp_path, LEDGER)


@pytest.mark.parametrize(
    ("text", "functions"),
    [
        ("src/ledger/entries.py:summarize", ["ledger.entries:summarize"]),
        ("ledger.entries:summarize", ["ledger.entries:summarize"]),
        ("ledger.entries:Book.balance", ["ledger.entries:Book.balance"]),
        (
            "ledger.entries:Book",
            ["ledger.entries:Book.__init__", "ledger.entries:Book.balance"],
        ),
        (
            "src/ledger/entries.py",
            [
                f"ledger.entries:{name}"
                for name in ("summarize", "normalize", "Book.__init__", "Book.balance")
            ],
        ),
    ],
)
def test_targets(ledger: Path, text: str, functions: list[str]) -> None:
    target = find_target(text, ledger)
    assert target.functions == functions
    assert (target.root, target.source) == (ledger, ledger / "src")
    assert target.path == "ledger/entries.py"


@pytest.mark.parametrize("folder", ["src", "src/ledger", "."])
def test_a_directory_is_refused(ledger: Path, folder: str) -> None:
    with pytest.raises(UsageError, match="is a directory") as error:
        find_target(folder, ledger)
    assert "function" in error.value.hint


def test_a_coroutine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("async def go():\n    return 1\n")
    with pytest.raises(UsageError, match="go is a coroutine"):
        find_target("a.py:go", tmp_path)


def test_files_of_a_project(ledger: Path) -> None:
    project = read_project(find_target("ledger.entries:summarize", ledger))
    assert set(project.program) == {
        "ledger/__init__.py",
        "ledger/entries.py",
        "ledger-1.2.dist-info/METADATA",
    }
    assert "tests/test_entries.py" in project.tests
    assert project.left_out == (".env (may be secret)", "deploy.pem (may be secret)")


def test_packages_of_a_project(tmp_path: Path) -> None:
    files = {
        **WAVES,
        "requirements.txt": "attrs>=22 # classes\n-e .\nwin; sys_platform == 'win32'\n",
        "uv.lock": '[[package]]\nname = "attrs"\nversion = "23.1.0"\n',
        "test_more.py": "import hypothesis\nimport yaml\nimport numpy, waves, os\n",
    }
    write_repository(tmp_path, files, git=False)
    project = read_project(find_target("waves.py:histogram", tmp_path))
    assert project.packages == ("numpy>=1.26", "attrs==23.1.0")
    assert packages_of_tests(project, ["test_more.py"]) == ("hypothesis", "PyYAML")
    assert set(project.program) >= {"waves.py", "bench.py"}
