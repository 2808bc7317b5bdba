"""Rules of the house that can be measured."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from evolve.cli import run as run_verb
from evolve.cli.verbs import VERBS, verbs_of
from evolve.peers.formats import RUNNERS
from evolve.search import POLICIES
from evolve.tasks.peers import codeevolve, openevolve, shinka
from evolve.tasks.spec import PeerFormat
from tests.conftest import ROOT
from tests.house import Source, figures_of, idioms
from tests.made_runs import Made, make_run

MODULES = [
    path
    for package in ("evolve", "archive", "sandbox")
    for path in (ROOT / package).rglob("*.py")
]
HEAVY = (
    "aiohttp",
    "alembic",
    "asyncio",
    "docker",
    "git",
    "gitdb",
    "jinja2",
    "litellm",
    "numpy",
    "openai",
    "pydantic",
    "rapidfuzz",
    "requests",
    "sqlalchemy",
    "starlette",
    "tenacity",
    "torch",
    "uvicorn",
)
OF_TYPER = {"pydantic"}  # it checks the arguments of a verb with it
AT_END = f"""
import atexit, sys
atexit.register(lambda: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr))
from evolve.__main__ import main
sys.argv[0] = "evolve"
main()
"""


def heavy_imports(code: str, *words: str | Path) -> set[str]:
    """Which heavy modules a Python program has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ast.literal_eval(done.stderr.strip().splitlines()[-1]))


def test_no_heavy_import_at_start() -> None:
    code = (
        "import sys, evolve.cli.main; "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    assert heavy_imports(code) == heavy_imports(AT_END, "--help") == set()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_listing_runs_imports_nothing_heavy(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    for runs in (0, 3):
        for number in range(runs):
            make_run(tmp_path / "runs", f"run-{number}", Made(3))
        assert (
            heavy_imports(AT_END, "ls", "--runs-dir", tmp_path / "runs", *options)
            <= OF_TYPER
        )


def test_every_verb_is_registered_by_its_file() -> None:
    files = {
        path.stem
        for path in (ROOT / "evolve/cli").glob("*.py")
        if "app = typer.Typer()" in path.read_text()
    }
    registered = {verb: file for file in files for verb in verbs_of(file)}
    assert registered == dict(VERBS)


def test_the_figures_of_the_house_stay_where_they_are() -> None:
    found = figures_of(ROOT)
    assert found.circles == 0 and found.at_root <= 9
    assert all((count or 9) <= 5 for count in found.arguments.values())
    assert found.tokens <= 360_000  # lower it with every reduction
    assert found.tokens_a_line <= 8
    assert found.idioms < 4, "python -m tests.house; the patterns are in tests/house.py"
    assert found.documented >= 0.6


def test_idioms_are_found_in_docstrings_comments_and_messages() -> None:
    text = '''
def f(x: int) -> int:
    """It mends what is broken."""
    return x  # who stands beside it
raise ValueError("x is no duration; nobody knows")
'''
    module = Source("m", text, ast.parse(text))
    found, words = idioms([module])
    assert (found, words) == (7, 15)
    assert (
        idioms([Source("m", "x = 1  # the mean of x\\n", ast.parse("x = 1"))])[0] == 0
    )


def test_every_format_of_another_engine_can_be_read_run_and_kept() -> None:
    assert (
        set(get_args(PeerFormat))
        == RUNNERS.keys()
        == {
            reader.__name__.rpartition(".")[2]
            for reader in (shinka, openevolve, codeevolve)
        }
    )


def test_the_help_names_every_policy() -> None:
    text = inspect.getsource(run_verb)
    assert [name for name in POLICIES if name not in text] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 600


def test_the_reference_describes_every_setting_and_key() -> None:
    rows = [
        line.split(" | ")
        for line in (ROOT / "docs/reference.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) > 100
    assert [row[0] for row in rows if not row[-1].strip(" |")] == []


def test_ci_runs_the_line_of_the_readme() -> None:
    lines = [
        line
        for line in (ROOT / "README.md").read_text().splitlines()
        if "tests/run" in line
    ]
    assert lines == ["tests/run"]
    assert "grep -m1 'tests/run' README.md" in (ROOT / ".ci" / "run").read_text()
    assert "pytest -n 4" in (ROOT / "tests" / "run").read_text()
