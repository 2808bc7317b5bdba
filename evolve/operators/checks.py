"""Checks of every child before evaluation: changed, within the region, valid syntax."""

from collections.abc import Sequence

from evolve.operators.base import Child, Rejected
from evolve.operators.context import Parent
from evolve.operators.python_source import syntax_error
from evolve.tasks import Task, editable_region
from evolve.tasks.region import MarkerError

MAX_FILE_BYTES = 1024 * 1024
MAX_NEW_FILES = 50


def check_child(task: Task, parents: Sequence[Parent], child: Child) -> None:
    """Check a child before it costs anything.

    Args:
        task: the task
        parents: the first one is the base of the edit
        child: the proposed tree

    Raises:
        Rejected: with the reason "unchanged", "region" or "syntax"
    """
    base = parents[0].files
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
        _check_file(path, content, base.get(path))


def _check_file(path: str, content: bytes, before: bytes | None) -> None:
    if len(content) > MAX_FILE_BYTES:
        raise Rejected("region", f"{path} is larger than {MAX_FILE_BYTES:,} bytes")
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
