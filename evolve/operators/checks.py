"""Checks of every child before evaluation: changed, within the region, valid syntax."""

from collections.abc import Collection, Sequence

from evolve.archive.names import folded, invalid_name
from evolve.operators.base import Child, Rejected
from evolve.operators.context import Parent
from evolve.operators.python_source import syntax_error
from evolve.sandbox import CandidateFault
from evolve.sandbox.aside import run_aside
from evolve.tasks import Task, editable_region
from evolve.tasks.region import MarkerError

MAX_FILE_BYTES = 1024 * 1024
MAX_NEW_FILES = 50


async def check_child(task: Task, parents: Sequence[Parent], child: Child) -> None:
    """Check a child before it costs anything; large files in a process with limits.

    Args:
        task: the task
        parents: the first one is the base of the edit
        child: the proposed tree

    Raises:
        Rejected: with the reason "unchanged", "region" or "syntax"
    """
    _check_names(task, parents, child)
    base = parents[0].files
    for path, content in child.files.items():
        before = base.get(path)
        if content == before:
            continue
        if len(content) > MAX_FILE_BYTES:
            raise Rejected("region", f"{path} is larger than {MAX_FILE_BYTES:,} bytes")
        try:
            size = len(content) + len(before or b"")
            wrong = await run_aside(wrong_with, path, content, before, size=size)
        except CandidateFault as fault:
            raise Rejected("syntax", f"{path}: {fault.message}") from None
        if wrong is not None:
            raise Rejected(*wrong)


def _check_names(task: Task, parents: Sequence[Parent], child: Child) -> None:
    base = parents[0].files
    if wrong := invalid_name(child.files):
        raise Rejected("region", wrong)
    _check_cases(child.files.keys() - base.keys(), child)
    if any(dict(child.files) == dict(parent.files) for parent in parents):
        raise Rejected("unchanged", "the files are the same as the parent's")
    for path in child.files.keys() ^ base.keys():
        if path == task.entry or not task.edits.admits(path):
            raise Rejected(
                "region", f"{path} was added or removed; editable: {task.edits}"
            )
    if len(child.files) > len(task.seed) + MAX_NEW_FILES:
        raise Rejected(
            "region", f"more than {MAX_NEW_FILES} files were added to those of the seed"
        )
    for path, content in child.files.items():
        if content == base.get(path):
            continue
        if path not in task.edits.within(child.files):
            raise Rejected("region", f"{path} is not editable")


def _check_cases(new: Collection[str], child: Child) -> None:
    """Raise `Rejected` if a new file and another one differ by case only."""
    others = {folded(path): path for path in child.files if path not in new}
    for path in sorted(new):
        other = others.setdefault(folded(path), path)
        if other != path:
            raise Rejected("region", f"{path} and {other} differ by case only")


def wrong_with(path: str, content: bytes, before: bytes | None) -> list[str] | None:
    """Find what is wrong with a changed file.

    Args:
        path: the file
        content: its new content
        before: its old content; None if it is new

    Returns:
        Reason and message of a rejection; None if nothing is wrong.
    """
    try:
        _check_file(path, content, before)
    except Rejected as why:
        return [why.reason, why.message]
    return None


def _check_file(path: str, content: bytes, before: bytes | None) -> None:
    try:
        text = content.decode()
        region = editable_region(text)
    except UnicodeDecodeError:
        raise Rejected("syntax", f"{path} is not UTF-8 text") from None
    except MarkerError as error:
        raise Rejected("region", f"{path}:{error.line}: {error}") from None
    if before is not None and region.fixed != editable_region(before.decode()).fixed:
        raise Rejected("region", f"{path} was changed outside its editable region")
    if path.endswith(".py"):
        _check_python(path, text)


def _check_python(path: str, text: str) -> None:
    error = syntax_error(text, path)
    if isinstance(error, SyntaxError):
        line = (error.text or "").strip()
        raise Rejected("syntax", f"{path}:{error.lineno}: {error.msg}: {line}"[:500])
    if error is not None:
        raise Rejected("syntax", f"{path}: {error}")
