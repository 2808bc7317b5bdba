"""From the name of a function to a task: find, record, write."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from evolve.errors import UsageError
from evolve.repository.project import Project, packages_of_tests, read_project
from evolve.repository.recording import (
    Hot,
    Plan,
    guarded,
    profile_benchmark,
    record_calls,
)
from evolve.repository.target import Target, find_target, root_of
from evolve.repository.writing import write_task
from evolve.text import Note

_PYTEST = (("pytest",), ("python", "-m", "pytest"), ("python3", "-m", "pytest"))
_PYTHON = ("python", "python3")
MOST_HOT = 6  # functions in a list of slow ones
_MOST_FILES = 12  # of tests that are found by the function's name


@dataclass(frozen=True)
class Wanted:
    """A request of the user.

    Attributes:
        target: `path/module.py:function`, or `package.module:function`.
        test: A command of pytest; None: tests that name the function; empty: none.
        bench: A command `python FILE ...`; None: none.
        expression: Python that calls the function; None: none.
    """

    target: str
    test: str | None = None
    bench: str | None = None
    expression: str | None = None


async def write_task_for(
    wanted: Wanted, folder: Path, output: Path | None, sandbox: str, note: Note
) -> tuple[Path, list[str]]:
    """Write a task that makes a function faster; the repository is not changed.

    Args:
        wanted: What to optimize, and what calls it.
        folder: Where paths and packages begin.
        output: The task's folder; None: named after the function, in the current one.
        sandbox: Name of a provider, or "auto".
        note: Called with messages for people.

    Returns:
        The task's folder, and one line for each assumption.

    Raises:
        UsageError: The function is not found, or no call of it can be recorded.
        SandboxUnavailable: The sandbox does not work here.
    """
    target = find_target(wanted.target, folder)
    place = output or Path(f"{target.title.rpartition('.')[2]}-task")
    if place.exists():
        raise UsageError(f"{place} exists already", "choose another folder: -o DIR")
    project = read_project(target)
    plan = _plan(wanted, target, project)
    if plan.tests:
        note(f"tests: pytest {shlex.join(plan.tests)}")
    files = [path for path in project.tests if _is_among(path, plan.tests)]
    packages = packages_of_tests(project, files)
    project = replace(project, extras=packages)
    recording, project = await record_calls(target, project, plan, sandbox, note)
    return place, write_task(place, target, project, plan, recording)


async def hot_functions(
    folder: Path, bench: str, sandbox: str, note: Note
) -> list[Hot]:
    """List the functions that a benchmark spends its time in, and what guards them.

    Args:
        folder: The repository, or a folder in it.
        bench: A command `python FILE ...`, relative to the repository.
        sandbox: Name of a provider, or "auto".
        note: Called with messages for people.

    Returns:
        At most `MOST_HOT`, the slowest first.

    Raises:
        UsageError: The benchmark fails, or calls no function of the repository.
        SandboxUnavailable: The sandbox does not work here.
    """
    root = root_of(folder.resolve())
    source = root / "src" if (root / "src").is_dir() else root
    project = read_project(Target(root, source, "", None, ()))
    plan = Plan(bench=_of_python(bench, root))
    alone = replace(project, extras=())
    own = (await profile_benchmark(alone, plan, sandbox, note))[:MOST_HOT]
    if not own:
        raise UsageError(
            f"{bench!r} spends no time in functions of {source}",
            "name a benchmark that calls them",
        )
    return [
        await _with_guards(one, source, project, plan, sandbox, note) for one in own
    ]


def listed(found: Sequence[Hot]) -> list[str]:
    """Return a table of slow functions for people.

    Args:
        found: The functions.

    Returns:
        Its lines.
    """
    rows = [
        (
            f"{one.share:.0%}",
            one.title,
            one.calls,
            one.recorded,
            one.tests,
        )
        for one in found
    ]
    width = max(len(row[1]) for row in rows)
    lines = [f"{'time':>5}  {'function':{width}}  {'calls':>8}  recorded  tests"]
    return lines + [
        f"{share:>5}  {name:{width}}  {calls:>8}  {recorded:>8}  {tests:>5}"
        for share, name, calls, recorded, tests in rows
    ]


async def _with_guards(
    hot: Hot, source: Path, project: Project, plan: Plan, sandbox: str, note: Note
) -> Hot:
    try:
        target = find_target(f"{hot.path}:{hot.name}", source)
    except UsageError:  # a function in a function: nothing can call it alone
        return hot
    tests = tuple(_tests_of(target, project))
    files = [path for path in project.tests if _is_among(path, tests)]
    project = replace(project, extras=packages_of_tests(project, files))
    return await guarded(
        hot, target, project, replace(plan, tests=tests), sandbox, note
    )


def _is_among(path: str, tests: tuple[str, ...]) -> bool:
    """Return whether a file belongs to tests that are named by file or folder."""
    named = [name.partition("::")[0].rstrip("/") for name in tests]
    return any(path == name or path.startswith(f"{name}/") for name in named)


def _plan(wanted: Wanted, target: Target, project: Project) -> Plan:
    """Return the command to run: given by the user, or the tests that name the function."""
    bench = _of_python(wanted.bench, target.root) if wanted.bench else ()
    if wanted.test is None:
        tests = tuple(_tests_of(target, project))
    else:
        tests = _of_pytest(wanted.test)
    if not tests and not bench and not wanted.expression:
        raise UsageError(
            f"no test of {target.root} names {target.title}",
            'name what calls it: --test "pytest tests/...", --bench "python FILE" or '
            "--bench-call EXPRESSION",
        )
    return Plan(tests, bench, wanted.expression or "")


def _of_pytest(command: str) -> tuple[str, ...]:
    """Return the arguments of a command of pytest."""
    words = tuple(shlex.split(command))
    if not words:
        return ()
    for start in _PYTEST:
        if words[: len(start)] == start:
            return tuple(word for word in words[len(start) :] if word != "-q") or (".",)
    raise UsageError(
        f"invalid test command {command!r}", 'use pytest: --test "pytest -q tests"'
    )


def _of_python(command: str, root: Path) -> tuple[str, ...]:
    """Return file and arguments of a benchmark."""
    words = tuple(shlex.split(command))
    if len(words) < 2 or words[0] not in _PYTHON or not (root / words[1]).is_file():
        raise UsageError(
            f"invalid benchmark {command!r}",
            f'use a Python file of {root}: --bench "python bench.py"',
        )
    return words[1:]


def _tests_of(target: Target, project: Project) -> list[str]:
    """Return the test files that name a function, or else its module."""
    last = target.module.rpartition(".")[2]
    names = [name.rpartition(".")[2] for name in target.names]
    for wanted in (names, [last]):
        found = [
            path
            for path, content in project.tests.items()
            if _is_test_file(path) and any(name.encode() in content for name in wanted)
        ]
        if found:
            # those named after the module first
            return sorted(found, key=lambda path: (last not in path, path))[
                :_MOST_FILES
            ]
    return []


def _is_test_file(path: str) -> bool:
    name = PurePosixPath(path).name
    return name.endswith(".py") and (
        name.startswith("test_") or name.endswith("_test.py")
    )
