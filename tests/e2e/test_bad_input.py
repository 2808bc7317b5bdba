"""Bad input gets one clear message, the right exit code and no traceback; nothing is left behind."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import Result, evolve, evolve_process


@pytest.fixture
def task(tmp_path: Path, tasks: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(tasks / "cap_set", tmp_path / "task"))


def run(task: Path, *more: str, env: dict[str, str] | None = None) -> Result:
    return evolve(
        "run",
        task,
        "--sandbox",
        "local",
        "--max-variants",
        2,
        *more,
        cwd=task.parent,
        env=env,
    )


def assert_refused(done: Result, code: int, *words: str) -> None:
    assert done.code == code, done.err
    assert "Traceback" not in done.err.split("error:")[0]
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "    raise ZeroDivisionError('oh')",
            ("evaluate.py:2", "ZeroDivisionError: oh"),
        ),
        ("    return float('nan')", ("nan", "not finite")),
        ("    return float('inf')", ("inf", "not finite")),
        ("    return '1'", ("str", "not a number")),
        ("    return None", ("NoneType", "not a number")),
        ("    return True", ("bool", "not a number")),
        ("    return {'value': 1}", ("value", "score")),
        (
            "    return {'score': 1, 'metrics': {'x': float('nan')}}",
            ("must be finite",),
        ),
        ("    return {'score': 1, 'metrics': [1]}", ("metrics", "list")),
        ("    return {'score': 1, 'metrics': {'x': b'1'}}", ("metrics", "plain data")),
        ("    return candidate.call('nothing')", ("exception", "nothing")),
        ("    import time; time.sleep(60)", ("timeout",)),
        ("    import os; os._exit(3)", ("evaluator", "status 3")),
        ("    syntax error here", ("evaluate.py:2", "SyntaxError")),
    ],
)
def test_an_evaluator_that_fails_on_the_seed(
    task: Path, body: str, words: tuple[str, ...]
) -> None:
    (task / "evaluate.py").write_text(f"def evaluate(candidate, case):\n{body}\n")
    toml = task / "task.toml"
    toml.write_text(
        toml.read_text().replace("time_s = 10", "time_s = 10\nevaluation_s = 2")
    )
    assert_refused(run(task), 2, *words)
    assert not (task.parent / "runs").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: (t / "task.toml").unlink(), ("task.toml",)),
        (lambda t: (t / "evaluate.py").unlink(), ("evaluate.py",)),
        (lambda t: shutil.rmtree(t / "initial"), ("initial/",)),
        (lambda t: (t / "initial/capset.py").unlink(), ("empty",)),
        (lambda t: (t / "task.toml").write_text("name = !"), ("task.toml", "line 1")),
        (lambda t: (t / "task.toml").write_bytes(b"\xff"), ("task.toml", "UTF-8")),
        (
            lambda t: _add(t, "celing = 3"),
            ("unknown key 'celing'", "did you mean 'ceiling'"),
        ),
        (
            lambda t: _add(t, "[limits]\ntime = 3", drop="[limits]\ntime_s = 10"),
            ("limits.time", "time_s"),
        ),
        (
            lambda t: _add(t, 'editable = ["capste.py"]'),
            ("capste.py", "did you mean 'capset.py'"),
        ),
        (
            lambda t: _add(t, 'direction = "up"', drop='direction = "maximize"'),
            ("direction",),
        ),
        (
            lambda t: _add(t, "[run]\nworkrs = 3", end=True),
            ("workrs", "did you mean 'workers'"),
        ),
        (
            lambda t: (t / "initial/capset.py").write_text("# EVOLVE-BLOCK-START\n"),
            ("capset.py:1", "EVOLVE-BLOCK-END"),
        ),
    ],
)
def test_a_broken_task(task: Path, change: object, words: tuple[str, ...]) -> None:
    assert callable(change)
    change(task)
    assert_refused(run(task), 2, *words)


def _add(task: Path, line: str, drop: str = "", end: bool = False) -> None:
    text = (task / "task.toml").read_text().replace(drop, "")
    (task / "task.toml").write_text(f"{text}\n{line}\n" if end else f"{line}\n{text}")


def test_a_measure_that_the_scorer_never_returns(task: Path) -> None:
    """Not refused, as it may come with better variants, but said wherever the seed is scored."""
    toml = task / "task.toml"
    toml.write_text(
        toml.read_text()
        + "".join(
            f'\n[[measures]]\nname = "{name}"\nlow = 0.0\nhigh = 9.0\n'
            for name in ("sizze", "novelty")
        )
    )
    told = (
        "the scorer returned no metric sizze; variants without it share its lowest bin"
    )
    for done in (
        run(task),
        evolve("eval", task, "--sandbox", "local"),
        evolve("doctor", task, "--sandbox", "local"),
    ):
        said = " ".join((done.out + done.err).split())
        assert done.code == 0 and told in said and "it returned: " in said
    toml.write_text(toml.read_text().replace('"sizze"', '"complexity"'))
    assert "no metric" not in evolve("eval", task, "--sandbox", "local").err


def test_wrong_names_and_values(task: Path) -> None:
    assert_refused(evolve("run", task.parent / "nowhere"), 2, "nowhere", "evolve init")
    for verb in ("run", "eval", "check", "doctor"):
        assert_refused(
            evolve(verb, "task/task.toml", cwd=task.parent),
            2,
            "use its folder: task\n",
        )
    assert_refused(run(task, "--budget", "0usd"), 2, "'0usd'", "must be over 0")
    assert_refused(run(task, "--budget", "much"), 2, "invalid amount of money 'much'")
    assert_refused(
        run(task, "--policy", "wieghted"), 2, "wieghted", "did you mean 'weighted'"
    )
    assert_refused(run(task, "--max-time", "soon"), 2, "soon", "5m")
    assert_refused(run(task, "--name", "../x"), 2, "../x")
    assert_refused(run(task, "--sandbox", "chroot"), 2, "chroot", "docker")
    assert_refused(
        run(task, "--operator", "no_such.ops:Halve"),
        2,
        "no module 'no_such'",
        "PYTHONPATH",
    )
    assert_refused(
        run(task, "--policy", "mine.ways:Best"), 2, "no module 'mine'", "PYTHONPATH"
    )
    assert_refused(
        run(task, "--sandbox", "mine.box:Box"),
        2,
        "No module named 'mine'",
        "PYTHONPATH",
    )
    assert_refused(
        run(task, "--operator", "evolve.engine.limits:Nothing"), 2, "Nothing"
    )
    assert_refused(
        run(task, "--operator", "evolve.errors:RunError"), 2, "does not extend Operator"
    )
    assert_refused(evolve("resume", cwd=task.parent), 2, "no run")
    bad = evolve("run", task, cwd=task.parent, env={"EVOLVE_WORKERS": "many"})
    assert_refused(bad, 2, "workers", "many", "environment")
    bad = evolve("run", task, cwd=task.parent, env={"EVOLVE_WORKRES": "3"})
    assert_refused(bad, 2, "EVOLVE_WORKRES", "did you mean 'EVOLVE_WORKERS'")


def test_packages_that_do_not_exist(task: Path) -> None:
    _add(task, '[environment]\npackages = ["no-such-package-of-ours-0"]', end=True)
    done = run(task)
    assert_refused(done, 3, "no-such-package-of-ours-0", "[environment] in task.toml")
    assert (
        "no sandbox works" not in done.err and done.err.count("ERROR: No matching") == 1
    )


def test_docker_that_does_not_run(task: Path, own_sandbox: None) -> None:
    gone = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = evolve("run", task, "--sandbox", "docker", cwd=task.parent, env=gone)
    assert_refused(done, 3, "no Docker engine answers", "bubblewrap")
    done = evolve("run", task, "--max-variants", 2, cwd=task.parent, env=gone)
    assert (
        done.code == 0
        and "bubblewrap is used (docker: no Docker engine answers" in done.err
    )


def test_a_run_that_was_tampered_with(task: Path) -> None:
    assert run(task, "--name", "r").code == 0
    folder = task.parent / "runs" / "r"
    again = run(task, "--name", "r")
    assert_refused(again, 2, "already", "evolve resume r")
    evaluator = folder / "task" / "evaluate.py"
    text = evaluator.read_text()
    evaluator.write_text(text + "# easier now\n")
    assert_refused(evolve("resume", "r", cwd=task.parent), 2, "evaluator", "changed")
    evaluator.write_text(text)
    with sqlite3.connect(folder / "archive.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    for verb in ("resume", "tree"):
        assert_refused(
            evolve(verb, "r", cwd=task.parent), 1, "newer version", "with that version"
        )
    (folder / "archive.db").write_bytes(b"nonsense" * 1000)
    assert_refused(
        evolve("tree", "r", cwd=task.parent), 1, "is damaged", "evolve rescue"
    )


def test_a_runs_folder_that_is_a_file(task: Path) -> None:
    (task.parent / "runs").write_text("")
    assert_refused(run(task), 1, "can't write to")


def test_ids_that_do_not_fit(task: Path) -> None:
    assert run(task, "--name", "r").code == 0
    assert_refused(evolve("show", "zzzz", cwd=task.parent), 2, "zzzz", "evolve tree")
    assert_refused(evolve("show", "", cwd=task.parent), 2, "matches several")


def test_the_doctor_tries_the_contract_of_a_sandbox(tmp_path: Path) -> None:
    done = evolve("doctor", "--sandbox", "local", cwd=tmp_path)
    assert done.code == 0 and "keeps 9 promises of its contract" in done.out


def test_a_word_in_place_of_a_list(task: Path) -> None:
    _add(task, '[environment]\npackages = "numpy"', end=True)
    assert_refused(
        run(task), 2, 'environment.packages: it must be a list, like ["one", "two"]'
    )


def test_what_a_table_says_against_itself_is_told_plainly(task: Path) -> None:
    _add(task, '[[cases]]\nid = "n6"', end=True)
    assert_refused(run(task), 2, "task.toml: two cases have the id 'n6'")


def test_a_tool_that_is_not_here_is_not_the_sandbox_that_fails(
    task: Path, own_sandbox: None
) -> None:
    _add(task, '[environment]\ntools = ["no-such-tool"]', end=True)
    for named in ((), ("--sandbox", "local")):
        done = evolve("run", task, *named, cwd=task.parent)
        assert_refused(
            done, 3, "the task needs no-such-tool", "apt-get install no-such-tool"
        )
        assert "start Docker" not in done.err


def test_a_dotenv_that_is_no_text(task: Path) -> None:
    (task.parent / ".env").write_bytes(b"\xff\xfe")
    assert_refused(run(task), 2, ".env can't be read", "NAME=VALUE")


def test_several_operators_in_one_option(task: Path) -> None:
    assert_refused(
        run(task, "--operator", "syntactic=0.5,recombine=0.5"), 2, "--operator again"
    )


def test_a_machine_without_git(task: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = evolve_process(
        "run", task, cwd=task.parent, env={"PATH": str(tmp_path / "bin")}
    )
    assert_refused(done, 3, "git is not installed", "apt-get install git")


def test_a_form_of_training_that_is_not_there_writes_nothing(task: Path) -> None:
    assert run(task, "--name", "r").code == 0
    done = evolve("export", "r", "--csv", "r.csv", "--training", "sfx", cwd=task.parent)
    assert_refused(done, 2, "invalid form 'sfx'", "sft or dpo")
    assert not (task.parent / "r.csv").exists()


OWN = """
from evolve.operators import Child, Operator
from evolve.search import Expand, Policy

class Raises(Policy):
    def decide(self, snapshot, rng):
        return [][1]

class Nothing(Policy):
    def decide(self, snapshot, rng):
        return None

class Stranger(Policy):
    def decide(self, snapshot, rng):
        return Expand(("nobody",), self.operators.draw(snapshot, rng, 1))

class Surgeon(Policy):
    def decide(self, snapshot, rng):
        return Expand((snapshot.proposals[-1].id,), "scalpel")

class Empty(Policy):
    pass

class Fails(Operator):
    name = "own:Fails"
    async def propose(self, context):
        raise KeyError("oh")

class Text(Operator):
    name = "own:Text"
    async def propose(self, context):
        return Child({context.task.entry: "text"}, "wrote it")
"""


@pytest.fixture
def own(task: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module of a person's own on Python's path."""
    (task.parent / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(task.parent)
    yield
    del sys.modules["own"]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("option", "name", "code", "words"),
    [
        (
            "--policy",
            "Raises",
            1,
            ("the policy own:Raises failed in line 7", "IndexError"),
        ),
        (
            "--policy",
            "Nothing",
            1,
            ("the policy own:Nothing decided None", "Expand, Evaluate or Stop"),
        ),
        (
            "--policy",
            "Stranger",
            1,
            ("own:Stranger chose the variant 'nobody'", "snapshot.proposals"),
        ),
        (
            "--policy",
            "Surgeon",
            1,
            ("own:Surgeon chose the operator 'scalpel'", "self.operators.draw"),
        ),
        ("--policy", "Empty", 2, ("the policy own:Empty does not define decide",)),
        (
            "--operator",
            "Fails",
            1,
            ("the operator own:Fails failed in line 27: KeyError: 'oh'",),
        ),
        ("--operator", "Text", 1, ("the operator own:Text returned Child(", "bytes")),
    ],
)
def test_a_policy_or_an_operator_of_ones_own_that_fails(
    task: Path, option: str, name: str, code: int, words: tuple[str, ...]
) -> None:
    edits = () if option == "--operator" else ("--set", "operators={syntactic=1.0}")
    done = run(task, option, f"own:{name}", *edits)
    assert_refused(done, code, *words)
    assert "please report" not in done.err


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Raises", ("the policy own:Raises failed in line 7", "IndexError")),
        ("Stranger", ("own:Stranger chose the variant 'nobody'", "snapshot.proposals")),
    ],
)
def test_the_race_on_a_noisy_task_takes_no_blame(
    task: Path, name: str, words: tuple[str, ...]
) -> None:
    done = run(task, "--policy", f"own:{name}", env={"EVOLVE_REPEATS": "2"})
    assert_refused(done, 1, *words)
