"""Rules of the house that can be measured."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.conftest import ROOT

MODULES = [path for package in ("evolve", "archive", "sandbox")
           for path in (ROOT / package).rglob("*.py")]
HEAVY = ("litellm", "docker", "numpy", "sqlalchemy", "pydantic", "torch", "git", "uvicorn", "alembic")


def test_no_heavy_import_at_start() -> None:
    code = ("import sys, evolve.cli.main; "
            f"print([name for name in {HEAVY!r} if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_modules_say_what_they_know_and_stay_short() -> None:
    texts = {path.relative_to(ROOT): path.read_text() for path in MODULES}
    assert [path for path, text in texts.items() if not ast.get_docstring(ast.parse(text))] == []
    assert [path for path, text in texts.items() if len(text.splitlines()) > 400] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 600


def test_the_reference_describes_every_setting_and_key() -> None:
    rows = [line.split(" | ") for line in (ROOT / "docs/reference.md").read_text().splitlines()
            if line.startswith("| `")]
    assert len(rows) > 100
    assert [row[0] for row in rows if not row[-1].strip(" |")] == []


def test_ci_runs_the_line_of_the_readme() -> None:
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if "tests/run" in line]
    assert lines == ["tests/run"]
    assert "grep -m1 'tests/run' README.md" in (ROOT / ".ci" / "run").read_text()
    assert "pytest -n 2" in (ROOT / "tests" / "run").read_text()
