"""The documents say what is there: generated pages, links, names, and examples that run."""

from __future__ import annotations

import importlib.util
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import typer

from evolve.cli.main import app
from evolve.operators import OPERATORS
from evolve.search import POLICIES
from tests.cli import evolve, evolve_process
from tests.conftest import ROOT
from tests.made_runs import Made, make_run

DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md"]
OF_OTHERS = {
    "--no-deps",
    "--oneline",
    "--security-opt",
    "--user",
    "--scope",
}  # of other programs
_BLOCK = re.compile(r"```python\n# (\S+)\n(.*?)```", re.DOTALL)


def test_the_reference_is_that_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.PAGE.read_text() == generate.reference(), (
        "write it anew: python docs/generate.py"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_policy_and_operator_is_explained() -> None:
    text = (DOCS / "policies.md").read_text()
    assert [name for name in (*POLICIES, *OPERATORS) if f"`{name}`" not in text] == []


def test_every_policy_has_its_formula() -> None:
    """Controls aside, which have none."""
    formulas = (DOCS / "policies.md").read_text().split("## Formulas")[1]
    assert [name for name in POLICIES if f"| `{name}` |" not in formulas] == [
        "best_of_n",
        "random",
    ]


def test_every_command_that_is_named_is_there() -> None:
    reference = (DOCS / "reference.md").read_text()
    for page in PAGES:
        for verb in re.findall(
            r"`?evolve ([a-z][a-z-]+)\b(?=[^a-z])", page.read_text()
        ):
            assert f"| `{verb}` |" in reference or verb in ("an", "is"), (
                f"{page.name}: {verb}"
            )


def test_every_option_that_is_named_is_there() -> None:
    ours = _options(typer.main.get_command(app)) | {"--debug", "--help"}
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text()))
        assert named - ours - OF_OTHERS == set(), page.name


def _options(command: object) -> set[str]:
    inner = getattr(command, "commands", {}).values()
    own = {
        name
        for each in getattr(command, "params", ())
        for name in (*each.opts, *each.secondary_opts)
    }
    return own.union(*map(_options, inner))


@pytest.mark.slow
def test_the_speed_task_of_the_page_runs(tmp_path: Path) -> None:
    blocks = (DOCS / "tasks.md").read_text().split("## Speed")[1].split("```")
    toml, scorer = (text.partition("\n")[2] for text in (blocks[1], blocks[3]))
    (tmp_path / "initial").mkdir()
    (tmp_path / "initial" / "program.py").write_text(
        "def work(values):\n    return sum(value % 7 for value in values)\n"
    )
    (tmp_path / "evaluate.py").write_text(scorer)
    (tmp_path / "task.toml").write_text(
        f'name = "speed"\ndescription = "Fast."\n{toml}'
    )
    done = evolve("eval", tmp_path, "--sandbox", "local", "--json")
    assert done.code == 0 and done.json()["score"] == 1.0, done.err


def test_a_new_speed_task_runs(tmp_path: Path) -> None:
    assert evolve("init", "fast", "--kind", "speed", cwd=tmp_path).code == 0
    done = evolve("eval", "fast", "--sandbox", "local", "--json", cwd=tmp_path)
    assert done.code == 0 and done.json()["score"] == 1.0, done.err
    other = evolve("init", "slow", "--kind", "sped", cwd=tmp_path)
    assert other.code == 2 and "did you mean" in other.err


def test_who_has_no_key_is_told_first() -> None:
    assert (
        "`evolve scripted-model`"
        in (DOCS / "models.md").read_text().split("| `--model`")[0]
    )


def test_the_examples_of_analysis_run(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "made", Made(40, seed=2))
    text = (DOCS / "analysis.md").read_text()
    reading = text.split("```sql")[0].rpartition("```python\n")[2].partition("```")[0]
    done = python(reading, tmp_path)
    assert done.returncode == 0 and "were better than their parents" in done.stdout, (
        done.stderr
    )
    best = evolve("best", "made", "--json", cwd=tmp_path).json()
    queries = re.findall(
        r"```sql\n(.*?)```", text.replace("'ID'", repr(best["id"])), re.DOTALL
    )
    with closing(
        sqlite3.connect(tmp_path / "runs" / "made" / "archive.db")
    ) as database:
        found = [database.execute(query).fetchall() for query in queries]
    assert len(found) == 3 and all(found)
    assert found[1][-1][:2] == (0, best["id"]) and found[1][-1][-1] == best["score"]
    assert found[1][0][2] == "seed"


def test_a_run_starts_from_python_as_analysis_shows(tmp_path: Path) -> None:
    (tmp_path / "tasks").symlink_to(ROOT / "tasks")
    program = (DOCS / "analysis.md").read_text().split("```python\n")[1]
    done = python(program.partition("```")[0], tmp_path)
    assert done.returncode == 0 and float(done.stdout) > 0, done.stderr


def python(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The files that extending.md shows."""
    for name, text in _BLOCK.findall((DOCS / "extending.md").read_text()):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_examples_of_extending_run(mine: Path) -> None:
    done = evolve_process(
        "run",
        ROOT / "tasks" / "circle_packing",
        "--policy",
        "mine.policy:Newest",
        "--operator",
        "mine.operator:Halve=0.5",
        "--operator",
        "syntactic=0.5",
        "--max-variants",
        "10",
        "--name",
        "r",
        cwd=mine,
        env={"PYTHONPATH": str(mine)},
    )
    assert done.code == 0, done.err
    found = evolve("tree", "r", "--json", cwd=mine).json()
    assert {"mine.operator:Halve", "syntactic"} <= {
        variant["operator"] for variant in found
    }
    assert "mine.operator:Halve" not in OPERATORS


def test_the_example_of_a_sandbox_keeps_the_contract(mine: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            "answer or raises",
            "mine/test_box.py",
        ],
        cwd=mine,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(mine)},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_every_row_of_the_table_of_trust_names_its_test() -> None:
    text = (DOCS / "sandbox.md").read_text()
    part = text.partition("| who wrote it |")[2].partition("\n\n")[0]
    rows = [row for row in part.splitlines()[2:] if row]
    assert len(rows) >= 15
    for row in rows:
        (named,) = re.findall(r"`(test_\w+\.py::test_\w+)`", row)
        file, _, function = named.partition("::")
        code = (ROOT / "tests" / "security" / file).read_text()
        assert f"def {function}(" in code, named
