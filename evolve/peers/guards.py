"""Importing the candidate's file gives a stub; executing its text is refused.

Every import of a Python file ends in `SourceFileLoader.get_code`; there the candidate's
file, or a copy under another name, is replaced by a stub. `exec`, `eval` and `compile`
of its text would run a candidate in the scorer's process, so they raise `Inseparable`.
After the candidate's first answer, the task's files may execute only texts that they
contain, and read plain data: no decoding turns an answer into code. Libraries may
generate code, unless it shares a word with the candidate's answers.
"""

import ast
import builtins
import contextlib
import functools
import os
import sys
import tempfile
import types
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from evolve.peers.link import Link
from evolve.peers.proxies import Stub, StubModule

_LIBRARY = (os.path.dirname(os.__file__) + os.sep, str(Path(__file__).parent) + os.sep)
_LONG_LINE, _SHARE, _FEW, _SHORT_TEXT = 12, 0.5, 3, 20
_STUB = (
    "__getattr__, __dir__, __write__ = "
    "__import__('sys')._evolve_stub(__name__, {path!r})\n"
)


class Watch:
    """Recognizes the candidate's file and text.

    Args:
        program: path of the candidate's file
        evaluator: text of the evaluator, with lines that do not identify the candidate
        folder: the task's folder
    """

    def __init__(self, program: Path, evaluator: str, folder: Path) -> None:
        self.program, self.data = program, program.read_bytes()
        self._text = self.data.decode(errors="replace").strip()
        self._lines = _telling_lines(self._text) - _telling_lines(evaluator)
        self._folder = folder

    def is_candidate(self, path: str | Path) -> bool:
        """Return whether a path is the candidate's file or a copy of it.

        Args:
            path: any path, or other text

        Returns:
            False also for an invalid path.
        """
        try:
            found = Path(path)
            return found.resolve() == self.program.resolve() or (
                bool(self.data.strip())
                and found.is_file()
                and found.stat().st_size == len(self.data)
                and found.read_bytes() == self.data
            )
        except (OSError, ValueError):
            return False

    def is_made(self, path: str) -> bool:
        """Return whether a file was written during this evaluation.

        Args:
            path: any path

        Returns:
            True in the scratch and temporary folders, except in Python's installation.
        """
        if any(
            Path(path).is_relative_to(place) for place in (sys.prefix, sys.base_prefix)
        ):
            return False
        scratch = self.program.parent.parent
        return any(
            Path(path).is_relative_to(place)
            for place in (scratch, tempfile.gettempdir())
        )

    def is_tasks(self, path: str) -> bool:
        """Return whether code belongs to the task.

        Args:
            path: file name of the code

        Returns:
            True for its files, files that it made, and text that it executes.
        """
        return (
            path.startswith("<")
            or Path(path).is_relative_to(self._folder)
            or self.is_made(path)
        )

    @functools.cached_property
    def own_texts(self) -> frozenset[str]:
        """The task's Python files, and the string constants in them."""
        found: set[str] = set()
        for path in self._folder.rglob("*.py"):
            text = path.read_text(errors="replace")
            found.add(text)
            with contextlib.suppress(SyntaxError):  # the file may be unused
                found |= {
                    node.value
                    for node in ast.walk(ast.parse(text))
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                }
        return frozenset(found)

    def holds_candidate(self, text: str) -> bool:
        """Return whether a text contains a large part of the candidate's text.

        Args:
            text: any text

        Returns:
            True from half of its characteristic lines, and at least three.
        """
        if len(self._text) >= _SHORT_TEXT and self._text in text:
            return True
        found = sum(line in self._lines for line in _telling_lines(text))
        return found >= max(_FEW, _SHARE * len(self._lines))


def _telling_lines(text: str) -> frozenset[str]:
    return frozenset(
        line.strip() for line in text.splitlines() if len(line.strip()) >= _LONG_LINE
    )


def install(link: Link, watch: Watch, name_inside: str) -> None:
    """Make all imports of the candidate's file give a stub, from now on.

    Args:
        link: the connection to the candidate
        watch: recognizes the candidate's files
        name_inside: path of the program in the sandbox
    """
    real = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, fullname: str) -> types.CodeType | None:
        if not watch.is_candidate(loader.path):
            if watch.is_made(loader.path) and link.answers.are_in(
                Path(loader.path).read_text(errors="replace")
            ):
                raise link.notes.inseparable(
                    "the evaluator imports a file with text of the candidate"
                )
            return real(loader, fullname)
        return compile_(_STUB.format(path=name_inside), loader.path, "exec")

    def make_stub(name: str, path: str) -> tuple[Any, Any, Any]:
        stub = Stub(link, path, name)
        return stub.attribute, stub.names, stub.write

    def exec_module(loader: SourceFileLoader, module: types.ModuleType) -> None:
        real_exec(loader, module)
        if watch.is_candidate(loader.path):
            module.__class__ = StubModule

    compile_ = compile
    real_exec = SourceFileLoader.exec_module
    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]
    sys._evolve_stub = make_stub  # type: ignore[attr-defined]
    _guard(link, watch)


def is_library(path: str) -> bool:
    """Return whether code may execute code that it generates itself.

    Args:
        path: file name of the code

    Returns:
        True for the standard library and this package.
    """
    return "site-packages" not in path and path.startswith((*_LIBRARY, "<frozen"))


def _is_data(text: str) -> bool:
    """Return whether a text is only literals, so that evaluating it has no effect."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def _said(link: Link, watch: Watch, text: str, caller: str) -> bool:
    """Return whether code may come from an answer."""
    if is_library(caller):
        return link.answers.are_in(text)
    if watch.is_tasks(caller):
        return (
            link.answers.have_begun()
            and text not in watch.own_texts
            and not _is_data(text)
        )
    return link.answers.share_words(text)


def _guard(link: Link, watch: Watch) -> None:
    """Refuse to execute the candidate's text in this process."""
    real_exec, real_eval, real_compile = builtins.exec, builtins.eval, builtins.compile

    def exec_(
        source: Any, globals: Any = None, locals: Any = None, /, **rest: Any
    ) -> None:
        _check(link, watch, source)
        real_exec(source, *_scopes(globals, locals), **rest)

    def eval_(source: Any, globals: Any = None, locals: Any = None, /) -> Any:
        _check(link, watch, source)
        return real_eval(source, *_scopes(globals, locals))

    def compile_(
        source: Any, filename: Any, mode: str, flags: int = 0, *args: Any, **rest: Any
    ) -> Any:
        if not flags & ast.PyCF_ONLY_AST:
            _check(link, watch, source)
        return real_compile(source, filename, mode, flags, *args, **rest)

    builtins.exec, builtins.eval, builtins.compile = exec_, eval_, compile_


def _check(link: Link, watch: Watch, source: Any) -> None:
    """Refuse text of the candidate; the caller's caller is who executes it."""
    text = source
    if isinstance(source, (bytes, bytearray)):
        text = source.decode(errors="replace")
    elif isinstance(source, ast.AST):
        text = ast.unparse(source)
    if not isinstance(text, str):
        return
    if watch.holds_candidate(text):
        raise link.notes.inseparable(
            "the evaluator executes the candidate's text itself"
        )
    if _said(link, watch, text, sys._getframe(2).f_code.co_filename):
        raise link.notes.inseparable(
            "the evaluator executes text that the candidate may have written"
        )


def _scopes(given: Any, local: Any) -> tuple[Any, Any]:
    """Return the scopes of `exec` and `eval`, those of the caller's caller by default."""
    if given is not None:
        return given, local
    frame = sys._getframe(2)
    return frame.f_globals, frame.f_locals if local is None else local
