"""The task that variants of a function are searched with; every assumption is a line."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from evolve.errors import UsageError
from evolve.repository.project import Project
from evolve.repository.recording import (
    ENTRY,
    INPUTS,
    TOOLS,
    Plan,
    Recording,
    entry_file,
)
from evolve.repository.target import Target

_FUZZED = 200
_MOST_TESTS = 60  # with more, only those that call the function are demanded

_TOML = '''# Written by `evolve optimize`; every line may be changed.
name = {name}
description = """
Make `{title}` in {path} faster. It must do exactly what it does now: the same answers, types, order,
exceptions and changes of its arguments, for all inputs that its callers may give, also those that no
test shows. It is compared with the original on recorded calls and on others made from them.
A good change is small and readable: a better algorithm or data structure, work that is done once.
"""
entry = "{entry}"                # the scorer calls the functions through it
editable = [{editable}]

[timing]
function = "timed"                      # the speed of the recorded calls, against the original
worthwhile = 0.02

[limits]
time_s = 120                            # for the calls of one process together
evaluation_s = 600
memory_mb = 1024

[environment]
packages = {packages}

[[cases]]
id = "recorded"

[[cases]]
id = "unseen"                           # other inputs, which no model and no box sees before the end
split = "heldout"
'''

_EVALUATE = '''"""How variants of {title} are judged. Every line may be changed.

A variant is right if it answers as the original does, on recorded calls and on inputs that
are made from them, and if the tests that the original passes still pass. Then it is timed.
"""

from pathlib import Path

from evolve.repository.judging import Guard

guard = Guard(
    Path(__file__).parent,
    calls={calls},  # recorded calls
    fuzz_from={fuzz_from},  # numbers of those that more inputs are made from; None: all
    fuzzed={fuzzed},  # how many of them in each evaluation
    timed={timed},  # numbers of the calls that are timed
    tolerance=0.0,  # relative error of floats
    tests={tests},  # the repository's tests; None: not run
)
accept, draw, check = guard.accept, guard.draw, guard.check
'''


def write_task(
    folder: Path, target: Target, project: Project, plan: Plan, recording: Recording
) -> list[str]:
    """Write the task.

    Args:
        folder: A folder to create.
        target: The functions.
        project: Their repository, with its available packages.
        plan: The tests and the benchmark.
        recording: The recorded calls.

    Returns:
        One line for each assumption.

    Raises:
        UsageError: The folder exists.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"{folder} exists already", "choose another folder: -o DIR"
        ) from None
    demanded = _demanded(recording)
    program = {**project.program, ENTRY: entry_file(target), INPUTS: recording.inputs}
    _write(folder / "initial", program)
    if demanded:
        _write(folder / "tests", _files_of_tests(project, plan, demanded))
        listed = {"arguments": _selected(plan), "expected": demanded}
        (folder / "tests.json").write_text(json.dumps(listed, indent=1) + "\n")
    packages = (*project.packages, *TOOLS)
    region = f"{target.path}:{target.region}" if target.region else target.path
    (folder / "task.toml").write_text(
        _TOML.format(
            name=json.dumps(target.title),
            title=target.title,
            path=target.path,
            entry=ENTRY,
            editable=json.dumps(region),
            packages=json.dumps(list(packages)),
        )
    )
    (folder / "evaluate.py").write_text(
        _EVALUATE.format(
            title=target.title,
            calls=len(recording.calls),
            fuzz_from=_all_or(recording.fuzzable, len(recording.calls)),
            fuzzed=_FUZZED,
            timed=list(recording.timed),
            tests='"tests"' if demanded else None,
        )
    )
    return _assumptions(target, project, plan, recording, demanded)


def _all_or(numbers: Sequence[int], count: int) -> list[int] | None:
    """Return None for all numbers, else a list."""
    return None if len(numbers) == count else list(numbers)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _demanded(recording: Recording) -> list[str]:
    """Return the ids of the tests that a variant must pass."""
    if len(recording.passed) > _MOST_TESTS and recording.calling:
        return list(recording.calling)
    return list(recording.passed)


def _selected(plan: Plan) -> list[str]:
    return [*plan.tests, "-o", "addopts="]


def _files_of_tests(
    project: Project, plan: Plan, demanded: Sequence[str]
) -> dict[str, bytes]:
    """Return the test files, files in the same folders or at the top, and test helpers.

    Helpers for tests inside the packages are not part of the program.
    """
    packages = {path.partition("/")[0] for path in project.program}
    tops = {PurePosixPath(name.partition("::")[0]).parts[0] for name in demanded}
    folders = {str(PurePosixPath(name.partition("::")[0]).parent) for name in demanded}
    found = {}
    for path, content in project.tests.items():
        parts = PurePosixPath(path).parts
        beside = str(PurePosixPath(path).parent) in folders
        of_tests = parts[0] in tops and parts[0] in ("tests", "test", "testing")
        helper = parts[0] in packages and len(parts) == 2
        if (
            len(parts) == 1
            or beside
            or of_tests
            or helper
            or parts[-1] == "conftest.py"
        ):
            found[path] = content
    return found


def _assumptions(
    target: Target,
    project: Project,
    plan: Plan,
    recording: Recording,
    demanded: Sequence[str],
) -> list[str]:
    """Describe the results and assumptions."""
    kept, seen = len(recording.calls), sum(recording.seen)
    lost = sum(recording.unrecordable.values())
    lines = [f"calls: {kept} different ones kept of {seen}"]
    if lost:
        reason = max(
            recording.unrecordable, key=lambda one: recording.unrecordable[one]
        )
        lines.append(
            f"not recordable: {lost} of {seen} calls ({reason}); only tests guard these"
        )
    lines.append(
        f"inputs made from {len(recording.fuzzable)} of them: {_FUZZED} in each "
        "evaluation, others at the end, which no model has seen"
    )
    if demanded:
        which = (
            "which call it" if len(demanded) < len(recording.passed) else "which pass"
        )
        lines.append(f"tests: {len(demanded)} of {len(recording.passed)}, {which}")
    else:
        lines.append("tests: none; only the recorded calls guard it")
    if recording.failed:
        lines.append(
            f"tests that fail in the sandbox already, not demanded: "
            f"{len(recording.failed)}, such as {recording.failed[0]}"
        )
    source = "the benchmark" if recording.from_bench else "the tests"
    lines.append(f"timed: {len(recording.timed)} calls of {source}, with small changes")
    if not recording.varies:
        lines.append(
            "warning: their inputs hardly vary, so a variant that remembers its answers "
            "would seem fast: look at the winner, or name a benchmark"
        )
    lines.append(f"packages: {', '.join(project.packages) or 'none'}")
    if project.left_out:
        lines.append(f"left out: {', '.join(project.left_out[:6])}")
    return [*lines, f"may change: {target.path}:{target.region or 'all of it'}"]
