"""Commands that an evaluator of another engine starts, so that the sandbox has them."""

import ast
import re
from collections.abc import Iterator

from evolve.sandbox.toolchain import is_packaged

SHELL = "sh"
_STARTS = frozenset(
    ("run", "Popen", "call", "check_call", "check_output", "system", "popen")
)
_STARTS |= {"getoutput", "getstatusoutput"}
# the machine's own answers to these are harmless, and Python is there anyway
_NOT_COPIED = re.compile(
    r"python[\d.]*|nproc|uname|which|lscpu|cd|echo|exit|export|true"
)
_NAME = re.compile(r"[A-Za-z][\w+.-]{0,40}")
_COMMAND = re.compile(r"(?:^|[|;&(\n])[ \t]{0,20}([A-Za-z][\w+.-]{0,40})")


def tools_of(text: str) -> tuple[str, ...]:
    """Return the commands that an evaluator starts, as far as its text names them.

    Args:
        text: Of the evaluator.

    Returns:
        Names of commands that can be copied from this machine, sorted; `sh` if it starts
        a shell.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    if "subprocess" not in text and "os." not in text:
        return ()
    found = {name for node in ast.walk(tree) for name in _of(node)}
    return tuple(
        sorted(
            name
            for name in found
            if not _NOT_COPIED.fullmatch(name) and is_packaged(name)
        )
    )


def _of(node: ast.AST) -> Iterator[str]:
    """Yield the commands of a list of arguments, or of a shell's text."""
    if isinstance(node, ast.List) and node.elts:
        yield from _plain(node.elts[0])
    if not isinstance(node, ast.Call) or _called(node.func) not in _STARTS:
        return
    uses_shell = any(
        word.arg == "shell" and getattr(word.value, "value", None) is True
        for word in node.keywords
    )
    if uses_shell or _called(node.func) in ("system", "popen", "getoutput"):
        yield SHELL
        for text in node.args[:1]:
            yield from _COMMAND.findall(_shown(text))


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _plain(node: ast.expr) -> Iterator[str]:
    value = getattr(node, "value", None)
    if isinstance(node, ast.Constant) and isinstance(value, str):
        name = value.rpartition("/")[2] if value.startswith("/") else value
        if _NAME.fullmatch(name):
            yield name


def _shown(node: ast.expr) -> str:
    """Return the text of a constant or an f-string, with a mark for each value."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_shown, node.values))
    value = getattr(node, "value", None)
    return value if isinstance(node, ast.Constant) and isinstance(value, str) else "%"
